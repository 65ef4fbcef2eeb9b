import Decoding
import Kernels
import Testing

/// Machines that differ in what a further position of a pass costs, for tests of block size choice.
enum Machine: String, CaseIterable {
    case disk, memory, arithmetic

    func seconds(_ positions: Int) -> Double {
        switch self {
        case .disk: 5
        case .memory: max(0.15, 0.02 * Double(positions))
        case .arithmetic: 0.01 + 0.01 * Double(positions)
        }
    }

    var costs: PassCosts { PassCosts([1, 2, 4, 8, 16, 32, 64].map { ($0, seconds($0)) }) }
}

@Suite struct AdaptiveBlockSizeTests {
    /// By offset, how likely a position needs a pass that none before it needed.
    private static let texts: [(String, @Sendable (Int) -> Double)] = [
        ("easy", { _ in 0.04 }), ("usual", { _ in 0.2 }), ("hard", { _ in 0.8 }),
        ("easy at first", { $0 < 8 ? 0.05 : 0.9 }),
    ]

    /// Tokens per second over blocks of such a text.
    private func simulate(
        _ policy: any BlockSizePolicy, tokens: Int, _ machine: Machine, seed: UInt64 = 1,
        _ newPass: (Int) -> Double
    ) -> Double {
        var random = SplitMix(seed: seed)
        var (made, seconds, before) = (0, 0.0, 1)
        while made < tokens {
            let size = policy.nextBlockSize()
            var passes = [1]
            for offset in 1..<max(1, size) {
                let isNew = random.unit() < newPass(offset)
                passes.append(isNew ? passes[offset - 1] + 1 : passes[offset - 1])
            }
            for pass in 0..<(passes.last ?? 1) {
                let positions = pass == 0 ? before + (size > 1 ? size : 0) : size
                policy.passMeasured(
                    positions: positions, rows: positions, seconds: machine.seconds(positions))
                seconds += machine.seconds(positions)
            }
            policy.blockFinished(passes: passes[...])
            made += size
            before = size
        }
        return Double(made) / seconds
    }

    private func bestFixed(
        tokens: Int, _ machine: Machine, _ newPass: (Int) -> Double
    ) -> Double {
        [1, 2, 3, 4, 6, 8, 12, 16, 24, 32].map {
            simulate(FixedBlockSize($0), tokens: tokens, machine, newPass)
        }.max() ?? 0
    }

    private func policy(
        _ machine: Machine, _ experience: Experience = .init(trained: 32, isVerified: false)
    ) -> AdaptiveBlockSize {
        AdaptiveBlockSize(costs: machine.costs, largest: 32, experience: experience)
    }

    @Test(arguments: Machine.allCases)
    func itIsAboutAsFastAsTheBestFixedSize(machine: Machine) {
        for (text, newPass) in Self.texts {
            let best = bestFixed(tokens: 2000, machine, newPass)
            let rate = simulate(policy(machine), tokens: 2000, machine, newPass)
            #expect(rate > 0.9 * best, "\(machine), \(text): \(rate / best)")
        }
    }

    @Test(arguments: Machine.allCases)
    func withExperienceShortAnswersAreAsFast(machine: Machine) {
        for (text, newPass) in Self.texts {
            var experience = Experience(trained: 32, isVerified: false)
            var rates = 0.0
            for seed in 1...40 as ClosedRange<UInt64> {
                let policy = policy(machine, experience)
                let rate = simulate(policy, tokens: 45, machine, seed: seed, newPass)
                if seed > 10 { rates += rate }
                experience = experience.merged(with: policy.run)
            }
            let best =
                [1, 2, 3, 4, 6, 8, 12, 16, 24, 32].map { size in
                    (11...40).reduce(0.0) { sum, seed in
                        let policy = FixedBlockSize(size)
                        return sum
                            + simulate(
                                policy, tokens: 45, machine, seed: UInt64(seed), newPass)
                    }
                }.max() ?? 0
            #expect(rates > 0.9 * best, "\(machine), \(text): \(rates / best)")
        }
    }

    @Test(arguments: Machine.allCases)
    func itFollowsATextThatChanges(machine: Machine) {
        let policy = policy(machine)
        for (text, newPass) in [Self.texts[2], Self.texts[0], Self.texts[3]] {
            let best = bestFixed(tokens: 3000, machine, newPass)
            let rate = simulate(policy, tokens: 3000, machine, newPass)
            #expect(rate > 0.8 * best, "\(machine), \(text): \(rate / best)")
        }
    }
}

@Suite struct PassCostTests {
    @Test func pointsAreInterpolatedAndRowsCount() {
        let costs = PassCosts([(1, 1), (5, 3), (200, 9), (3, .nan), (0, 1)], rowSeconds: 0.25)
        #expect(costs.seconds(1) == 1)
        #expect(costs.seconds(3) == 2)
        #expect(costs.seconds(3, rows: 1) == 1.5)
        #expect(costs.seconds(10) == 6)
        #expect(costs.points.map(\.positions) == [1, 5])
        #expect(PassCosts().isEmpty && PassCosts().seconds(5) == 0)
    }

    @Test func aSlowMachineSlowsAllPassesAndAnOutlierNone() {
        let policy = AdaptiveBlockSize(
            costs: PassCosts([(1, 1), (8, 2)]), largest: 4,
            experience: .init(trained: 4, isVerified: false))
        policy.passMeasured(positions: 1, rows: 1, seconds: 1000)
        #expect(policy.costs.seconds(8) / policy.costs.seconds(1) > 1.9)
        for _ in 0..<100 { policy.passMeasured(positions: 1, rows: 1, seconds: 3) }
        #expect(policy.costs.seconds(1) > 2.7 && policy.costs.seconds(8) > 4.5)
    }

    @Test func measuringLeavesTheModelEmpty() throws {
        let model = try ScriptedModel()
        let sampler = Sampler(
            SamplingOptions(), vocabularySize: 32, forbidden: [31], compute: model.compute)
        let costs = PassCosts.measure(model, sampler: sampler, largest: 8, patience: 0)
        #expect(Set(costs.points.map(\.positions)).isSuperset(of: [1, 8, 16]))
        #expect(costs.points.allSatisfy { $0.seconds > 0 } && costs.rowSeconds >= 0)
        #expect(model.position == 0)
    }
}

/// Random numbers that are the same in every run.
struct SplitMix {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 }

    /// In [0, 1).
    mutating func unit() -> Double {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return Double((z ^ (z >> 31)) >> 11) * 0x1p-53
    }
}
