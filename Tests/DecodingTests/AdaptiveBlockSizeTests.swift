import Decoding
import Kernels
import Testing

@Suite struct AdaptiveBlockSizeTests {
    /// Blocks of a text where a size takes `passes` passes on average; returns tokens per second.
    private func simulate(
        _ policy: any BlockSizePolicy, tokens: Int, cost: (Int) -> Double,
        passes: (Double) -> Double
    ) -> (rate: Double, sizes: [Int]) {
        var (made, seconds, sizes) = (0, 0.0, [Int]())
        var before = 1
        var share = 0.5  // of a pass, carried over so that the mean is `passes`
        while made < tokens {
            let size = policy.nextBlockSize()
            sizes.append(size)
            share += passes(Double(size))
            let count = max(1, Int(share))
            share -= Double(count)
            for pass in 0..<count {
                let positions = pass == 0 ? before + (size > 1 ? size : 0) : size
                policy.passMeasured(positions: positions, seconds: cost(positions))
                seconds += cost(positions)
            }
            policy.blockFinished(size: size, tokens: size, passes: count)
            made += size
            before = size
        }
        return (Double(made) / seconds, sizes)
    }

    private static let machines: [(String, @Sendable (Int) -> Double)] = [
        ("disk", { _ in 5 }),
        ("memory", { max(0.15, 0.02 * Double($0)) }),
        ("arithmetic", { 0.01 * Double($0) }),
    ]

    private static let texts: [(String, @Sendable (Double) -> Double)] = [
        ("easy", { 1 + ($0 - 1) * 0.04 }),
        ("usual", { 1 + ($0 - 1) * 0.2 }),
        ("hard", { 1 + ($0 - 1) * 0.8 }),
        ("saturating", { max(1, $0 / 4) }),
    ]

    @Test func itIsAboutAsFastAsTheBestFixedSize() {
        for (machine, cost) in Self.machines {
            for (text, passes) in Self.texts {
                let best = bestFixed(tokens: 2000, cost: cost, passes: passes)
                let points = [1, 2, 4, 8, 16, 32, 64].map { ($0, cost($0)) }
                let policy = AdaptiveBlockSize(costs: PassCosts(points), largest: 32)
                let rate = simulate(policy, tokens: 2000, cost: cost, passes: passes).rate
                #expect(rate > 0.95 * best, "\(machine), \(text): \(rate) against \(best)")
            }
        }
    }

    @Test func itFollowsATextThatChanges() {
        for (machine, cost) in Self.machines {
            let points = [1, 2, 4, 8, 16, 32, 64].map { ($0, cost($0)) }
            let policy = AdaptiveBlockSize(costs: PassCosts(points), largest: 32)
            for (text, passes) in [Self.texts[2], Self.texts[0], Self.texts[3]] {
                let best = bestFixed(tokens: 3000, cost: cost, passes: passes)
                let rate = simulate(policy, tokens: 3000, cost: cost, passes: passes).rate
                #expect(rate > 0.85 * best, "\(machine), \(text): \(rate) against \(best)")
            }
        }
    }

    private func bestFixed(
        tokens: Int, cost: (Int) -> Double, passes: (Double) -> Double
    ) -> Double {
        [1, 2, 4, 6, 8, 12, 16, 24, 32].map { size in
            simulate(FixedBlockSize(size), tokens: tokens, cost: cost, passes: passes).rate
        }.max() ?? 0
    }

    @Test func passCostsAreInterpolatedAndOneOutlierMovesThemLittle() {
        let costs = PassCosts([(1, 1), (5, 3), (200, 9), (3, .nan), (0, 1)])
        #expect(costs.seconds(1) == 1)
        #expect(costs.seconds(3) == 2)
        #expect(costs.seconds(10) == 6)
        #expect(costs.points.map(\.positions) == [1, 5])
        let policy = AdaptiveBlockSize(costs: costs, largest: 4)
        policy.passMeasured(positions: 3, seconds: 1000)
        #expect(policy.costs.seconds(3) == 2.4)
        #expect(PassCosts().isEmpty && PassCosts().seconds(5) == 0)
    }

    @Test func measuringLeavesTheModelEmpty() throws {
        let model = try ScriptedModel()
        let costs = PassCosts.measure(model, largest: 8, patience: 0)
        #expect(costs.points.map(\.positions) == [1, 2, 4, 8, 16])
        #expect(costs.points.allSatisfy { $0.seconds > 0 })
        #expect(model.position == 0)
    }

    @Test(arguments: [false, true])
    func bothBlockDecodersWorkWithChangingSizes(isVerified: Bool) throws {
        for seed in 1...6 as ClosedRange<UInt64> {
            let (plain, _) = try decode(try ScriptedModel(seed: seed), .next, limit: 200)
            let model = try ScriptedModel(seed: seed)
            let sampler = Sampler(
                SamplingOptions(), vocabularySize: 32, forbidden: [31], compute: model.compute)
            let state = DecodingState(model, sampler: sampler, stopTokens: [])
            let policy = AdaptiveBlockSize(
                costs: PassCosts([(1, 1), (64, 1.5)]), largest: 16, isVerified: isVerified)
            let decoder: any TokenDecoder =
                isVerified
                ? try VerifiedDecoder(state, policy: policy, largest: 16)
                : try SetBlockDecoder(
                    state, rule: .entropyBound(gamma: 1, .entropy), policy: policy, largest: 16)
            try state.append([1, 2, 3])
            var tokens: [FixedToken] = []
            while tokens.count < 200 { decoder.step(limit: 200 - tokens.count, into: &tokens) }
            decoder.finish()
            #expect(tokens.count == 200)
            #expect(model.cache + state.pending == [1, 2, 3] + tokens.ids)
            if isVerified { #expect(tokens.ids == plain.ids) }
        }
    }
}

@Suite struct LogitScoreTests {
    @Test func scoresEqualTheirDefinition() throws {
        let compute = try Compute(isa: "scalar", threads: 1)
        let logits = Buffer<Float>(count: 6)
        for (index, value) in [9, 1, 2, 3, 0.5, 9].enumerated() { logits[index] = Float(value) }
        var score = LogitScore()
        score.add(
            logits, 1..<5, next: 2, reference: [0, 4, 1, 0], compute: compute)
        func softmax(_ values: [Double]) -> [Double] {
            let weights = values.map { Double.exponential($0) }
            return weights.map { $0 / weights.reduce(0, +) }
        }
        let model = softmax([1, 2, 3, 0.5])
        let reference = softmax([0, 4, 1, 0])
        var divergence = 0.0
        for index in 0..<4 {
            divergence += reference[index] * (reference[index] / model[index]).naturalLogarithm
        }
        #expect(abs(score.meanNLL + model[2].naturalLogarithm) < 1e-6)
        #expect(abs(score.meanKL - divergence) < 1e-6)
        #expect(score.top1Agreement == 0)
        score.add(logits, 1..<5, next: 0, reference: [1, 2, 3, 0.5], compute: compute)
        #expect(score.top1Agreement == 0.5)
        #expect(abs(score.meanKL - divergence / 2) < 1e-6)
        score.add(logits, 1..<5, next: 0, reference: nil, compute: compute)
        #expect(score.tokens == 3 && score.compared == 2)
    }
}
