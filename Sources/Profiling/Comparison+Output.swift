internal import TesseraKernels
public import TesseraReporting

extension Comparison {
    /// Lines for people.
    ///
    /// - Parameter width: Columns of the terminal; nil: lines may be of any length.
    public func text(width: Int? = nil) -> String {
        var table = TextTable([
            "context", "positions", "before ms", "after ms", "change", "95% between", "verdict",
        ])
        for row in rows {
            table.append([
                "\(row.context)", "\(row.positions)", Format.fixed(row.beforeSeconds * 1e3, 2),
                Format.fixed(row.afterSeconds * 1e3, 2), Self.percent(row.ratio),
                "\(Self.percent(row.interval.lowerBound)) and "
                    + Self.percent(row.interval.upperBound),
                row.verdict.rawValue,
            ])
        }
        var lines = [
            "before  \(before.path)", "after   \(after.path)",
            "peak memory \(Format.bytes(Int(before.peakRSS))), then "
                + "\(Format.bytes(Int(after.peakRSS))): \(memoryVerdict.rawValue)",
            "loading \(Format.seconds(before.loadSeconds)), then "
                + "\(Format.seconds(after.loadSeconds)); first token after "
                + "\(Format.seconds(before.firstTokenSeconds)), then "
                + "\(Format.seconds(after.firstTokenSeconds)) (measured once each: no verdict)",
        ]
        lines += remarks.map { "remark: " + $0 }
        lines.append(
            hasRegression
                ? "REGRESSION of more than \(Format.fixed(tolerance * 100, 0))%"
                : "no regression of more than \(Format.fixed(tolerance * 100, 0))% is proved")
        return table.text(width: width, keyColumns: 2) + "\n"
            + Format.wrapped(lines.map { $0 + "\n" }.joined(), width: width)
    }

    /// The result for scripts.
    public var json: JSONOutput {
        .object([
            ("schema_version", 1), ("before", .string(before.path)), ("after", .string(after.path)),
            ("tolerance", .number(tolerance)), ("has_regression", .bool(hasRegression)),
            ("memory_verdict", .string(memoryVerdict.rawValue)),
            ("remarks", .array(remarks.map { .string($0) })),
            (
                "passes",
                .array(
                    rows.map { row in
                        .object([
                            ("positions", .int(row.positions)), ("context", .int(row.context)),
                            ("before_median_seconds", .number(row.beforeSeconds)),
                            ("after_median_seconds", .number(row.afterSeconds)),
                            ("ratio", .number(row.ratio)),
                            ("ratio_low", .number(row.interval.lowerBound)),
                            ("ratio_high", .number(row.interval.upperBound)),
                            ("verdict", .string(row.verdict.rawValue)),
                        ])
                    })
            ),
        ])
    }

    /// A ratio as a change, e.g. `+3.2%`.
    private static func percent(_ ratio: Double) -> String {
        (ratio >= 1 ? "+" : "") + Format.fixed((ratio - 1) * 100, 1) + "%"
    }
}
