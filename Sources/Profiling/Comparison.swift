internal import TesseraKernels

/// Two profiles side by side: does the second take longer?
public struct Comparison: Sendable {
    public let before: SavedProfile
    public let after: SavedProfile
    /// Differences below this share do not count.
    public let tolerance: Double
    public private(set) var rows: [Row] = []

    public enum Verdict: String, Sendable {
        /// Surely slower by more than the tolerance.
        case regression
        /// Surely faster by more than the tolerance.
        case improvement
        /// Surely within the tolerance.
        case same
        /// The times spread too much to tell.
        case unclear
    }

    /// One size of pass that both profiles have.
    public struct Row: Sendable, Equatable {
        public var positions: Int
        public var context: Int
        public var beforeSeconds: Double
        public var afterSeconds: Double
        /// After over before, and where it lies with 95% confidence.
        public var ratio: Double
        public var interval: ClosedRange<Double>
        public var verdict: Verdict
    }

    public init(_ before: SavedProfile, _ after: SavedProfile, tolerance: Double = 0.05) {
        self.before = before
        self.after = after
        self.tolerance = tolerance
        for old in before.passes {
            guard
                let new = after.passes.first(where: {
                    $0.positions == old.positions && $0.context == old.context
                })
            else { continue }
            let interval = Self.interval(old.seconds, new.seconds)
            rows.append(
                Row(
                    positions: old.positions, context: old.context,
                    beforeSeconds: old.seconds.median, afterSeconds: new.seconds.median,
                    ratio: new.seconds.median / old.seconds.median, interval: interval,
                    verdict: Self.verdict(interval, tolerance: tolerance)))
        }
    }

    /// Whether something is surely worse: a pass, or the memory needed.
    public var hasRegression: Bool {
        rows.contains { $0.verdict == .regression } || memoryVerdict == .regression
    }

    /// Peak memory hardly varies, so its ratio alone decides.
    public var memoryVerdict: Verdict {
        guard before.peakRSS > 0, after.peakRSS > 0 else { return .unclear }
        let ratio = after.peakRSS / before.peakRSS
        return Self.verdict(ratio...ratio, tolerance: tolerance)
    }

    static func verdict(_ interval: ClosedRange<Double>, tolerance: Double) -> Verdict {
        if interval.lowerBound > 1 + tolerance { return .regression }
        if interval.upperBound < 1 / (1 + tolerance) { return .improvement }
        let none = 1 / (1 + tolerance)...1 + tolerance
        return none.contains(interval.lowerBound) && none.contains(interval.upperBound)
            ? .same : .unclear
    }

    /// Where the ratio of the medians lies with 95% confidence: percentile bootstrap, the same
    /// every time. Samples of one run are not independent, so the truth may lie a little outside.
    static func interval(_ before: Distribution, _ after: Distribution) -> ClosedRange<Double> {
        guard before.count > 2, after.count > 2 else {
            return after.minimum / before.maximum...after.maximum / before.minimum
        }
        var state: UInt64 = 0x2545_f491_4f6c_dd1d
        func median(_ samples: [Double]) -> Double {
            Distribution(
                samples.indices.map { _ in
                    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                    return samples[Int((state >> 33) % UInt64(samples.count))]
                }
            ).median
        }
        let ratios = Distribution(
            (0..<1000).map { _ in median(after.samples) / median(before.samples) })
        return ratios.percentile(2.5)...ratios.percentile(97.5)
    }

    /// Differences that make the two profiles hard to compare.
    public var remarks: [String] {
        var lines: [String] = []
        let fields = [
            ("model", before.model, after.model), ("instruction set", before.isa, after.isa),
            ("threads", "\(before.threads)", "\(after.threads)"),
            ("kind of pass", before.kind, after.kind), ("logits", before.logits, after.logits),
            ("texts in a pass", "\(before.sequences)", "\(after.sequences)"),
            ("drafts", before.draft, after.draft),
        ]
        for (name, old, new) in fields where old != new {
            lines.append("not alike: \(name) \(old), then \(new)")
        }
        let missing = before.passes.count - rows.count
        if missing > 0 {
            lines.append(
                "\(missing) size\(missing == 1 ? "" : "s") of pass missing in the second profile")
        }
        let limits = [
            ("read memory", before.limits.readBytesPerSecond, after.limits.readBytesPerSecond),
            ("multiplied", before.limits.int8MacsPerSecond, after.limits.int8MacsPerSecond),
        ]
        for (name, old, new) in limits where old > 0 && new > 0 && abs(new / old - 1) > 0.1 {
            let percent = Int((abs(new / old - 1) * 100).rounded())
            lines.append(
                "the machine itself \(name) \(percent)% \(new < old ? "slower" : "faster") "
                    + "the second time")
        }
        return lines
    }
}
