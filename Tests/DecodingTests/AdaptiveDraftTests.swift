import Decoding
import Kernels
import Testing

@Suite struct AdaptiveDraftTests {
    /// By offset, the chance that a draft token is accepted where all before it were.
    private static let texts: [(String, @Sendable (Int) -> Double)] = [
        ("certain", { _ in 0.99 }), ("usual", { _ in 0.85 }), ("hard", { _ in 0.3 }),
        ("easy at first", { $0 < 6 ? 0.95 : 0.4 }),
    ]

    /// Tokens per second. A token's confidence is its chance, which varies around that of its offset.
    private func simulate(
        _ policy: any DraftPolicy, tokens: Int, _ machine: Machine, seed: UInt64 = 1,
        _ chance: (Int) -> Double
    ) -> Double {
        var random = SplitMix(seed: seed)
        var (made, seconds, draft) = (0, 0.0, Draft())
        while made < tokens {
            let plan = policy.plan(draft, given: 1, limit: 1000)
            let positions = 1 + plan.verified + (plan.masks > 1 ? plan.masks : 0)
            var accepted = 0
            while accepted < plan.verified,
                random.unit() < Double(draft.confidences[accepted])
            {
                accepted += 1
            }
            policy.draftVerified(draft, verified: plan.verified, accepted: accepted)
            policy.passMeasured(
                positions: positions, tokens: accepted + 1, seconds: machine.seconds(positions))
            seconds += machine.seconds(positions)
            made += accepted + 1
            draft = Draft()
            guard accepted == plan.verified, plan.masks > 1 else { continue }
            draft.isNew = true
            for offset in 0..<plan.masks - 1 {
                // Mostly sure, sometimes not at all.
                let mean = chance(offset)
                let isSure = random.unit() < mean
                draft.append(1, Float(isSure ? 1 - (1 - mean) / 4 : 0.75 * mean))
            }
        }
        return Double(made) / seconds
    }

    /// The number of masks that is best for another text of the same kind: the best of several for the
    /// same text would be a matter of luck too.
    private func bestMasks(_ machine: Machine, _ chance: (Int) -> Double) -> Int {
        let rates = [1, 2, 4, 6, 8, 12, 16, 24, 32].map {
            ($0, simulate(FixedDraft($0), tokens: 4000, machine, seed: 0, chance))
        }
        return rates.max { $0.1 < $1.1 }?.0 ?? 1
    }

    @Test func passesOfUnknownCostAreTakenToLastEquallyLong() {
        let policy = AdaptiveDraft(
            costs: PassCosts(), largest: 32, experience: Experience(trained: 16))
        let plan = policy.plan(Draft(), given: 1, limit: 100)
        #expect(plan.masks > 1, "more masks cost nothing")
        #expect(policy.rate > 1 && policy.rate.isFinite)
        let machine = Machine.allCases[0]
        let drafted = simulate(policy, tokens: 2000, machine) { _ in 0.9 }
        #expect(drafted > 1 / machine.seconds(1))
    }

    private func policy(
        _ machine: Machine, _ experience: Experience = .init(trained: 16)
    ) -> AdaptiveDraft {
        AdaptiveDraft(costs: machine.costs, largest: 32, experience: experience)
    }

    @Test(arguments: Machine.allCases)
    func itIsAsFastAsTheBestFixedNumberOfMasks(machine: Machine) {
        for (text, chance) in Self.texts {
            let fixed = FixedDraft(bestMasks(machine, chance))
            let best = simulate(fixed, tokens: 4000, machine, chance)
            let rate = simulate(policy(machine), tokens: 4000, machine, chance)
            #expect(rate > 0.94 * best, "\(machine), \(text): \(rate / best)")
        }
    }

    @Test(arguments: Machine.allCases)
    func withExperienceShortAnswersAreAsFast(machine: Machine) {
        for (text, chance) in Self.texts {
            var experience = Experience(trained: 16)
            var rates = 0.0
            for seed in 1...40 as ClosedRange<UInt64> {
                let policy = policy(machine, experience)
                let rate = simulate(policy, tokens: 45, machine, seed: seed, chance)
                if seed > 10 { rates += rate }
                experience = experience.merged(with: policy.run)
            }
            let masks = bestMasks(machine, chance)
            let best = (11...40).reduce(0.0) { sum, seed in
                let seed = UInt64(seed)
                return sum + simulate(FixedDraft(masks), tokens: 45, machine, seed: seed, chance)
            }
            #expect(rates > 0.9 * best, "\(machine), \(text): \(rates / best)")
        }
    }

