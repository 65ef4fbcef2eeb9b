internal import Kernels
internal import Reporting

extension ProfileReport {
    /// Lines for people.
    public var text: String {
        let read = Format.fixed(limits.readBytesPerSecond / 1e9, 1)
        let macs = Format.fixed(limits.int8MacsPerSecond / 1e9, 0)
        let balanced = Format.fixed(Roofline(limits).balancedPositions(model.work), 1)
        let options = setup.options
        var lines = [
            "\(model.name), \(Format.bytes(model.weightBytes)) of weights; \(setup.isa), "
                + "\(setup.threads) threads",
            "loaded in \(Format.seconds(setup.loadSeconds)), first token after "
                + "\(Format.seconds(setup.firstTokenSeconds)), peak memory "
                + Format.bytes(setup.peakRSS),
            "limits measured here: reading \(read) GB/s, 8-bit multiplying \(macs) G MAC/s; "
                + "equal at \(balanced) positions",
            "passes: \(options.kind.rawValue), logits \(options.logits.rawValue); "
                + "\(options.warmUp) untimed before each size; times are medians in milliseconds",
        ]
        for fill in setup.fills where fill.context > 0 {
            lines.append(
                "context of \(fill.context) positions filled in \(Format.seconds(fill.seconds))")
        }
        return lines.map { $0 + "\n" }.joined() + "\n" + table.text
    }

    private var table: TextTable {
        var table = TextTable([
            "context", "positions", "runs", "ms", "min", "p90", "p99", "tokens/s", "T(m)/T(1)",
            "GB/s", "% read", "G MAC/s", "% MAC", "% limit",
        ])
        for pass in passes {
            let times = pass.samples.seconds
            func milliseconds(_ seconds: Double) -> String {
                Format.fixed(seconds * 1e3, seconds < 0.1 ? 2 : 1)
            }
            func percent(_ share: Double) -> String { Format.fixed(share * 100, 0) }
            table.append([
                "\(pass.samples.context)", "\(pass.samples.positions)", "\(times.count)",
                milliseconds(times.median), milliseconds(times.minimum),
                milliseconds(times.percentile(90)), milliseconds(times.percentile(99)),
                Format.fixed(pass.tokensPerSecond, 1),
                relativeToOne(pass).map { Format.fixed($0, 2) } ?? "-",
                Format.fixed(pass.readBytesPerSecond / 1e9, 1), percent(pass.shareOfRead),
                Format.fixed(pass.macsPerSecond / 1e9, 1), percent(pass.shareOfMacs),
                percent(pass.shareOfRoofline),
            ])
        }
        return table
    }
}
