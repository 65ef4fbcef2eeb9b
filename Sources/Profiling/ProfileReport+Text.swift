internal import TesseraKernels
internal import TesseraReporting
internal import TesseraResidency
internal import TesseraTransformer

extension ProfileReport {
    /// Lines for people.
    ///
    /// - Parameters:
    ///   - layers: Also shows every layer, where steps were recorded.
    ///   - width: Columns of the terminal; nil: lines may be of any length.
    public func text(layers: Bool = false, width: Int? = nil) -> String {
        var blocks = [
            Format.wrapped(heading, width: width), table.text(width: width, keyColumns: 2),
        ]
        if passes.contains(where: { $0.samples.operations != nil }) {
            blocks += Set(passes.map(\.samples.context)).sorted().map {
                operationText(context: $0, width: width)
            }
            if layers { blocks += passes.map { layerText($0, width: width) } }
        }
        blocks.append(Format.wrapped(footer, width: width))
        return blocks.filter { !$0.isEmpty }.joined(separator: "\n")
    }

    private var heading: String {
        let read = Format.fixed(limits.readBytesPerSecond / 1e9, 1)
        let macs = Format.fixed(limits.int8MacsPerSecond / 1e9, 0)
        let balanced = Format.fixed(Roofline(limits).balancedPositions(model.work), 1)
        let options = setup.options
        let threads = "\(setup.threads) thread\(setup.threads == 1 ? "" : "s")"
        var lines = [
            "\(model.name), \(Format.bytes(model.weightBytes)) of weights; \(setup.isa), \(threads)",
            "loaded in \(Format.seconds(setup.loadSeconds)), first token after "
                + Format.seconds(setup.firstTokenSeconds)
                + (setup.firstTokenDiskBytes > 0
                    ? " (\(Format.bytes(setup.firstTokenDiskBytes)) came from disk)" : ""),
            "limits measured here: reading \(read) GB/s, 8-bit multiplying \(macs) G MAC/s; "
                + "equal at \(balanced) positions",
            "passes: \(options.passes); "
                + "\(options.warmUp) untimed before each size; times are medians in milliseconds",
        ]
        for fill in fills where fill.context > 0 {
            lines.append(
                "context of \(fill.context) positions filled in \(Format.seconds(fill.seconds))")
        }
        return lines.map { $0 + "\n" }.joined()
    }

    private var footer: String {
        let memory = setup.memory
        let load = setup.load
        let tokens = passes.reduce(0) { $0 + $1.samples.positions * $1.samples.seconds.count }
        let plan = model.plan.flatMap { $0.isResident ? nil : $0 }
        var lines = [
            "memory: peak \(Format.bytes(setup.peakRSS)), now \(Format.bytes(memory.resident)): "
                + "model mapped \(Format.bytes(memory.model)), other files "
                + "\(Format.bytes(max(0, memory.file - memory.model))), anonymous "
                + "\(Format.bytes(memory.anonymous)) (cache \(Format.bytes(model.cacheBytes)), "
                + "scratch \(Format.bytes(model.scratchBytes))"
                + (plan.map {
                    ", hot weights \(Format.bytes($0.hotBytes - $0.mappedBytes)), window "
                        + Format.bytes($0.windowBytes)
                } ?? "") + "); page cache holds \(Format.bytes(memory.pageCache)) of the model",
            "while measuring: \(Format.bytes(load.diskBytes)) from disk; "
                + "\(load.minorFaults + load.majorFaults) page faults, \(load.majorFaults) waited for "
                + "the disk; \(load.voluntarySwitches) waits, \(load.involuntarySwitches) preemptions",
        ]
        if let plan {
            lines.append(
                "weights: \(Format.bytes(plan.hotBytes)) stay, \(Format.bytes(plan.streamedBytes)) "
                    + "are read in every pass (\(model.inputMethod?.rawValue ?? ""))"
                    + (setup.machine.disk.map {
                        "; the disk alone takes "
                            + Format.seconds(Double(plan.streamedBytes) / $0.bytesPerSecond)
                    } ?? ""))
        }
        if let joules = load.joules, tokens > 0, !setup.options.recordsOperations {
            lines.append(
                "energy: \(Format.fixed(joules, 1)) J, "
                    + "\(Format.fixed(joules / Double(tokens) * 1000, 1)) mJ per position")
        }
        let drifts = passes.compactMap(\.drift)
        if setup.options.duration != nil, let low = drifts.min(), let high = drifts.max() {
            lines.append(
                "steady state: the last quarter of the passes took \(Format.fixed(low, 3)) to "
                    + "\(Format.fixed(high, 3)) times as long as the first, by size")
        }
        lines += warnings.map { "warning: " + $0 }
        return lines.map { $0 + "\n" }.joined()
    }

