@testable import Decoding
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

    var costs: PassCosts { costs(several: 1) }

    /// With the times of all passes but the shortest multiplied by a factor.
    func costs(several factor: Double) -> PassCosts {
        PassCosts([1, 2, 4, 8, 16, 32, 64].map { ($0, seconds($0) * ($0 > 1 ? factor : 1)) })
    }
}

@Suite struct AdaptiveBlockSizeTests {
    /// By offset, how likely a position needs a pass that none before it needed.
    private static let texts: [(String, @Sendable (Int) -> Double)] = [
        ("easy", { _ in 0.04 }), ("usual", { _ in 0.2 }), ("hard", { _ in 0.8 }),
        ("easy at first", { $0 < 8 ? 0.05 : 0.9 }),
    ]

    /// Tokens per second over such a text: in blocks, or in a window that stops where a new pass is needed.
    private func simulate(
        _ policy: any BlockSizePolicy, tokens: Int, _ machine: Machine, slides: Bool,
        seed: UInt64 = 1, _ newPass: (Int) -> Double
    ) -> Double {
        var random = SplitMix(seed: seed)
        var (made, seconds, before) = (0, 0.0, 1)
        func pass(_ positions: Int) {
            policy.passMeasured(
                positions: positions, rows: positions, seconds: machine.seconds(positions))
            seconds += machine.seconds(positions)
        }
        while made < tokens {
            let size = policy.nextBlockSize()
            pass(before + (size > 1 ? size : 0))
            before = size
            if slides {
                before = (1..<max(1, size)).first { random.unit() < newPass($0) } ?? size
                policy.windowMoved(by: before, of: size)
            } else {
                var passes = [1]
                for offset in 1..<max(1, size) {
                    let isNew = random.unit() < newPass(offset)
                    passes.append(isNew ? passes[offset - 1] + 1 : passes[offset - 1])
                }
                for _ in 1..<(passes.last ?? 1) { pass(size) }
                policy.blockFinished(passes: passes[...])
            }
            made += before
        }
        return Double(made) / seconds
    }

    /// Tokens per second of the best fixed size, over texts of so many tokens each.
    private func bestFixed(
        tokens: Int, _ machine: Machine, slides: Bool, seeds: ClosedRange<UInt64> = 1...1,
        _ newPass: (Int) -> Double
    ) -> Double {
        [1, 2, 3, 4, 6, 8, 12, 16, 24, 32].map { size in
            seeds.reduce(0.0) { sum, seed in
                sum
                    + simulate(
                        FixedBlockSize(size), tokens: tokens, machine, slides: slides, seed: seed,
                        newPass)
            }
        }.max() ?? 0
    }

    private func policy(
        _ machine: Machine, slides: Bool,
        _ experience: Experience = .init(trained: 32)
    ) -> AdaptiveBlockSize {
        AdaptiveBlockSize(
            costs: machine.costs, largest: 32, slides: slides, experience: experience)
    }

    @Test(arguments: Machine.allCases, [false, true])
    func itIsAboutAsFastAsTheBestFixedSize(machine: Machine, slides: Bool) {
        for (text, newPass) in Self.texts {
            let best = bestFixed(tokens: 2000, machine, slides: slides, newPass)
            let policy = policy(machine, slides: slides)
            let rate = simulate(policy, tokens: 2000, machine, slides: slides, newPass)
            #expect(rate > 0.9 * best, "\(machine), \(text): \(rate / best)")
        }
    }

    @Test(arguments: Machine.allCases, [false, true])
    func withExperienceShortAnswersAreAsFast(machine: Machine, slides: Bool) {
        for (text, newPass) in Self.texts {
            var experience = Experience(trained: 32)
            var rates = 0.0
            for seed in 1...40 as ClosedRange<UInt64> {
                let policy = policy(machine, slides: slides, experience)
                let rate = simulate(
                    policy, tokens: 45, machine, slides: slides, seed: seed, newPass)
                if seed > 10 { rates += rate }
                experience = experience.merged(with: policy.run)
            }
            let best = bestFixed(
                tokens: 45, machine, slides: slides, seeds: 11...40, newPass)
            #expect(rates > 0.9 * best, "\(machine), \(text): \(rates / best)")
        }
    }

    /// Passes over more than one position take other times than was measured.
    @Test(arguments: [0.7, 1.4], [false, true])
    func aWrongMeasurementCostsLittle(factor: Double, slides: Bool) {
        let costs = Machine.arithmetic.costs(several: 1 / factor)
        for (text, newPass) in Self.texts {
            let best = bestFixed(tokens: 4000, .arithmetic, slides: slides, newPass)
            let policy = AdaptiveBlockSize(
                costs: costs, largest: 32, slides: slides,
                experience: .init(trained: 32))
            let rate = simulate(policy, tokens: 4000, .arithmetic, slides: slides, newPass)
            #expect(rate > 0.94 * best, "\(text): \(rate / best)")
        }
    }

    @Test(arguments: Machine.allCases, [false, true])
    func itFollowsATextThatChanges(machine: Machine, slides: Bool) {
        let policy = policy(machine, slides: slides)
        for (text, newPass) in [Self.texts[2], Self.texts[0], Self.texts[3]] {
            let best = bestFixed(tokens: 3000, machine, slides: slides, newPass)
            let rate = simulate(policy, tokens: 3000, machine, slides: slides, newPass)
            #expect(rate > 0.75 * best, "\(machine), \(text): \(rate / best)")
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
            costs: PassCosts([(1, 1), (8, 2)]), largest: 4, slides: false,
            experience: .init(trained: 4))
        policy.passMeasured(positions: 1, rows: 1, seconds: 1000)
        #expect(policy.costs.seconds(8) / policy.costs.seconds(1) > 1.9)
        for _ in 0..<100 { policy.passMeasured(positions: 1, rows: 1, seconds: 3) }
        #expect(policy.costs.seconds(1) > 2.7 && policy.costs.seconds(8) > 4.5)
    }

    @Test func timesThatFallAreReplacedByTheirMean() {
        let points = PassCosts.ascending(
            [(1, 4, 0), (2, 2, 0), (4, 3, 0), (8, 9, 0), (16, 7, 0), (32, 10, 0)])
        #expect(points.map(\.seconds) == [3, 3, 3, 8, 8, 10])
        #expect(points.map(\.positions) == [1, 2, 4, 8, 16, 32])
    }

    /// The second step is as high as the first, but no chance of these measurements.
    @Test func timesThatRiseByChanceAreReplacedByTheirMean() {
        let points = PassCosts.ascending([(1, 2, 1), (2, 3, 1), (4, 4, 0.1), (8, 4.5, 0.1)])
        #expect(points.map(\.seconds) == [2.5, 2.5, 4, 4.5])
    }

    @Test func measuringLeavesTheModelEmpty() throws {
        let model = try ScriptedModel()
        let sampler = Sampler(
            SamplingOptions(), vocabularySize: 32, forbidden: [31], compute: model.compute)
        let costs = try PassCosts.measure(model, sampler: sampler, largest: 8, patience: 0)
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
