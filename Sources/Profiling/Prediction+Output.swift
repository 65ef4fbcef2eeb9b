internal import TesseraKernels
public import TesseraReporting
internal import TesseraMachine

extension Prediction {
    /// Lines for people.
    ///
    /// - Parameters:
    ///   - tokensPerPass: Tokens that a pass over several positions gives on average.
    ///   - width: Columns of the terminal; nil: lines may be of any length.
    public func text(tokensPerPass: Double?, width: Int? = nil) -> String {
        var table = TextTable(
            [
                "context", "positions", "here ms", "in memory ms", "disk ms", "there ms",
                "passes/s", "break-even",
            ]
                + (tokensPerPass == nil ? [] : ["tokens/s"]))
        for row in rows {
            let slowest = row.range.upperBound
            var cells = [
                "\(row.context)", "\(row.positions)", Self.milliseconds(row.measuredSeconds),
                Self.milliseconds(row.seconds), Self.milliseconds(row.diskSeconds),
                Self.rangeText(row),
                slowest.isFinite ? Format.fixed(1 / slowest, 2) : "unknown",
                breakEven(row).map { Format.fixed($0, 2) } ?? "",
            ]
            if let tokensPerPass { cells.append(rate(row, tokensPerPass)) }
            table.append(cells)
        }
        let sentences = notes.map { $0 + "\n" }.joined()
        return Format.wrapped(sentences, width: width) + "\n"
            + table.text(width: width, keyColumns: 2)
    }

    /// The assumptions of the figures.
    private var notes: [String] {
        let read = Format.fixed(target.limits.readBytesPerSecond / 1e9, 1)
        let macs = Format.fixed(target.limits.int8MacsPerSecond / 1e9, 0)
        var lines = [
            "predicted for reading \(read) GB/s, 8-bit multiplying \(macs) G MAC/s"
                + (target.threads.map { ", \($0) thread\($0 == 1 ? "" : "s")" } ?? "")
                + (target.memoryBytes.map { ", \(Format.bytes(Int($0))) of memory" } ?? "")
                + (target.diskBytesPerSecond.map { ", disk \(Format.fixed($0 / 1e9, 2)) GB/s" }
                    ?? ""),
            "reading x \(Format.fixed(model.readFactor, 2)) and multiplying x "
                + "\(Format.fixed(model.multiplyFactor, 2)), overlap exponent "
                + "\(Format.fixed(model.exponent, 1)): \(fit); other steps last as long as here",
            "other machines' caches and instruction sets are not modelled",
        ]
        if let threads = target.threads, threads != measuredThreads {
            lines.append(
                "the limits are those of \(threads) thread\(threads == 1 ? "" : "s"); how kernels "
                    + "keep to them was measured with \(measuredThreads)")
        }
        if !streamedBytes.isFinite {
            lines.append("that memory does not do: not even a window for streaming fits")
        } else if streamedBytes > 0 {
            lines.append(
                "the model needs \(Format.bytes(Int(neededBytes))), so "
                    + "\(Format.bytes(Int(streamedBytes))) come from disk in every pass; there: "
                    + "from full overlap of reading and computing to none, "
                    + "passes/s and break-even are for the latter")
        }
        lines.append("break-even: tokens per pass that are as fast as one position at a time")
        return lines
    }

    /// How well the fitted model is known.
    private var fit: String {
        guard let error = model.fitError else {
            return "as few sizes as factors, so nothing checks them (measure three or more)"
        }
        return "fits the passes above within \(Format.fixed(error * 100, 0))%"
    }

    private func rate(_ row: Row, _ tokensPerPass: Double) -> String {
        guard row.range.upperBound.isFinite else { return "unknown" }
        let tokens = min(row.positions == 1 ? 1 : tokensPerPass, Double(row.positions))
        return Format.fixed(tokens / row.range.upperBound, 1)
    }

    private static func milliseconds(_ seconds: Double) -> String {
        guard seconds.isFinite else { return "unknown" }
        return Format.fixed(seconds * 1e3, seconds < 1 ? 2 : 0)
    }

    private static func rangeText(_ row: Row) -> String {
        guard row.diskSeconds > 0 else { return milliseconds(row.seconds) }
        return milliseconds(row.range.lowerBound)
            + (row.diskSeconds.isFinite ? " to " + milliseconds(row.range.upperBound) : "")
    }

    /// The prediction for scripts.
    public var json: JSONOutput {
        .object([
            (
                "limits",
                .object([
                    ("read_bytes_per_second", .number(target.limits.readBytesPerSecond)),
                    ("int8_macs_per_second", .number(target.limits.int8MacsPerSecond)),
                ])
            ),
            ("memory_bytes", target.memoryBytes.map { .number($0) } ?? .null),
            ("disk_bytes_per_second", target.diskBytesPerSecond.map { .number($0) } ?? .null),
            ("threads", target.threads.map { .int($0) } ?? .null),
            ("needed_bytes", .number(neededBytes)),
            ("streamed_bytes", streamedBytes.isFinite ? .number(streamedBytes) : .null),
            ("read_factor", .number(model.readFactor)),
            ("multiply_factor", .number(model.multiplyFactor)),
            ("overlap_exponent", .number(model.exponent)),
            ("fit_error", model.fitError.map { .number($0) } ?? .null),
            (
                "passes",
                .array(
                    rows.map { row in
                        .object([
                            ("positions", .int(row.positions)), ("context", .int(row.context)),
                            ("measured_seconds", .number(row.measuredSeconds)),
                            ("seconds", .number(row.seconds)),
                            ("disk_seconds", Self.finite(row.diskSeconds)),
                            ("total_seconds_low", Self.finite(row.range.lowerBound)),
                            ("total_seconds_high", Self.finite(row.range.upperBound)),
                            ("break_even_tokens", breakEven(row).map { .number($0) } ?? .null),
                        ])
                    })
            ),
        ])
    }

    private static func finite(_ value: Double) -> JSONOutput {
        value.isFinite ? .number(value) : .null
    }
}

extension TargetMachine {
    /// Reads the output of `tessera doctor --json` on another machine.
    ///
    /// - Parameter threads: Number of threads whose limits to take; nil: all threads.
    public init(path: String, threads wanted: Int? = nil) throws(ProfilingError) {
        guard let text = SystemFile.text(path) else { throw .unreadable(path, code: 0) }
        guard let root = try? JSONParser.parse(Array(text.utf8)),
            let read = root["limits"]?["read_bytes_per_second"]?.double,
            let macs = root["limits"]?["int8_macs_per_second"]?.double, read > 0, macs > 0
        else { throw .notAMachine(path) }
        var limits = MachineLimits(readBytesPerSecond: read, int8MacsPerSecond: macs)
        if let wanted, wanted != root["threads"]?.int {
            let rates = root["reading"]?.array ?? []
            guard let rate = rates.first(where: { $0["threads"]?.int == wanted }),
                let read = rate["bytes_per_second"]?.double,
                let macs = rate["int8_macs_per_second"]?.double, read > 0, macs > 0
            else {
                throw .unknownThreads(wanted, measured: rates.compactMap { $0["threads"]?.int })
            }
            limits = MachineLimits(readBytesPerSecond: read, int8MacsPerSecond: macs)
        }
        let memory = root["memory"]
        let available = [memory?["available_bytes"]?.double, memory?["group_limit_bytes"]?.double]
        self.init(
            limits: limits, memoryBytes: available.compactMap { $0 }.min(),
            diskBytesPerSecond: root["disk"]?["bytes_per_second"]?.double,
            threads: wanted ?? root["threads"]?.int)
    }
}
