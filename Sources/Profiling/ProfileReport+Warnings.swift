internal import TesseraReporting

extension ProfileReport {
    /// Reasons to distrust the times; empty on a quiet machine.
    public var warnings: [String] {
        setup.load.warnings + [spreadWarning].compactMap { $0 } + driftWarnings
            + [frequencyWarning, rateWarning, countWarning, cacheWarning].compactMap { $0 }
    }

    private var spreadWarning: String? {
        let widest = passes.max {
            $0.samples.seconds.relativeSpread < $1.samples.seconds.relativeSpread
        }
        guard let widest, widest.samples.seconds.relativeSpread > 0.1 else { return nil }
        return "the middle half of the times of \(widest.samples.title) spreads over "
            + "\(Self.percent(widest.samples.seconds.relativeSpread)) of their median"
    }

    /// A line for each size whose passes became slower or faster while it was measured.
    private var driftWarnings: [String] {
        passes.compactMap { pass in
            guard let drift = pass.drift, drift > 1.05 || drift < 0.95 else { return nil }
            let change = "passes over \(pass.samples.title) became "
            return drift > 1
                ? change
                    + "slower: the last quarter took \(Self.percent(drift - 1)) longer than the first"
                : change
                    + "faster: the last quarter took \(Self.percent(1 - drift)) less time than "
                    + "the first, so the machine was not steady from the start"
        }
    }

    private var frequencyWarning: String? {
        let hertz = timeline.compactMap(\.load.hertz)
        guard let low = hertz.min(), let high = hertz.max(), low < 0.9 * high else { return nil }
        return "the processor's frequency fell by more than a tenth"
    }

    private var rateWarning: String? {
        guard let low = setup.readRates.min(), let high = setup.readRates.max(), low < 0.9 * high
        else { return nil }
        let rates = setup.readRates.map { Format.fixed($0 / 1e9, 1) }
        return "memory was read at \(rates.joined(separator: " GB/s before the passes and at ")) "
            + "GB/s after them; shares are of the higher"
    }

    private var countWarning: String? {
        passes.contains { $0.samples.seconds.count < 10 }
            ? "of fewer than 10 passes, p90 and p99 say little more than the slowest" : nil
    }

    private var cacheWarning: String? {
        guard setup.limitReadBytes < 2 * setup.cacheBytes else { return nil }
        return "the limit of reading was measured over \(Format.bytes(setup.limitReadBytes)), less "
            + "than twice the largest cache (\(Format.bytes(setup.cacheBytes))): it may be the "
            + "cache's, and shares of it too low"
    }

    private static func percent(_ share: Double) -> String { "\(Int((share * 100).rounded()))%" }
}
