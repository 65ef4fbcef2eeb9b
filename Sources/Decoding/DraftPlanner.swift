/// Verifies as much of each draft as gives the most tokens per second.
///
/// A pass that verifies v draft tokens of chances c1 ... cv, each where those before it are right, takes
/// T(1 + v) and is expected to give
///
///     E(v) = 1 + c1 + c1 c2 + ... + c1 ... cv
///
/// tokens: those that are right, and the one that the pass draws after them. Of all v, the one with the
/// largest E(v) / (D + T(1 + v)) is taken, where D is what the draft took to make. Where a text goes on as it is, every pass meets such a draft, and
/// tokens per second of each pass are those of the text; v = 0 is next-token prediction, so that no pass is
/// expected to be slower than that.
///
/// T is learned from the passes of the text (``PassTimes``).
public final class DraftPlanner: DraftPolicy {
    private var times = PassTimes()
    /// What a verification is taken to cost more than it seems: of several guesses that are off, the best looks
    /// better than it is.
    private static let caution = 1.02

    public init() {}

    public func plan(_ draft: Draft, given: Int, limit: Int) -> DraftPlan {
        // Of a pass that reads a prompt no time is known; and one of a single token comes first.
        guard given == 1, times.single > 0, !draft.isEmpty else { return .single }
        var (reach, tokens, verified) = (1.0, 1.0, 0)
        let made = draft.seconds / times.single
        var best = (rate: 1 / (1 + made), verified: 0)
        for (index, positions) in PassTimes.sizes.enumerated().dropFirst() {
            guard positions <= 1 + min(draft.count, limit - 1) else { break }
            while verified < positions - 1 {
                let chance = Double(draft.confidences[verified])
                reach *= chance > 0 ? min(chance, 1) : 0  // 0 for what is no number
                tokens += reach
                verified += 1
            }
            let rate = tokens / (made + Self.caution * times.expected[index])
            if rate > best.rate { best = (rate, verified) }
        }
        return DraftPlan(verified: best.verified, masks: 0)
    }

    public func draftVerified(_ draft: Draft, verified: Int, accepted: Int) {}

    public func passMeasured(positions: Int, tokens: Int, seconds: Double) {
        times.add(positions: positions, seconds: seconds)
    }
}
