/// Samples of one quantity, in the order in which they were taken, and their statistics.
public struct Distribution: Sendable, Equatable {
    /// In order of time.
    public let samples: [Double]
    private let sorted: [Double]

    /// - Precondition: At least one sample.
    public init(_ samples: [Double]) {
        precondition(!samples.isEmpty, "no samples")
        self.samples = samples
        sorted = samples.sorted()
    }

    public var count: Int { samples.count }
    public var minimum: Double { sorted[0] }
    public var maximum: Double { sorted[sorted.count - 1] }
    public var median: Double { percentile(50) }
    public var mean: Double { samples.reduce(0, +) / Double(count) }

    /// Standard deviation of the samples (divisor n - 1); 0 for one sample.
    public var standardDeviation: Double {
        guard count > 1 else { return 0 }
        let mean = mean
        let squares = samples.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        return (squares / Double(count - 1)).squareRoot()
    }

    /// Value below which `percent` of the samples lie, interpolated between the two nearest.
    ///
    /// - Parameter percent: 0...100.
    public func percentile(_ percent: Double) -> Double {
        precondition((0...100).contains(percent), "percentile \(percent)")
        let place = percent / 100 * Double(count - 1)
        let below = Int(place.rounded(.down))
        let above = min(below + 1, count - 1)
        return sorted[below] + (place - Double(below)) * (sorted[above] - sorted[below])
    }

    /// How far the middle half of the samples spreads, over the median: 0.02 is a quiet machine.
    public var relativeSpread: Double {
        median == 0 ? 0 : (percentile(75) - percentile(25)) / median
    }

    /// Counts of samples in `binCount` equal bins from the smallest to the largest.
    public func histogram(binCount: Int) -> Histogram {
        precondition(binCount > 0, "\(binCount) bins")
        let width = (maximum - minimum) / Double(binCount)
        var counts = Array(repeating: 0, count: binCount)
        for sample in samples {
            let bin = width > 0 ? Int((sample - minimum) / width) : 0
            counts[min(bin, binCount - 1)] += 1
        }
        return Histogram(lower: minimum, width: width, counts: counts)
    }
}

/// How often values fell into each of some equal bins.
public struct Histogram: Sendable, Equatable {
    /// Where the first bin begins.
    public var lower: Double
    /// Width of one bin; 0 where all values are equal.
    public var width: Double
    public var counts: [Int]
}
