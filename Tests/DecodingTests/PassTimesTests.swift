@testable import TesseraDecoding
import Testing

@Suite struct PassTimesTests {
    private func times(_ seconds: (Int) -> Double, sizes: [Int] = PassTimes.sizes) -> PassTimes {
        var times = PassTimes()
        for _ in 0..<50 {
            for positions in sizes { times.add(positions: positions, seconds: seconds(positions)) }
        }
        return times
    }

    @Test func ratiosAreLearnedAndInterpolated() {
        let times = times({ 0.1 * (1 + 0.25 * Double($0 - 1)) }, sizes: [1, 2, 4, 8, 16, 64])
        for positions in [1, 2, 3, 5, 8, 11, 16, 33, 64] {
            let expected = 1 + 0.25 * Double(positions - 1)
            #expect(abs(times.ratio(positions) - expected) < 0.05 * expected, "\(positions)")
        }
        #expect(abs(times.single - 0.1) < 0.002)
        #expect(times.ratio(1000) > times.ratio(128))
    }

    /// A machine that slows down changes the pace and not the ratio of a size, whichever sizes show it.
    @Test(arguments: [[1, 8], [8], [4, 8]])
    func aSlowMachineSlowsAllPasses(shown: [Int]) {
        var times = times { $0 < 4 ? 1 : 2 }
        for _ in 0..<200 {
            for positions in shown {
                times.add(positions: positions, seconds: positions < 4 ? 3 : 6)
            }
        }
        #expect(abs(times.ratio(8) - 2) < 0.4, "\(times.ratio(8))")
        #expect(times.single > 2.4)
    }

    @Test func oddPassesAndNumbersChangeLittle() {
        var times = times { 1 + 0.1 * Double($0 - 1) }
        let before = times.ratio(8)
        for seconds in [1000, .nan, 0, -1, .infinity] { times.add(positions: 8, seconds: seconds) }
        times.add(positions: 0, seconds: 1)
        times.add(positions: 1000, seconds: 1)
        #expect(abs(times.ratio(8) / before - 1) < 0.1)
        #expect(abs(times.single - 1) < 0.15)
    }

    /// The first passes of a size that costs more than it seemed change the size's ratio, not the machine's pace.
    @Test func firstTriesTellOfTheSize() {
        var times = PassTimes()
        for _ in 0..<5 { times.add(positions: 1, seconds: 1) }
        for _ in 0..<6 { times.add(positions: 8, seconds: 4) }
        #expect(abs(times.single - 1) < 0.2)
        #expect(abs(times.ratio(8) - 4) < 1)
        #expect(times.ratio(16) > 5)
        #expect(times.ratio(4) > 1.3 && times.ratio(4) < 3)
    }

    @Test func noPassIsTakenToBeLongerThanALargerOne() {
        let times = times { $0 == 4 ? 9 : 1 + 0.01 * Double($0) }
        for positions in 1..<128 {
            #expect(times.ratio(positions) <= times.ratio(positions + 1) + 1e-9)
        }
    }
}
