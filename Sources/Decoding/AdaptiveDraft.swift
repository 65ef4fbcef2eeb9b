/// Chooses, for every pass of ``VerifiedDecoder``, how many draft tokens to verify and how many masks
/// to put behind them, so that tokens per second are the most that can be expected.
///
/// Every position of a pass costs time, by ``PassCosts``. A draft token of chance c is worth what it
/// may add to the text and what its acceptance leaves of the masks behind it; a mask is worth the
/// draft it makes, which again may be verified in part. Both follow from the best rate r at which
/// tokens can be had in the long run: a pass is worth its tokens, less r for each second, plus what
/// the draft it leaves is worth. r and the worth of a draft are found by policy iteration over the
/// chances by offset (``OffsetCurve``); the pass at hand is then planned by the confidences of its
/// own draft. Since doubtful tokens are cut from it, drafts turn out to be worth more than their mean
/// chances say, by a factor for each size that is learned too. Whether all that is better than
/// next-token prediction is tried (``Trial``).
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
    /// By index into `sizes`: what such drafts were worth, to that.
    private var surplus: [Double]
    /// Tokens per second in the long run, with drafts.
    public private(set) var rate = 0.0
    private var trial: Trial
    /// Seconds by positions of a pass.
    private var seconds: [Double] = []
    /// Passes with drafts, and their tokens, since the last refresh.
    private var (passes, tokens) = (0, 0)

    /// Passes between two refreshes.
    private static let interval = 16
    /// Tokens that a draft leads to at most: where all is certain there would be no end.
    private static let most = 500.0
    /// Chance below which no further draft token is looked at.
    private static let leastReach = 0.02

    public init(costs: PassCosts, largest: Int, experience: Experience) {
        self.costs = costs
        self.experience = experience.beginning()
        seen = experience.emptied
        trial = Trial(experience.blockCost)
        sizes = [0, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64].filter { $0 <= largest }
        worth = Array(repeating: (0, 0), count: sizes.count)
        surplus = Array(repeating: 1, count: sizes.count)
    }

    public var run: Experience {
        var result = seen
        result.blockCost = trial.run
        return result
    }

    public func plan(_ draft: Draft, given: Int, limit: Int) -> DraftPlan {
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
                reach *= experience.confidences.chance(draft.confidences[verified - 1])
                tokens += reach
                if reach < Self.leastReach { break }
            }
            for (index, masks) in sizes.enumerated()
            where masks <= limit - verified && verified + masks > 0 {
                let value =
                    tokens + reach * surplus[index] * worth(index)
                    - rate * time(given + verified + masks)
                if value >= best.value {  // more masks, where they cost nothing
                    best = (value, DraftPlan(verified: verified, masks: masks))
                }
            }
        }
        // A draft as it was expected when its masks were chosen.
        if given == 1, draft.count > 0, limit > draft.count,
            let index = sizes.firstIndex(of: draft.count + 1)
        {
            experience.surplus.add(best.value, expected: worth(index), masks: sizes[index])
            seen.surplus.add(best.value, expected: worth(index), masks: sizes[index])
        }
        return best.plan
    }

    private func isDrafting() -> Bool {
        if passes >= Self.interval || rate == 0 { refresh() }
        return costs.isEmpty || trial.choosesBlocks { rate * costs.seconds(1) }
    }

    /// Tokens that a draft of the size at `index` is worth by the chances of its offsets.
    private func worth(_ index: Int) -> Double {
        worth[index].tokens - rate * worth[index].seconds
    }

    public func draftVerified(_ draft: Draft, verified: Int, accepted: Int) {
        for index in 0..<min(verified, accepted + 1) {
            let (confidence, isRight) = (draft.confidences[index], index < accepted)
            experience.confidences.add(confidence, isRight: isRight)
            seen.confidences.add(confidence, isRight: isRight)
            count(index, isRight ? 1 : 0)
        }
        // Tokens that were not verified, mostly doubtful ones, count by their chance: else only good
        // ones would be seen.
        guard accepted == verified else { return }
        for index in verified..<draft.count {
            count(index, experience.confidences.chance(draft.confidences[index]))
        }
    }

    private func count(_ offset: Int, _ value: Double) {
        experience.offsets.add(offset, value)
        seen.offsets.add(offset, value)
    }

    public func passMeasured(positions: Int, tokens: Int, seconds: Double) {
        costs.update(positions: positions, rows: positions, seconds: seconds)
        if trial.isInBlocks != false {
            passes += 1
            self.tokens += tokens
        }
        trial.add(tokens: tokens, seconds: seconds)
    }

    private func time(_ positions: Int) -> Double {
        positions < seconds.count ? seconds[positions] : costs.seconds(positions)
    }

    /// Lets old observations fade, then finds the rate and the worth of drafts anew.
    private func refresh() {
        let share = max(0, 1 - Double(tokens) / AdaptiveBlockSize.memory)
        (passes, tokens) = (0, 0)
        experience.fade(to: share)
        seen.fade(to: share)
        surplus = experience.surplus.factors(sizes)
        let largest = max(1, sizes.last ?? 1)
        seconds = (0...2 * largest).map { costs.seconds(max(1, $0)) }
        // By draft tokens: the chance that all are accepted, and how many are on average.
        var (survival, accepted) = ([1.0], [0.0])
        for chance in experience.offsets.chances.prefix(largest - 1) {
            survival.append(survival[survival.count - 1] * min(chance, 0.999))
            accepted.append(accepted[accepted.count - 1] + survival[survival.count - 1])
        }
        for _ in 0..<40 {
            let before = rate
            improve(survival, accepted)
            if abs(rate - before) <= 1e-4 * rate { break }
        }
    }

    /// One step of policy iteration.
    private func improve(_ survival: [Double], _ accepted: [Double]) {
        var best = (value: -Double.infinity, tokens: 0.0, seconds: 0.0)
        var next = worth
        var size = 1
        for verified in survival.indices {
            for (index, masks) in sizes.enumerated() where verified + masks > 0 {
                let reach = surplus[index] * survival[verified]
                let tokens = 1 + accepted[verified] + reach * worth[index].tokens
                let time = seconds[1 + verified + masks] + reach * worth[index].seconds
                let value = tokens - rate * time
                if value > best.value { best = (value, tokens, time) }
            }
            // So many masks draft so many tokens and decide one.
            while size < sizes.count, sizes[size] == verified + 1 {
                next[size] = (best.tokens, best.seconds)
                size += 1
            }
        }
        worth = next.map { (min($0.tokens, Self.most), $0.seconds * min(1, Self.most / $0.tokens)) }
        rate = sizes.indices.dropFirst().reduce(0) { most, index in
            max(
                most, (1 + worth[index].tokens) / (seconds[1 + sizes[index]] + worth[index].seconds)
            )
        }
    }
}
