/// What earlier generations have shown of a model: how far its guesses through masks hold. Kept from
/// one run of the program to the next.
public struct Experience: Sendable, Equatable {
    /// By offset in a block: in lossless decoding, the chance that a draft token is accepted where all
    /// before it were; in a window that slides, that a pass leaves a position fixed where it leaves all
    /// before it so; otherwise, that a position is decided in a pass that one before it needed too.
    public var offsets: OffsetCurve
    /// The chance that a draft token is accepted, by the model's confidence in it.
    public var confidences = ConfidenceCurve()
    /// In lossless decoding, what drafts were worth, to what was expected of them.
    public var surplus = Surplus()
    /// What a token in blocks costs, to a single one.
    public var blockCost = BlockCost()

    /// Nothing seen yet.
    ///
    /// - Parameters:
    ///   - trained: Positions of the blocks that the model was trained for.
    ///   - isVerified: In lossless decoding.
    public init(trained: Int, isVerified: Bool) {
        offsets = OffsetCurve(start: isVerified ? 0.9 : 0.75, trained: trained)
    }

    /// Nothing seen yet, of the same model and decoding.
    public var emptied: Experience {
        var result = self
        result.fade(to: 0)
        result.blockCost = BlockCost()
        return result
    }

    /// Observations that are kept of everything seen so far, and of one run at most: an odd text does
    /// not spoil what many have shown.
    private static let (memory, share) = (500.0, 30.0)

    /// This experience with that of one more run.
    public func merged(with run: Experience) -> Experience {
        var result = self
        result.offsets.add(run.offsets, cap: Self.share)
        result.offsets = result.offsets.capped(Self.memory)
        result.confidences = confidences.merged(run.confidences, Self.share, Self.memory)
        for point in run.surplus.capped(Self.share).points {
            result.surplus.add(point.worth, expected: point.expected, masks: point.masks)
        }
        result.surplus = result.surplus.capped(Self.memory)
        result.blockCost.add(run.blockCost.mean, weight: min(run.blockCost.weight, 8 * Self.share))
        result.blockCost = result.blockCost.capped(2 * Self.memory)
        result.blockCost.since = run.blockCost.since
        return result
    }

    /// What a run begins with: enough to choose well, little enough to be overruled by the text at hand.
    func beginning() -> Experience {
        var result = self
        result.offsets = offsets.capped(24)
        result.confidences.table = confidences.table.capped(24)
        result.surplus = surplus.capped(24)
        return result
    }

    mutating func fade(to share: Double) {
        offsets.fade(to: share)
        confidences.table.fade(to: share)
        surplus.scale(by: share)
    }
}

/// How often a model's confidence is right, by ranges of it.
public struct ConfidenceCurve: Sendable, Equatable {
    /// One offset per range. Ranges know nothing of each other.
    public var table = OffsetCurve(start: 0, trained: 0, count: limits.count + 1)

    private static let limits: [Float] = [0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999]
    /// Observations that the confidence itself counts for.
    private static let doubt = 3.0

    public init() {}

    private func range(_ confidence: Float) -> Int {
        Self.limits.firstIndex { confidence < $0 } ?? Self.limits.count
    }

    mutating func add(_ confidence: Float, isRight: Bool) {
        table.add(range(confidence), isRight ? 1 : 0)
    }

    /// The chance that a token of this confidence is right.
    func chance(_ confidence: Float) -> Double {
        let (weight, sum) = table.seen(range(confidence))
        return (sum + Self.doubt * Double(confidence)) / (weight + Self.doubt)
    }

    func merged(_ run: ConfidenceCurve, _ share: Double, _ memory: Double) -> ConfidenceCurve {
        var result = self
        result.table.add(run.table, cap: share)
        result.table = result.table.capped(memory)
        return result
    }
}

/// How much more drafts were worth than expected, by the masks that made them, in sums of tokens.
public struct Surplus: Sendable, Equatable {
    private var worths = [Double](repeating: 0, count: 65)
    private var expected = [Double](repeating: 0, count: 65)

    public init() {}

    /// Tokens that the expectation counts for before anything was seen.
    private static let doubt = 5.0
    /// Of a draft that was not tried yet, to the next shorter one: mean chances say least about long
    /// drafts, of which the doubtful are cut.
    private static let promise = 1.05

    public mutating func add(_ worth: Double, expected: Double, masks: Int) {
        guard worth >= 0, expected >= 0, worth.isFinite, expected.isFinite,
            worths.indices.contains(masks)
        else { return }
        worths[masks] += worth
        self.expected[masks] += expected
    }

    /// Worth to expectation for each of the ascending numbers of masks.
    func factors(_ sizes: [Int]) -> [Double] {
        var before = 1 / Self.promise
        return sizes.map { masks in
            let guess = before * Self.promise
            before = (worths[masks] + Self.doubt * guess) / (expected[masks] + Self.doubt)
            return min(max(before, 1), 4)
        }
    }

    /// What was seen: masks, worth and expectation.
    public var points: [(masks: Int, worth: Double, expected: Double)] {
        expected.indices.filter { expected[$0] > 0 }.map { ($0, worths[$0], expected[$0]) }
    }

    mutating func scale(by share: Double) {
        for masks in expected.indices { scale(masks, by: share) }
    }

    private mutating func scale(_ masks: Int, by share: Double) {
        worths[masks] *= share
        expected[masks] *= share
    }

    /// The same factors, each from at most so many tokens expected.
    func capped(_ most: Double) -> Surplus {
        var result = self
        for masks in expected.indices where expected[masks] > most {
            result.scale(masks, by: most / expected[masks])
        }
        return result
    }
}

/// A policy that learns.
public protocol ExperienceSource: AnyObject {
    /// What this run has shown.
    var run: Experience { get }
}

extension Experience {
    /// What was seen, as text: kind, offset or range, weight and mean; of drafts their masks, worth and
    /// what was expected; of blocks the tokens since they or single tokens were tried, weight and cost.
    public var lines: [String] {
        let curves = [("offset", offsets), ("confidence", confidences.table)]
        return curves.flatMap { name, curve in
            curve.points.map { "\(name) \($0.offset) \($0.weight) \($0.mean)" }
        } + surplus.points.map { "surplus \($0.masks) \($0.worth) \($0.expected)" }
            + ["cost \(blockCost.since) \(blockCost.weight) \(blockCost.mean)"]
    }

    /// This experience and what `lines` tell; lines that tell nothing are passed over.
    public func reading(_ lines: [String]) -> Experience {
        var result = self
        for line in lines {
            let fields = line.split(separator: " ")
            guard fields.count == 4, let offset = Int(fields[1]), let weight = Double(fields[2]),
                weight.isFinite, let mean = Double(fields[3])
            else { continue }
            switch fields[0] {
            case "offset": result.offsets.add(offset, mean, weight: weight)
            case "confidence": result.confidences.table.add(offset, mean, weight: weight)
            case "surplus": result.surplus.add(weight, expected: mean, masks: offset)
            case "cost":
                result.blockCost.add(mean, weight: weight)
                result.blockCost.since = max(0, offset)
            default: continue
            }
        }
        return result
    }
}
