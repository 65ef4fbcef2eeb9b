internal import TesseraImport
internal import TesseraKernels
internal import TesseraQuantization
internal import TesseraReporting
internal import TesseraWeightFile

extension QuantizeCommand {
    /// Reports the written file.
    ///
    /// - Parameter seconds: From the start of the command.
    func report(
        _ source: any TensorSource, _ plan: EncodingPlan, _ result: Quantizer.Result,
        seconds: Double
    ) {
        if json {
            return Terminal.write(json(plan, result, seconds: seconds).text + "\n")
        }
        let weights = source.tensors.reduce(0) { $0 + $1.rows * $1.columns }
        if result.startedAnew {
            Terminal.note(
                "  started anew: an interrupted run had other options, or the source "
                    + "has changed since")
        }
        if result.continuedWeights > 0 {
            let share = Double(result.continuedWeights) / Double(max(1, weights))
            Terminal.note("  \(Int(100 * share))% taken over from an interrupted run")
        }
        note(result.summaries)
        Terminal.note(
            "wrote \(output ?? ""): \(Format.bytes(result.fileBytes)) in \(Format.seconds(seconds)), "
                + "peak memory \(Format.bytes(Resources.peakRSS))")
    }

    /// The same for programs.
    private func json(
        _ plan: EncodingPlan, _ result: Quantizer.Result, seconds: Double
    ) -> JSONOutput {
        .object([
            ("schema_version", 1), ("output", .string(output ?? "")),
            ("file_bytes", .int(result.fileBytes)),
            ("continued_weights", .int(result.continuedWeights)),
            ("started_anew", .bool(result.startedAnew)),
            ("bits_per_weight", .number(plan.bitsPerWeight)), ("seconds", .number(seconds)),
            ("alternatives", json(plan.alternatives)),
            ("peak_rss_bytes", .int(Resources.peakRSS)),
            (
                "encodings",
                .array(
                    result.summaries.map {
                        .object([
                            ("source", .string($0.source.rawValue)),
                            ("encoding", .string($0.encoding.description)),
                            ("coded", .bool($0.storage != .plain)),
                            ("storage", .string("\($0.storage)")), ("exact", .bool($0.isExact)),
                            ("tensors", .int($0.tensors)), ("weights", .int($0.weights)),
                            ("bytes", .int($0.bytes)),
                            ("relative_error", .number($0.relativeError)),
                            ("recoded_groups", .int($0.recodedGroups)),
                        ])
                    })
            ),
            (
                "tensors",
                .array(
                    zip(plan.entries, result.tensors).map { entry, summary in
                        .object([
                            ("name", .string(entry.tensor.name)),
                            ("source", .string(summary.source.rawValue)),
                            ("encoding", .string(summary.encoding.description)),
                            ("exact", .bool(summary.isExact)),
                            ("relative_error", .number(summary.relativeError)),
                        ])
                    })
            ),
        ])
    }

    /// A line for tensors with equal source types and equal encodings, with their error.
    private func note(_ summaries: [EncodingSummary]) {
        for summary in summaries {
            let cost =
                summary.isExact
                ? "kept exactly" : "relative error \(Format.fixed(summary.relativeError, 4))"
            Terminal.note(
                "  \(summary.source.rawValue) -> \(encodingName(summary.encoding, summary.storage)): "
                    + "\(summary.tensors) tensors, \(Format.bytes(summary.bytes)), \(cost)")
            if summary.recodedGroups > 0 {
                Terminal.note(
                    "  \(summary.recodedGroups) groups of the source have a scale or a code that a .tsr file "
                        + "cannot hold exactly: they were rounded again")
            }
        }
        let again = summaries.filter {
            !$0.isExact && $0.recodedGroups == 0 && $0.source.codeEncoding != nil
        }
        guard !again.isEmpty else { return }
        Terminal.note(
            "  quantized a second time: \(again.reduce(0) { $0 + $1.tensors }) of the matrices; "
                + "without --bits, --size and --ram they stay as they are")
    }

    /// The plan, tensor by tensor.
    func report(_ plan: EncodingPlan, _ size: Int) {
        if json {
            let tensors = plan.entries.map { entry in
                JSONOutput.object([
                    ("name", .string(entry.tensor.name)), ("rows", .int(entry.tensor.rows)),
                    ("columns", .int(entry.tensor.columns)),
                    ("source", .string(entry.tensor.type.rawValue)),
                    ("encoding", .string(entry.encoding.description)),
                    ("bytes", .int(entry.byteCount)), ("exact", .bool(entry.keepsValues)),
                    ("coded", .bool(entry.storage != .plain)),
                    ("storage", .string("\(entry.storage)")),
                    ("step", entry.steps.map { .number(Double($0.step)) } ?? .null),
                    ("trellis_bits", entry.trellis.map { .number($0.bits) } ?? .null),
                    ("relative_error", entry.relativeError.map { .number($0) } ?? .null),
                ])
            }
            let object = JSONOutput.object([
                ("schema_version", 1), ("file_bytes", .int(size)),
                ("bits_per_weight", .number(plan.bitsPerWeight)),
                ("alternatives", json(plan.alternatives)), ("tensors", .array(tensors)),
            ])
            return Terminal.write(object.text + "\n")
        }
        for entry in plan.entries {
            let weights = Double(entry.tensor.rows * entry.tensor.columns)
            var line = "\(entry.tensor.name)  \(entry.tensor.rows) x \(entry.tensor.columns)  "
            line += "\(entry.tensor.type.rawValue) -> "
            line += encodingName(entry.encoding, entry.storage)
            if entry.keepsValues { line += " (kept exactly)" }
            line += "  \(Format.bytes(entry.byteCount))"
            if let error = entry.relativeError {
                let bits = 8 * Double(entry.byteCount) / weights
                line += ", \(Format.fixed(bits, 2)) bits, relative error \(Format.fixed(error, 4))"
            }
            Terminal.write(line + "\n")
        }
        if !plan.alternatives.isEmpty { Terminal.write(table(plan.alternatives).text) }
        Terminal.write(
            "total \(plan.isCoded ? "about " : "")\(Format.bytes(size)), \(Format.fixed(plan.bitsPerWeight, 2)) bits per weight\n"
        )
    }
}

/// The name of an encoding in tables: `int8`, or `int8 trellis` where codes are stored in fewer bits.
func encodingName(_ encoding: TensorEncoding, _ storage: StorageClass) -> String {
    storage == .plain ? "\(encoding)" : "\(encoding) \(storage)"
}
