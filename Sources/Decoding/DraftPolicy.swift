/// Tokens guessed ahead of the text, to be verified.
public struct Draft: Sendable {
    public private(set) var tokens: [Int32] = []
    /// By token, 0 to 1: of a draft through masks, the model's probability of the likeliest token where it was
    /// drawn; else the chance that the token is right where all before it are.
    public private(set) var confidences: [Float] = []
    /// A stop token ends it, not the number of masks or tokens that there may be.
    public var isOver = false
    /// Masks have just made it: it is not what was left of another.
    public var isNew = false
    /// What its source took to make it.
    public var seconds = 0.0

    public init() {}

    public var count: Int { tokens.count }
    public var isEmpty: Bool { tokens.isEmpty }

    /// Tokens that are expected to be right, where confidences are chances.
    var expected: Double {
        var (reach, sum) = (1.0, 0.0)
        for confidence in confidences {
            reach *= Double(confidence)
            sum += reach
        }
        return sum
    }

    public mutating func append(_ token: Int32, _ confidence: Float) {
        tokens.append(token)
        confidences.append(confidence)
    }

    mutating func cut(to count: Int) {
        guard tokens.count > count else { return }
        isOver = false
        tokens.removeLast(tokens.count - count)
        confidences.removeLast(confidences.count - count)
    }

    mutating func clear() {
        cut(to: 0)
        (isOver, isNew, seconds) = (false, false, 0)
    }
}

/// How drafts fared.
public struct DraftCounts: Sendable, Equatable {
    /// Draft tokens that were computed to be verified.
    public var drafted = 0
    /// Those of them that are in the text.
    public var accepted = 0

    public init() {}

    /// The share that was right; nil where nothing was drafted.
    public var acceptance: Double? {
        drafted > 0 ? Double(accepted) / Double(drafted) : nil
    }
}

/// What a pass of ``VerifiedDecoder`` computes behind the tokens that are given.
public struct DraftPlan: Sendable, Equatable {
    /// Tokens of the draft to verify.
    public var verified: Int
    /// Masks behind them; one alone is as good as none.
    public var masks: Int

    /// Next-token prediction.
    static let single = DraftPlan(verified: 0, masks: 0)

    public init(verified: Int, masks: Int) { (self.verified, self.masks) = (verified, masks) }
}

/// Who says how much of a draft is verified and how much is drafted anew, and hears how it went.
public protocol DraftPolicy: AnyObject {
    /// - Parameters:
    ///   - given: Tokens that the pass commits in any case.
    ///   - limit: Tokens that may still be produced; at least 1.
    func plan(_ draft: Draft, given: Int, limit: Int) -> DraftPlan
    /// Of the first `verified` tokens of a draft, the first `accepted` were right.
    func draftVerified(_ draft: Draft, verified: Int, accepted: Int)
    /// A pass over `positions` with logits of all took `seconds`, and gave `tokens`.
    func passMeasured(positions: Int, tokens: Int, seconds: Double)
}

/// Always as many masks; of a draft, what saves passes, whatever the time that its positions take.
///
/// The masks stand behind the *whole* draft: if it is cut they have seen a wrong token. With a tokens
/// accepted per verified draft on average, a further draft token of chance c gains c and risks
/// (1 - c) a, so it is taken while c > a / (1 + a).
public final class FixedDraft: DraftPolicy {
    private let masks: Int
    /// Accepted draft tokens per verified draft, a moving average.
    private var acceptance = 1.0

    public init(_ masks: Int) { self.masks = masks }

    public func plan(_ draft: Draft, given: Int, limit: Int) -> DraftPlan {
        let least = acceptance / (1 + acceptance)
        let refused = draft.confidences.firstIndex { Double($0) <= least }
        return DraftPlan(verified: refused ?? draft.count, masks: masks)
    }

    public func draftVerified(_ draft: Draft, verified: Int, accepted: Int) {
        // Without drafts the average fades, so that no early luck makes the rule timid for good.
        acceptance += (verified > 0 ? 0.1 : 0.02) * (Double(accepted) - acceptance)
    }

    public func passMeasured(positions: Int, tokens: Int, seconds: Double) {}
}
