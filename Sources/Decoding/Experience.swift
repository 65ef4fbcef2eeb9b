/// What earlier generations have shown of a model: how far its guesses through masks hold. Kept from
/// one run of the program to the next.
public struct Experience: Sendable, Equatable {
    /// Of blocks that are not verified, by offset: in a window that slides, the chance that a pass leaves
    /// a position fixed where it leaves all before it so; otherwise, that a position is decided in a
    /// pass that one before it needed too.
    public var offsets: OffsetCurve
    /// In lossless decoding, drafts and how they fared.
    public var drafts: DraftMemory
    /// What a token in blocks costs, to a single one.
    public var blockCost = BlockCost()

    /// Nothing seen yet.
    ///
    /// - Parameter trained: Positions of the blocks that the model was trained for.
    public init(trained: Int) {
        offsets = OffsetCurve(start: 0.75, trained: trained)
        drafts = DraftMemory(trained: trained)
    }

    /// Nothing seen yet, of the same model and decoding.
    public var emptied: Experience { Experience(trained: drafts.trained) }

    /// This experience with that of one more run.
    public func merged(with run: Experience) -> Experience {
        var result = self
        result.offsets = offsets.merged(with: run.offsets)
        result.drafts = drafts.merged(with: run.drafts)
        result.blockCost.add(
            run.blockCost.mean, weight: min(run.blockCost.weight, 8 * OffsetCurve.share))
        result.blockCost = result.blockCost.capped(2 * OffsetCurve.memory)
        result.blockCost.since = run.blockCost.since
        return result
    }

    /// What a run begins with.
    func beginning() -> Experience {
        var result = self
        result.offsets = offsets.beginning()
        result.drafts = drafts.beginning()
        return result
    }
}

/// A policy that learns.
public protocol ExperienceSource: AnyObject {
    /// What this run has shown.
    var run: Experience { get }
}

extension Experience {
    /// What was seen, as text: kind, offset or range, weight and mean; of blocks the tokens since they or
    /// single tokens were tried, weight and cost; of drafts whether a stop token ended them and the
    /// range of each confidence, a digit.
    public var lines: [String] {
        let curves = [("offset", offsets), ("confidence", drafts.confidences.table)]
        return curves.flatMap { name, curve in
            curve.points.map { "\(name) \($0.offset) \($0.weight) \($0.mean)" }
        } + ["cost \(blockCost.since) \(blockCost.weight) \(blockCost.mean)"]
            + drafts.drafts.map {
                "\($0.isOver ? "ended" : "draft") \($0.levels.map(String.init).joined())"
            }
    }

    /// This experience and what `lines` tell; lines that tell nothing are passed over.
    public func reading(_ lines: [String]) -> Experience {
        var result = self
        for line in lines {
            let fields = line.split(separator: " ")
            if fields.count == 2, fields[0] == "draft" || fields[0] == "ended" {
                result.drafts.add(digits: fields[1], isOver: fields[0] == "ended")
            }
            guard fields.count == 4, let offset = Int(fields[1]), let weight = Double(fields[2]),
                weight.isFinite, let mean = Double(fields[3])
            else { continue }
            switch fields[0] {
            case "offset": result.offsets.add(offset, mean, weight: weight)
            case "confidence": result.drafts.confidences.table.add(offset, mean, weight: weight)
            case "cost":
                result.blockCost.add(mean, weight: weight)
                result.blockCost.since = max(0, offset)
            default: continue
            }
        }
        return result
    }
}
