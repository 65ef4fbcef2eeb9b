internal import TesseraMachine

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// How long a pass over m positions takes, to one over a single position, learned from the passes of the
/// texts themselves: nothing is measured ahead, and sizes that were never tried are taken to be cheap, so that
/// they are tried when they promise something.
///
/// The logarithm of a pass's seconds is taken to be `pace + d(m) + noise`: the machine's pace, which other
/// programs and the processor's clock change, and what the size adds. A Kalman filter, with the variances of
/// pace and each d kept apart, divides the difference of a pass from its expected time: where the size is
/// little known, mostly to the size, and else to the pace.
struct PassTimes: Sendable {
    /// Numbers of positions with a time of their own; between them, times are interpolated linearly.
    static let sizes = [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128]
    private static let most = 128

    /// Time of a pass, relative to one position, by positions up to `most`; index 0 is unused.
    private var ratios = Array(repeating: 1.0, count: most + 1)
    /// The learned ratio of each size, and the variance of its logarithm.
    private var points = sizes.map { _ in (ratio: 1.0, variance: unknown) }
    /// The ratio to expect of each size.
    private var expected = sizes.map { _ in 1.0 }
    /// Logarithm of the machine's seconds for a ratio of 1, and its variance.
    private var pace = (mean: 0.0, variance: 100.0)

    /// Most positions of a pass so far.
    private(set) var longest = 0

    /// Variance of a size that was never tried.
    private static let unknown = 0.25
    /// Variance of the noise of a pass; variances that a pass adds to the pace and to each size.
    private static let (noise, paceDrift, sizeDrift) = (0.0025, 1e-4, 5e-5)
    /// Standard deviations that a size is taken to be cheaper.
    private static let hope = 0.7
    /// What a further position is taken to cost at least where nothing larger was tried.
    private static let leastSlope = 0.01

    init() {
        points[0].variance = 0
        update()
    }

    /// Seconds of a pass over one position at the moment; 0 before the first pass.
    var single: Double { pace.variance < 100 ? exp(pace.mean) * expected[0] : 0 }

    /// Time of a pass, relative to one position; proportional beyond the largest of `sizes`.
    func ratio(_ positions: Int) -> Double {
        positions <= Self.most
            ? ratios[max(1, positions)] : ratios[Self.most] * Double(positions) / Double(Self.most)
    }

    /// The same between two numbers of positions.
    func ratio(_ positions: Double) -> Double {
        let below = Int(positions)
        let part = positions - Double(below)
        return (1 - part) * ratio(below) + (part > 0 ? part * ratio(below + 1) : 0)
    }

    /// A pass over `positions` took `seconds`.
    mutating func add(positions: Int, seconds: Double) {
        guard (1...Self.most).contains(positions), seconds > 0, seconds.isFinite else { return }
        longest = max(longest, positions)
        let above = Self.sizes.firstIndex { $0 >= positions } ?? 0
        let below = max(0, above - 1)
        let span = Double(max(1, Self.sizes[above] - Self.sizes[below]))
        let share = 1 - Double(Self.sizes[above] - positions) / span
        let variances = (
            (1 - share) * points[below].variance, share * points[above].variance
        )
        let sizeVariance = (1 - share) * variances.0 + share * variances.1
        let seen = (1 - share) * expected[below] + share * expected[above]
        let error = log(seconds) - pace.mean - log(seen)
        // Other programs may stop a pass for long. A time that is far off tells little about the size, and about the pace
        // as much as a time that is three deviations off.
        let odd = pace.variance + sizeVariance + Self.noise + error * error / 4
        for (index, own) in [(below, variances.0), (above, variances.1)] where own > 0 {
            points[index].ratio = expected[index] * exp(own * error / odd)
            points[index].variance -= own * own / odd
        }
        let variance = pace.variance + sizeVariance + Self.noise
        let limit = 3 * variance.squareRoot()
        pace.mean += pace.variance * min(max(error, -limit), limit) / variance
        pace.variance -= pace.variance * pace.variance / variance
        pace.variance += Self.paceDrift
        for index in points.indices {
            points[index].variance = min(points[index].variance + Self.sizeDrift, Self.unknown)
        }
        update()
    }

    /// Updates the expected ratios. As the variance of a learned ratio grows, it fades to the guess that would be made
    /// without it.
    private mutating func update() {
        let sizes = Self.sizes
        expected[0] = points[0].ratio
        for index in sizes.indices.dropFirst() {
            let guess = guess(index)
            let trust = 1 - points[index].variance / Self.unknown
            expected[index] = guess + trust * (points[index].ratio - guess)
        }
        // No pass takes longer than one over more positions that was tried.
        var most = Double.infinity
        for index in sizes.indices.dropFirst().reversed() {
            if isTried(index) { most = max(expected[0], min(most, expected[index])) }
            expected[index] = min(max(expected[0], expected[index]), most)
        }
        for index in sizes.indices.dropFirst() {
            let (first, last) = (sizes[index - 1], sizes[index])
            let (low, high) = (hoped(index - 1), hoped(index))
            for positions in first...last {
                let part = Double(positions - first) / Double(last - first)
                ratios[positions] = (low + part * (high - low)) / expected[0]
            }
        }
    }

    /// A ratio that is not sure yet is taken to be smaller than it seems, so that the size is tried again.
    private func hoped(_ index: Int) -> Double {
        guard index > 0, isTried(index) else { return expected[index] }
        let hope = exp(-Self.hope * points[index].variance.squareRoot())
        return max(expected[0], hope * expected[index])
    }

    private func isTried(_ index: Int) -> Bool { points[index].variance < Self.unknown }

    /// Between sizes that were tried, a straight line; beyond them, the last one goes on.
    private func guess(_ index: Int) -> Double {
        let sizes = Self.sizes
        let last = expected[index - 1]
        let step = Double(sizes[index] - sizes[index - 1])
        if let above = (index + 1..<sizes.count).first(where: isTried) {
            let part = step / Double(sizes[above] - sizes[index - 1])
            return last + part * max(points[above].ratio - last, 0)
        }
        guard index > 1 else { return last + Self.leastSlope * step }
        let slope = (last - expected[index - 2]) / Double(sizes[index - 1] - sizes[index - 2])
        return last + max(slope, Self.leastSlope) * step
    }
}
