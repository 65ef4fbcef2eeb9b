@testable import Decoding
import Testing

@Suite struct TrialTests {
    /// Share of the tokens that are made in blocks, and the time of all to that of single tokens.
    private func run(
        _ trial: inout Trial, gain: Double, cost: Double, tokens: Int, seed: Int = 3,
        pace: (Int) -> Double = { _ in 1 }
    ) -> (share: Double, time: Double) {
        var random = SplitMix(seed: UInt64(seed))
        var (made, inBlocks, seconds, single) = (0, 0, 0.0, 0.0)
        while made < tokens {
            let isBlock = trial.choosesBlocks { gain }
            let count = isBlock ? 1 + Int(random.unit() * 5) : 1
            let time = pace(made) * Double(count) * (0.9 + 0.2 * random.unit())
            trial.add(tokens: count, seconds: time * (isBlock ? cost : 1))
            made += count
            inBlocks += isBlock ? count : 0
            seconds += time * (isBlock ? cost : 1)
            single += time
        }
        return (Double(inBlocks) / Double(made), seconds / single)
    }

    @Test(arguments: [(1.3, 1.1), (1.1, 1.3), (0.8, 1.2)])
    func whatIsSlowerIsHardlyDone(gain: Double, cost: Double) {
        var trial = Trial(BlockCost())
        #expect(run(&trial, gain: gain, cost: cost, tokens: 400).time < 1.13)
        let (share, time) = run(&trial, gain: gain, cost: cost, tokens: 4000)
        #expect(share < 0.12 && time < 1.02, "\(share), \(time)")
        #expect(abs(trial.run.mean - cost) < 0.05)
    }

    @Test(arguments: [(0.8, 0.9), (1.2, 0.7)])
    func whatIsFasterIsFound(gain: Double, cost: Double) {
        var trial = Trial(BlockCost())
        _ = run(&trial, gain: gain, cost: cost, tokens: 400)
        let (share, time) = run(&trial, gain: gain, cost: cost, tokens: 4000)
        #expect(share > 0.88 && time < 1.02 * cost, "\(share), \(time)")
    }

    /// Other programs come and go.
    @Test func aMachineWhosePaceChangesMisleadsNobody() {
        var trial = Trial(BlockCost())
        let (share, _) = run(&trial, gain: 1.2, cost: 1.15, tokens: 6000) {
            ($0 / 150).isMultiple(of: 2) ? 1 : 1.6
        }
        #expect(share < 0.1, "\(share)")
    }

    @Test func whatIsPlainIsNotTried() {
        for (gain, share) in [(3.0, 1.0), (0.6, 0.0)] {
            var trial = Trial(BlockCost())
            #expect(run(&trial, gain: gain, cost: 1, tokens: 1000).share == share)
            #expect(trial.run.weight == 0)
        }
    }

    @Test func processesOfShortAnswersLearnTogether() {
        var known = BlockCost()
        var late = 0.0
        for process in 1...100 {
            var trial = Trial(known)
            let share = run(&trial, gain: 1.3, cost: 1.2, tokens: 40, seed: process).share
            if process > 20 { late += share / 80 }
            known.add(trial.run.mean, weight: trial.run.weight)
            known.since = trial.run.since
        }
        #expect(late < 0.1 && abs(known.mean - 1.2) < 0.1, "\(late), \(known.mean)")
    }
}
