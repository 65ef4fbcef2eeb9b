/// The worth of the draft that a number of masks makes, learned from the drafts that masks have made.
///
/// Relative to having no draft, and with R the price of time, a draft of chances c1, c2 ... is worth
///
///     h(c) = V(c) - V(),   V(c) = max over v and k of  E(v) + p(v) W(k) - R T(1 + v + k)
///
/// where v of its tokens are verified and k masks follow: E(v) = 1 + c1 + c1 c2 + ... are the tokens that the
/// pass is expected to give, p(v) = c1 ... cv is the chance that the masks have seen the true text, and W(k) the
/// mean of h over the latest drafts, each cut to the k - 1 tokens that k masks would have made. This is the
/// Bellman equation of decoding as a process of decisions with an average reward. W is found by value iteration,
/// a few drafts a pass.
struct MaskWorth: Sendable {
    /// Numbers of masks, ascending: 0, which makes no draft, and those to choose from. A single mask would stand
    /// where the pass decides anyway.
    let sizes: [Int]
    /// Index of the least size that may be chosen.
    private let first: Int
    /// By size, W.
    private(set) var worth: [Double]
    /// The latest drafts. The first is the latest, extended by hoped-for tokens, so that longer drafts are tried.
    private var drafts: [Seen]
    /// Index at which the next draft is stored, and index of the draft that is looked at next.
    private var (place, turn) = (1, 1)

    /// A draft.
    private struct Seen {
        var confidences: [Float]
        /// Masks that made it; more where a stop token ended it.
        var masks: Int
        /// For each size, its worth if it is cut to that size.
        var gains: [Double]
    }

    /// Drafts that are remembered, drafts that are looked at in a pass, and the weight of the first in drafts.
    private static let (count, perPass, doubt) = (48, 2, 2.0)
    /// Confidence of a hoped-for token.
    private static let hope: Float = 0.95
    /// Chance below which no further draft token is looked at.
    private static let leastReach = 0.02

    /// - Parameter isFixed: Always `largest` masks.
    init(largest: Int, isFixed: Bool) {
        let all = [2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64]
        sizes = [0] + (isFixed ? [largest] : all).filter { $0 > 1 && $0 <= largest }
        first = isFixed ? sizes.count - 1 : 0
        worth = Array(repeating: 0, count: sizes.count)
        drafts = [Seen(confidences: [], masks: .max, gains: worth)]
        hope(Draft())
    }

    /// Notes the confidences of the latest draft, and those that are hoped for with more masks.
    private mutating func hope(_ draft: Draft) {
        drafts[0].confidences.removeAll(keepingCapacity: true)
        drafts[0].confidences += draft.confidences
        while drafts[0].confidences.count < sizes[sizes.count - 1] {
            drafts[0].confidences.append(Self.hope)
        }
    }

    /// Numbers of masks, by index, that may follow where there can be `room` more tokens.
    func choices(room: Int) -> some Sequence<(index: Int, masks: Int)> {
        (first..<sizes.count).lazy.map { ($0, min(sizes[$0], room)) }
            .filter { $0.1 == sizes[$0.0] || $0.0 == first }
    }

    /// Remembers a draft.
    mutating func add(_ draft: Draft, masks: Int) {
        let seen = Seen(confidences: draft.confidences, masks: masks, gains: drafts[0].gains)
        if place < drafts.count { drafts[place] = seen } else { drafts.append(seen) }
        turn = place  // looked at first
        if masks < .max { hope(draft) }
        place = place == Self.count ? 1 : place + 1
    }

    /// Updates the worths of drafts.
    ///
    /// - Parameters:
    ///   - curve: Chances by confidence.
    ///   - costs: The cost in tokens of a pass, by its positions.
    mutating func update(_ curve: ConfidenceCurve, costs: [Double]) {
        findGains(0, costs, curve)
        for _ in 0..<min(Self.perPass, drafts.count - 1) {
            findGains(turn, costs, curve)
            turn = turn + 1 < drafts.count ? turn + 1 : 1
        }
        for index in sizes.indices.dropFirst() {
            // A draft tells what the shorter ones in it are worth.
            var (sum, weight) = (0.0, 0.0)
            for (place, draft) in drafts.enumerated() where sizes[index] <= draft.masks {
                let count = place == 0 ? Self.doubt : 1
                sum += count * (draft.gains[index] - draft.gains[index - 1])
                weight += count
            }
            worth[index] = worth[index - 1] + sum / weight
        }
    }

    private mutating func findGains(
        _ place: Int, _ costs: [Double], _ curve: ConfidenceCurve
    ) {
        var (reach, tokens, verified) = (1.0, 1.0, 0)
        let none = value(reach, tokens, verified, costs)
        var best = none
        for index in sizes.indices.dropFirst() {
            // A pass with n masks drafts n tokens and decides one.
            while verified < min(sizes[index] - 1, drafts[place].confidences.count),
                reach >= Self.leastReach
            {
                reach *= curve.chance(drafts[place].confidences[verified])
                tokens += reach
                verified += 1
                best = max(best, value(reach, tokens, verified, costs))
            }
            drafts[place].gains[index] = best - none
        }
    }

    /// Value of a pass that verifies this many tokens, with the best number of masks.
    private func value(
        _ reach: Double, _ tokens: Double, _ verified: Int, _ costs: [Double]
    ) -> Double {
        var best = -Double.infinity
        for index in first..<sizes.count {
            best = max(best, tokens + reach * worth[index] - costs[1 + verified + sizes[index]])
        }
        return best
    }
}
