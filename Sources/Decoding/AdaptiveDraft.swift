/// Chooses, for every pass of ``VerifiedDecoder``, how many draft tokens to verify and how many masks
/// to put behind them, so that tokens per second are the most that can be expected.
///
/// Every position of a pass costs time, by ``PassCosts``. A draft token of chance c is worth what it
/// may add to the text and what its acceptance leaves of the masks behind it; a mask is worth the
/// draft it makes, which again may be verified in part. Both follow from the best rate r at which
/// tokens can be had in the long run: a pass is worth its tokens, less r for each second, plus what
/// the draft it leaves is worth. r and the worth of a draft are found by policy iteration over the
/// latest drafts (``DraftMemory``): each is planned as if it were at hand, and so are the shorter ones
/// that fewer masks would have made. The pass at hand is then planned by its own draft. Whether all
/// that is better than next-token prediction is tried (``Trial``).
public final class AdaptiveDraft: DraftPolicy, ExperienceSource {
    /// The time of passes, kept up to date.
    public private(set) var costs: PassCosts
    /// What this run has shown, but for the trial's part.
    private var seen: Experience
    /// That and what earlier runs have shown, fading.
    private var experience: Experience
    /// Numbers of masks to choose from, ascending, 0 first.
    private let sizes: [Int]
    /// By index into `sizes`: tokens that a draft of so many masks leads to until one fails, and the
    /// seconds they take.
    private var worth: [(tokens: Double, seconds: Double)]
    /// Tokens per second in the long run, with drafts.
    public private(set) var rate = 0.0
    private var trial: Trial
    /// Seconds by positions of a pass.
    private var seconds: [Double] = []
    /// Passes with drafts since the last refresh.
    private var passes = 0
    /// Passes from one refresh to the next: few as long as little is known.
    private var interval = 2

    private static let longestInterval = 64
    /// Tokens that a draft leads to at most: where all is certain there would be no end.
    private static let most = 500.0
    /// Chance below which no further draft token is looked at.
    private static let leastReach = 0.02

    /// - Parameter costs: Empty where nothing was measured: all passes are taken to last equally long then.
    public init(costs: PassCosts, largest: Int, experience: Experience) {
        self.costs = costs.isEmpty ? PassCosts([(1, 1), (PassCosts.capacity, 1)]) : costs
        self.experience = experience.beginning()
        seen = experience.emptied
        trial = Trial(experience.blockCost)
        sizes = [0, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64].filter { $0 <= largest }
        worth = Array(repeating: (0, 0), count: sizes.count)
    }

    public var run: Experience {
        var result = seen
        result.blockCost = trial.run
        return result
    }

    public func plan(_ draft: Draft, given: Int, limit: Int) -> DraftPlan {
        if draft.isNew {
            experience.drafts.add(draft)
            seen.drafts.add(draft)
        }
        let plan = isDrafting() ? plan(behind: draft, given, limit) : .single
        // Of a pass that reads a prompt, what it would take behind one token.
        if given > 1 { trial.add(tokens: 1, seconds: time(1 + plan.masks)) }
        return plan
    }

    private func plan(behind draft: Draft, _ given: Int, _ limit: Int) -> DraftPlan {
        var best = (value: -Double.infinity, plan: DraftPlan.single)
        var (reach, tokens) = (1.0, 1.0)
        for verified in 0...min(draft.count, limit - 1) {
            if verified > 0 {
                reach *= experience.drafts.confidences.chance(draft.confidences[verified - 1])
                tokens += reach
                if reach < Self.leastReach { break }
            }
            for (index, masks) in sizes.enumerated()
            where masks <= limit - verified && verified + masks > 0 {
                let value =
                    tokens + reach * worth(index) - rate * time(given + verified + masks)
                if value >= best.value {  // more masks, where they cost nothing
                    best = (value, DraftPlan(verified: verified, masks: masks))
                }
            }
        }
        return best.plan
    }

    private func isDrafting() -> Bool {
        if passes >= interval || rate == 0 { refresh() }
        return trial.choosesBlocks { rate * costs.seconds(1) }
    }

    /// Tokens that a draft of the size at `index` is worth.
    private func worth(_ index: Int) -> Double {
        worth[index].tokens - rate * worth[index].seconds
    }

    public func draftVerified(_ draft: Draft, verified: Int, accepted: Int) {
        for index in 0..<min(verified, accepted + 1) {
            let (confidence, isRight) = (draft.confidences[index], index < accepted)
            experience.drafts.confidences.add(confidence, isRight: isRight)
            seen.drafts.confidences.add(confidence, isRight: isRight)
        }
    }

    public func passMeasured(positions: Int, tokens: Int, seconds: Double) {
        costs.update(positions: positions, rows: positions, seconds: seconds)
        if trial.isInBlocks != false { passes += 1 }
        trial.add(tokens: tokens, seconds: seconds)
    }

    private func time(_ positions: Int) -> Double {
        positions < seconds.count ? seconds[positions] : costs.seconds(positions)
    }

    /// Finds the rate and the worth of drafts anew.
    private func refresh() {
        passes = 0
        interval = min(2 * interval, Self.longestInterval)
        let largest = max(1, sizes.last ?? 1)
        seconds = (0...2 * largest).map { costs.seconds(max(1, $0)) }
        let drafts = experience.drafts.expected(largest - 1)
        for _ in 0..<40 {
            let before = rate
            improve(drafts)
            if abs(rate - before) <= 1e-3 * rate { break }
        }
    }

    /// One step of policy iteration.
    private func improve(_ drafts: [DraftMemory.Expected]) {
        let values = sizes.indices.map(worth)
        // By size: what its masks add to the worth of the next smaller one's, of how many drafts.
        var sums = Array(repeating: (tokens: 0.0, seconds: 0.0, weight: 0.0), count: sizes.count)
        for draft in drafts {
            var (reach, tokens, verified) = (1.0, 1.0, 0)
            var best = (value: -Double.infinity, tokens: 0.0, seconds: 0.0)
            func verify() {
                for (index, masks) in sizes.enumerated() where verified + masks > 0 {
                    let time = seconds[1 + verified + masks]
                    let value = tokens + reach * values[index] - rate * time
                    guard value > best.value else { continue }
                    best = (
                        value, tokens + reach * worth[index].tokens,
                        time + reach * worth[index].seconds
                    )
                }
            }
            verify()
            var before = (tokens: 0.0, seconds: 0.0)
            for (index, masks) in sizes.enumerated().dropFirst() {
                // So many masks draft so many tokens and decide one.
                while verified < min(masks - 1, draft.chances.count) {
                    reach *= draft.chances[verified]
                    tokens += reach
                    verified += 1
                    if reach >= Self.leastReach { verify() }
                }
                let weight = masks - 1 <= draft.seen ? draft.weights.within : draft.weights.beyond
                sums[index].tokens += weight * (best.tokens - before.tokens)
                sums[index].seconds += weight * (best.seconds - before.seconds)
                sums[index].weight += weight
                before = (best.tokens, best.seconds)
            }
        }
        var total = (tokens: 0.0, seconds: 0.0)
        rate = 0
        for index in sizes.indices.dropFirst() {
            total.tokens += sums[index].tokens / sums[index].weight
            total.seconds += sums[index].seconds / sums[index].weight
            let share = min(1, Self.most / max(total.tokens, 1))
            worth[index] = (share * total.tokens, share * total.seconds)
            rate = max(
                rate, (1 + worth[index].tokens) / (seconds[1 + sizes[index]] + worth[index].seconds)
            )
        }
    }
}
