/// How long a pass over m positions takes, to one over a single position, learned from the passes of the
/// text itself: nothing is measured ahead, and sizes that were never tried are taken to be cheap, so that
/// they are tried when they promise something.
struct PassTimes: Sendable {
    /// Numbers of positions that are told apart.
    static let sizes = [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64]

    /// Seconds of a pass over one position at the moment, a median of the latest; 0 before the first.
    private(set) var single = 0.0
    /// By size: seconds to those of a single position, and the passes that have shown it.
    private var points: [(ratio: Double, passes: Double, last: Int)]
    /// Seconds of the latest passes over one position.
    private var recent: [Double] = []
    /// Passes so far.
    private var passes = 0
    /// By size: what is expected of the next pass.
    private(set) var expected: [Double]

    /// What a further position is taken to cost at least, to a pass, where nothing larger was tried.
    private static let leastSlope = 0.05
    /// Passes over one position whose median tells how fast the machine is.
    private static let recentCount = 31
    /// Passes that a mean goes back.
    private static let memory = 32.0
    /// After so many passes without one of a size, half of each observation is forgotten.
    private static let halfLife = 512.0

    init() {
        points = Self.sizes.map { _ in (1, 0, 0) }
        expected = Self.sizes.map { _ in 1 }
        update()
    }

    /// A pass over `positions` took `seconds`. Other numbers of positions than ``sizes`` count for nothing.
    ///
    /// An odd pass, such as one that another program stopped, counts as at most half as long again as
    /// expected, or two thirds as long: on a busy machine a median is wanted, not a mean.
    mutating func add(positions: Int, seconds: Double) {
        guard let index = Self.sizes.firstIndex(of: positions), seconds > 0, seconds.isFinite else {
            return
        }
        guard index == 0 || single > 0 else { return }
        passes += 1
        let known = points[index].passes
        if index > 0 {
            let guess = expected[index]
            let ratio = min(max(seconds / (single * guess), 1 / 1.5), 1.5)
            let weight = 1 / (min(known, Self.memory) + 1.5)
            points[index].ratio = guess * (1 + weight * (ratio - 1))
        }
        if index == 0 { noteSingle(seconds) }
        points[index].passes += 1
        points[index].last = passes
        update()
    }

    /// Passes over several positions say nothing of the pace: what is wrongly expected of them would bear itself
    /// out.
    private mutating func noteSingle(_ seconds: Double) {
        if recent.count == Self.recentCount { recent.removeFirst() }
        recent.append(seconds)
        single = recent.sorted()[(recent.count - 1) / 2]
    }

    /// Finds what to expect anew.
    private mutating func update() {
        for index in Self.sizes.indices.dropFirst() {
            expected[index] = guess(index)
            let point = points[index]
            guard point.passes > 0 else { continue }
            // An observation fades to the guess that would be made without it.
            let age = Double(passes - point.last)
            let trust = 1 / (1 + age / (Self.halfLife * min(point.passes, Self.memory)))
            expected[index] += trust * (point.ratio - expected[index])
        }
        // No pass takes longer than one over more positions that was tried.
        var most = Double.infinity
        for index in Self.sizes.indices.reversed() {
            if points[index].passes > 0 { most = min(most, max(1, expected[index])) }
            expected[index] = min(expected[index], most)
        }
    }

    /// Between sizes that were tried, a straight line; beyond them, the last one goes on.
    private func guess(_ index: Int) -> Double {
        let sizes = Self.sizes
        let last = expected[index - 1]
        let step = Double(sizes[index] - sizes[index - 1])
        if let above = (index + 1..<sizes.count).first(where: { points[$0].passes > 0 }) {
            let part = step / Double(sizes[above] - sizes[index - 1])
            return last + part * max(points[above].ratio - last, 0)
        }
        guard index > 1 else { return last + Self.leastSlope * step }
        let slope = (last - expected[index - 2]) / Double(sizes[index - 1] - sizes[index - 2])
        return last + max(slope, Self.leastSlope) * step
    }
}
