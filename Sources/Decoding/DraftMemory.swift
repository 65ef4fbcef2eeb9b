/// The latest drafts of a model, as it was sure of their tokens, and how often it is right when it is
/// so sure: what one position more in a block is worth follows from both.
///
/// A draft also tells what every shorter one would have been, so that no size has to be tried for its
/// own sake but the largest.
public struct DraftMemory: Sendable, Equatable {
    /// Right or wrong, by how sure the model was.
    public var confidences = ConfidenceCurve()
    /// The latest last.
    private(set) var drafts: [Levels] = []
    /// Masks of the blocks that the model was trained for.
    let trained: Int

    /// A draft's confidences, in the ranges of ``ConfidenceCurve``.
    struct Levels: Sendable, Equatable {
        var levels: [UInt8]
        /// A stop token ended it: more masks would have added nothing.
        var isOver: Bool
    }

    /// Drafts that are kept; and of one run at most, so that an odd text does not spoil what many have
    /// shown.
    private static let (count, share) = (64, 16)
    /// Drafts after which what was seen of confidences counts for a third.
    private static let span = 200.0
    /// Chance of a token that was never drafted, in blocks that the model was trained for: much is hoped
    /// for, so that long drafts get tried.
    private static let hope = 0.95
    /// What is hoped for counts as so many drafts, and behind the end of a real one so much.
    private static let (doubt, further) = (2.0, 1.0 / 32)

    public init(trained: Int) { self.trained = trained }

    /// Remembers a draft that masks made, and of older ones a little less.
    public mutating func add(_ draft: Draft) {
        confidences.table.fade(to: 1 - 1 / Self.span)
        add(Levels(levels: draft.confidences.map(ConfidenceCurve.level), isOver: draft.isOver))
    }

    /// Remembers a draft that was written down as the digits of its ranges, if it can have been.
    mutating func add(digits: Substring, isOver: Bool) {
        let levels = digits.utf8.map { $0 &- UInt8(ascii: "0") }
        guard levels.count < 64, levels.allSatisfy({ $0 < ConfidenceCurve.levels }) else { return }
        add(Levels(levels: levels, isOver: isOver))
    }

    private mutating func add(_ draft: Levels) {
        if drafts.count == Self.count { drafts.removeFirst() }
        drafts.append(draft)
    }

    /// This memory with that of one more run.
    func merged(with run: DraftMemory) -> DraftMemory {
        var result = self
        for draft in run.drafts.suffix(Self.share) { result.add(draft) }
        result.confidences.table = confidences.table.merged(with: run.confidences.table)
        return result
    }

    /// What a run begins with.
    func beginning() -> DraftMemory {
        var result = self
        result.confidences.table = confidences.table.beginning()
        return result
    }

    /// A draft to expect.
    struct Expected {
        /// That a token is right where all before it are.
        var chances: [Double]
        /// Tokens that were seen, and what the draft counts for as far as that, and beyond.
        var seen: Int
        var weights: (within: Double, beyond: Double)
    }

    /// What drafts to expect, of so many tokens but where a stop token ended one.
    func expected(_ count: Int) -> [Expected] {
        let chances = confidences.chances
        func expected(_ draft: Levels, weights: (Double, Double)) -> Expected {
            var result = draft.levels.prefix(count).map { chances[Int($0)] }
            let seen = draft.isOver ? count : result.count
            var chance = Self.hope
            while !draft.isOver, result.count < count {
                if result.count >= trained - 1 { chance *= OffsetCurve.falloff }
                result.append(chance)
            }
            return Expected(chances: result, seen: seen, weights: weights)
        }
        return [expected(Levels(levels: [], isOver: false), weights: (0, Self.doubt))]
            + drafts.map { expected($0, weights: (1, Self.further)) }
    }
}

/// How often a model's confidence is right, by ranges of it.
public struct ConfidenceCurve: Sendable, Equatable {
    /// One offset per range. Ranges know nothing of each other.
    public var table = OffsetCurve(start: 0, trained: 0, count: levels)

    private static let limits: [Float] = [0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999]
    /// A confidence within each range.
    private static let middles = [0.15, 0.4, 0.6, 0.75, 0.85, 0.925, 0.965, 0.985, 0.995, 0.9995]
    /// Observations that the confidence itself counts for.
    private static let doubt = 3.0

    public init() {}

    static let levels = limits.count + 1

    /// The range of a confidence.
    static func level(_ confidence: Float) -> UInt8 {
        UInt8(limits.firstIndex { confidence < $0 } ?? limits.count)
    }

    mutating func add(_ confidence: Float, isRight: Bool) {
        table.add(Int(Self.level(confidence)), isRight ? 1 : 0)
    }

    /// The chance that a token of this confidence is right.
    func chance(_ confidence: Float) -> Double {
        chance(Int(Self.level(confidence)), Double(confidence))
    }

    /// The same for each range.
    var chances: [Double] { Self.middles.indices.map { chance($0, Self.middles[$0]) } }

    private func chance(_ level: Int, _ guess: Double) -> Double {
        let (weight, sum) = table.seen(level)
        return (sum + Self.doubt * guess) / (weight + Self.doubt)
    }
}