    private var table: TextTable {
        var table = TextTable([
            "context", "positions", "runs", "ms", "min", "p90", "p95", "p99", "tokens/s",
            "T(m)/T(1)",
            "GB/s", "% read", "G MAC/s", "% MAC", "% limit",
        ])
        for pass in passes {
            let times = pass.samples.seconds
            func milliseconds(_ seconds: Double) -> String {
                Format.fixed(seconds * 1e3, seconds < 0.1 ? 2 : 1)
            }
            func percent(_ share: Double) -> String { Format.fixed(share * 100, 0) }
            table.append([
                "\(pass.samples.context)", pass.samples.size, "\(times.count)",
                milliseconds(times.median), milliseconds(times.minimum),
                milliseconds(times.percentile(90)), milliseconds(times.percentile(95)),
                milliseconds(times.percentile(99)),
                Format.fixed(pass.tokensPerSecond, 1),
                relativeToOne(pass).map { Format.fixed($0, 2) } ?? "-",
                Format.fixed(pass.readBytesPerSecond / 1e9, 1), percent(pass.shareOfRead),
                Format.fixed(pass.macsPerSecond / 1e9, 1), percent(pass.shareOfMacs),
                percent(pass.shareOfRoofline),
            ])
        }
        return table
    }

    /// Steps down, sizes across: milliseconds, share of the pass, share of the limit.
    private func operationText(context: Int, width: Int?) -> String {
        let shown = passes.filter { $0.samples.context == context }
        let measured = shown.map(\.operations)
        var table = TextTable(
            ["context \(context)"]
                + shown.flatMap { ["m=\($0.samples.size) ms", "%", "% limit"] },
            leftColumns: 1)
        for operation in PassOperation.allCases {
            let cells = measured.flatMap { measures in
                measures.first { $0.operation == operation }.map(stepCells) ?? ["", "", ""]
            }
            if cells.contains(where: { !$0.isEmpty }) { table.append([operation.title] + cells) }
        }
        let shares = shown.compactMap(\.samples.recordingShare).map {
            Format.fixed($0 * 100, 2) + "%"
        }
        return table.text(width: width, keyColumns: 1)
            + Format.wrapped(
                "recording took \(shares.joined(separator: ", ")) of these passes\n", width: width)
    }

    private func stepCells(_ measure: OperationMeasure) -> [String] {
        [
            Format.fixed(measure.seconds.median * 1e3, 2),
            Format.fixed(measure.share * 100, 1),
            measure.shareOfLimit.map { Format.fixed($0 * 100, 0) } ?? "",
        ]
    }

    /// Layers down, steps across: medians in microseconds.
    private func layerText(_ pass: PassMeasure, width: Int?) -> String {
        guard let times = pass.samples.operations else { return "" }
        let operations = times.operations.filter(\.isPerLayer)
        var table = TextTable(["layer"] + operations.map(\.title) + ["sum"])
        for layer in 0..<times.layerCount {
            let medians = operations.map { times.median($0, layer: layer) * 1e6 }
            table.append(
                ["\(layer)"] + (medians + [medians.reduce(0, +)]).map { Format.fixed($0, 0) })
        }
        return "layers of passes over \(pass.samples.title), microseconds\n"
            + table.text(width: width, keyColumns: 1)
    }
}
