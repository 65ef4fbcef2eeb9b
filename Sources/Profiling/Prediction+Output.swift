internal import Kernels
public import Reporting
internal import Residency

extension Prediction {
    /// Lines for people.
    ///
    /// - Parameter tokensPerPass: Tokens that a pass over several positions gives on average.
    public func text(tokensPerPass: Double?) -> String {
        let read = Format.fixed(target.limits.readBytesPerSecond / 1e9, 1)
        let macs = Format.fixed(target.limits.int8MacsPerSecond / 1e9, 0)
        var table = TextTable(
            [
                "context", "positions", "here ms", "there ms", "from disk ms", "passes/s",
                "break-even",
            ]
                + (tokensPerPass == nil ? [] : ["tokens/s"]))
        for row in rows {
            var cells = [
                "\(row.context)", "\(row.positions)", Format.fixed(row.measuredSeconds * 1e3, 2),
                Format.fixed(row.seconds * 1e3, 2), Self.diskText(row),
                row.range.upperBound.isFinite
                    ? Format.fixed(1 / row.range.upperBound, 2) : "unknown",
                breakEven(row).map { Format.fixed($0, 2) } ?? "",
            ]
            if let tokensPerPass { cells.append(rate(row, tokensPerPass)) }
            table.append(cells)
        }
        var lines = [
            "predicted for reading \(read) GB/s, 8-bit multiplying \(macs) G MAC/s"
                + (target.memoryBytes.map { ", \(Format.bytes(Int($0))) of memory" } ?? "")
                + (target.diskBytesPerSecond.map { ", disk \(Format.fixed($0 / 1e9, 2)) GB/s" }
                    ?? ""),
            "reading x \(Format.fixed(model.readFactor, 2)) and multiplying x "
                + "\(Format.fixed(model.multiplyFactor, 2)), overlap exponent "
                + "\(Format.fixed(model.exponent, 1)): fits the passes above within "
                + "\(Format.fixed(model.fitError * 100, 0))%",
            "other machines' caches, instruction sets and thread counts are not modelled",
        ]
        if let threads = target.threads, threads != measuredThreads {
            lines.append(
                "that machine runs \(threads) threads and this one \(measuredThreads), which the "
                    + "fit does not know; measure with --threads \(threads) for a better one")
        }
        if let memory = target.memoryBytes, memory < neededBytes {
            lines.append(
                "the model needs \(Format.bytes(Int(neededBytes))): from disk comes at least what "
                    + "does not fit, at most every weight in every pass; "
                    + "passes/s and break-even are for the latter")
        }
        lines.append(
            "break-even: tokens per pass that are as fast as one position at a time\n")
        return lines.joined(separator: "\n") + "\n" + table.text
    }

    private func rate(_ row: Row, _ tokensPerPass: Double) -> String {
        guard row.range.upperBound.isFinite else { return "unknown" }
        let tokens = min(row.positions == 1 ? 1 : tokensPerPass, Double(row.positions))
        return Format.fixed(tokens / row.range.upperBound, 1)
    }

    private static func diskText(_ row: Row) -> String {
        guard let disk = row.diskSeconds else { return "0" }
        guard disk.upperBound.isFinite else { return "unknown" }
        return Format.fixed(disk.lowerBound * 1e3, 0) + " to "
            + Format.fixed(disk.upperBound * 1e3, 0)
    }

    /// What scripts read.
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
            ("read_factor", .number(model.readFactor)),
            ("multiply_factor", .number(model.multiplyFactor)),
            ("overlap_exponent", .number(model.exponent)),
            ("fit_error", .number(model.fitError)),
            (
                "passes",
                .array(
                    rows.map { row in
                        .object([
                            ("positions", .int(row.positions)), ("context", .int(row.context)),
                            ("measured_seconds", .number(row.measuredSeconds)),
                            ("seconds", .number(row.seconds)),
                            (
                                "disk_seconds_low",
                                row.diskSeconds.map { .number($0.lowerBound) } ?? 0
                            ),
                            (
                                "disk_seconds_high",
                                row.diskSeconds.map { .number($0.upperBound) } ?? 0
                            ),
                            ("break_even_tokens", breakEven(row).map { .number($0) } ?? .null),
                        ])
                    })
            ),
        ])
    }
}

extension TargetMachine {
    /// What `tessera doctor --json` printed on another machine.
    public init(path: String) throws(ProfilingError) {
        guard let text = SystemFile.text(path) else { throw .unreadable(path, code: 0) }
        guard let root = try? JSONParser.parse(Array(text.utf8)),
            let read = root["limits"]?["read_bytes_per_second"]?.double,
            let macs = root["limits"]?["int8_macs_per_second"]?.double, read > 0, macs > 0
        else { throw .notAMachine(path) }
        let memory = root["memory"]
        let available = [memory?["available_bytes"]?.double, memory?["group_limit_bytes"]?.double]
        self.init(
            limits: MachineLimits(readBytesPerSecond: read, int8MacsPerSecond: macs),
            memoryBytes: available.compactMap { $0 }.min(),
            diskBytesPerSecond: root["disk"]?["bytes_per_second"]?.double,
            threads: root["threads"]?.int)
    }
}