    /// Passes over more than one position take other times than was measured.
    @Test(arguments: [0.7, 1.4])
    func aWrongMeasurementCostsLittle(factor: Double) {
        let costs = Machine.arithmetic.costs(several: 1 / factor)
        for (text, chance) in Self.texts {
            let fixed = FixedDraft(bestMasks(.arithmetic, chance))
            let best = simulate(fixed, tokens: 4000, .arithmetic, chance)
            let policy = AdaptiveDraft(
                costs: costs, largest: 32, experience: .init(trained: 16))
            let rate = simulate(policy, tokens: 4000, .arithmetic, chance)
            #expect(rate > 0.94 * best, "\(text): \(rate / best)")
        }
    }

    @Test func wherePositionsCostAsMuchAsPassesItDecodesSingleTokens() {
        let costs = PassCosts([(1, 1), (64, 64)])
        let policy = AdaptiveDraft(
            costs: costs, largest: 32, experience: .init(trained: 8))
        for _ in 0..<40 {
            #expect(policy.plan(Draft(), given: 1, limit: 99) == .init(verified: 0, masks: 0))
            policy.passMeasured(positions: 1, tokens: 1, seconds: 1)
        }
    }

    @Test func nothingIsPlannedBeyondTheLimit() {
        let policy = policy(.disk)
        var draft = Draft()
        for _ in 0..<10 {
            draft.append(1, 0.999)
        }
        for limit in 1...12 {
            let plan = policy.plan(draft, given: 1, limit: limit)
            #expect(plan.verified < limit && plan.verified + plan.masks <= limit)
        }
    }

    @Test func oneOddTextDoesNotSpoilWhatManyHaveShown() {
        var known = Experience(trained: 8)
        for _ in 0..<500 { known.offsets.add(0, 1) }
        var odd = known.emptied
        for _ in 0..<500 { odd.offsets.add(0, 0) }
        #expect(known.merged(with: odd).offsets.chances[0] > 0.9)
        // But many of them count.
        for _ in 0..<50 { known = known.merged(with: odd) }
        #expect(known.offsets.chances[0] < 0.1)
    }

    @Test func experienceIsReadAsItWasWritten() {
        var experience = Experience(trained: 8)
        experience.offsets.add(3, 0.25, weight: 2)
        experience.drafts.confidences.table.add(9, 1)
        var draft = Draft()
        for confidence in [0.9995, 0.97, 0.1] as [Float] { draft.append(1, confidence) }
        experience.drafts.add(draft)
        draft.isOver = true
        experience.drafts.add(draft)
        let empty = Experience(trained: 8)
        #expect(empty.reading(experience.lines) == experience)
        let odd = [
            "", "offset 1", "offset 1 nan 1", "offset -1 1 1", "offset 1 1 7", "what 1 1 1",
            "draft",
            "draft 9x", "draft \u{4E07}", "draft " + String(repeating: "9", count: 64),
        ]
        #expect(empty.reading(odd) == empty)
    }

    /// The text is that of single tokens, whatever is planned.
    @Test func anyPlanGivesTheSameText() throws {
        for seed in 1...12 as ClosedRange<UInt64> {
            for temperature in [0, 0.8] as [Float] {
                let options = sampling(temperature: temperature, seed: seed)
                let (plain, _) = try decode(
                    try ScriptedModel(seed: seed), .next, limit: 120, options: options)
                let model = try ScriptedModel(seed: seed)
                let sampler = Sampler(
                    options, vocabularySize: 32, forbidden: [31], compute: model.compute)
                let state = DecodingState(model, sampler: sampler, stopTokens: [])
                let decoder = try VerifiedDecoder(
                    state, policy: RandomDraft(seed: seed), largest: 16)
                try state.append([1, 2, 3])
                var tokens: [FixedToken] = []
                while tokens.count < 120 {
                    try decoder.step(limit: 120 - tokens.count, into: &tokens)
                }
                decoder.finish()
                #expect(tokens.ids == plain.ids, "seed \(seed)")
                #expect(model.cache + state.pending == [1, 2, 3] + plain.ids)
            }
        }
    }
}

/// Plans at random.
private final class RandomDraft: DraftPolicy {
    private var random: SplitMix
    init(seed: UInt64) { random = SplitMix(seed: seed) }

    func plan(_ draft: Draft, given: Int, limit: Int) -> DraftPlan {
        let verified = Int(random.unit() * Double(min(draft.count, limit - 1) + 1))
        return DraftPlan(verified: verified, masks: Int(random.unit() * 17))
    }

    func draftVerified(_ draft: Draft, verified: Int, accepted: Int) {
        #expect(accepted <= verified && verified <= draft.count)
    }

    func passMeasured(positions: Int, tokens: Int, seconds: Double) {}
}
