internal import TesseraTransformer

extension ProfileReport {
    private static let columns = [
        "model", "isa", "threads", "kind", "logits", "context", "positions", "sequences",
        "operation", "layer",
        "samples", "median_seconds", "minimum_seconds", "p90_seconds", "p95_seconds", "p99_seconds",
        "tokens_per_second", "read_bytes", "macs", "share_of_roofline",
    ]

    /// A table with a row per pass, per step (all layers: `layer` is empty), and per step and
    /// layer; `operation` is empty in the rows of whole passes.
    public var csv: String {
        var rows = [Self.columns]
        for pass in passes {
            let samples = pass.samples
            let key = [
                model.name, setup.isa, "\(setup.threads)", setup.options.kind.rawValue,
                setup.options.logits.rawValue, "\(samples.context)", "\(samples.positions)",
                "\(samples.sequences)",
            ]
            rows.append(
                key + ["", ""] + Self.times(samples.seconds) + [
                    "\(pass.tokensPerSecond)", "\(pass.work.bytes)", "\(pass.work.macs)",
                    "\(pass.shareOfRoofline)",
                ])
            for measure in pass.operations {
                rows.append(
                    key + ["\(measure.operation)", ""] + Self.times(measure.seconds) + [
                        "", measure.work.map { "\($0.bytes)" } ?? "",
                        measure.work.map { "\($0.macs)" } ?? "",
                        measure.shareOfLimit.map { "\($0)" } ?? "",
                    ])
                rows += layerRows(key, measure.operation, samples)
            }
        }
        return rows.map { $0.map(Self.quoted).joined(separator: ",") + "\n" }.joined()
    }

    private func layerRows(
        _ key: [String], _ operation: PassOperation, _ samples: PassSamples
    ) -> [[String]] {
        guard operation.isPerLayer, let times = samples.operations else { return [] }
        return (0..<times.layerCount).map { layer in
            key + ["\(operation)", "\(layer)", "\(times.passCount)"]
                + ["\(times.median(operation, layer: layer))"]
                + Array(repeating: "", count: 8)
        }
    }

    private static func times(_ times: Distribution) -> [String] {
        ["\(times.count)"]
            + [
                times.median, times.minimum, times.percentile(90), times.percentile(95),
                times.percentile(99),
            ]
            .map { "\($0)" }
    }

    private static func quoted(_ cell: String) -> String {
        guard cell.contains(where: { "\",\n\r".contains($0) }) else { return cell }
        return "\""
            + cell.split(separator: "\"", omittingEmptySubsequences: false)
            .joined(separator: "\"\"") + "\""
    }
}
