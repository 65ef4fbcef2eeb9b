public import Reporting
internal import Transformer

extension ProfileReport {
    private static let columns = [
        "model", "isa", "threads", "kind", "logits", "context", "positions", "operation", "layer",
        "samples", "median_seconds", "minimum_seconds", "p90_seconds", "p99_seconds",
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
                        measure.shareOfRoofline(limits).map { "\($0)" } ?? "",
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
                + Array(repeating: "", count: 7)
        }
    }

    private static func times(_ times: Distribution) -> [String] {
        ["\(times.count)"]
            + [times.median, times.minimum, times.percentile(90), times.percentile(99)]
            .map { "\($0)" }
    }

    private static func quoted(_ cell: String) -> String {
        guard cell.contains(where: { "\",\n\r".contains($0) }) else { return cell }
        return "\""
            + cell.split(separator: "\"", omittingEmptySubsequences: false)
            .joined(separator: "\"\"") + "\""
    }

    /// Events for chrome://tracing and Perfetto: every timed pass, the layers and steps of the last
    /// recorded one of each size, and counters of the machine. Worker threads are not traced.
    public var trace: JSONOutput {
        let begin =
            ([timeline.first?.time] + passes.map(\.samples.starts.first))
            .compactMap { $0 }.min() ?? 0
        var events: [JSONOutput] = [
            metadata("process_name", "tessera profile \(model.name)", thread: 0),
            metadata("thread_name", "timed passes", thread: 1),
            metadata("thread_name", "recorded passes", thread: 2),
        ]
        for pass in passes {
            let samples = pass.samples
            let name = samples.title
            let arguments: JSONOutput = .object([
                ("positions", .int(samples.positions)), ("context", .int(samples.context)),
            ])
            for (start, seconds) in zip(samples.starts, samples.seconds.samples) {
                events.append(
                    span(
                        name, "pass", from: start - begin, nanoseconds: seconds * 1e9, thread: 1,
                        arguments))
            }
            events += stepEvents(samples.steps, name, begin, arguments)
        }
        for point in timeline {
            events.append(
                counter("resident MB", point.time - begin, Double(point.residentBytes) / 1e6))
            events.append(
                counter("MB from disk", point.time - begin, Double(point.load.diskBytes) / 1e6))
            if let hertz = point.load.hertz {
                events.append(counter("GHz", point.time - begin, hertz / 1e9))
            }
        }
        return .object([("displayTimeUnit", "ms"), ("traceEvents", .array(events))])
    }

    /// The pass as a whole, each layer, each step.
    private func stepEvents(
        _ steps: [PassStep], _ name: String, _ begin: UInt64, _ arguments: JSONOutput
    ) -> [JSONOutput] {
        guard let first = steps.first, let last = steps.last else { return [] }
        var events = [
            span(
                name, "pass", from: first.start - begin,
                nanoseconds: Double(last.end - first.start), thread: 2, arguments)
        ]
        var layerStart = first.start
        for (index, step) in steps.enumerated() {
            if step.operation == .attentionNorm { layerStart = step.start }
            events.append(
                span(
                    step.operation.title, "step", from: step.start - begin,
                    nanoseconds: Double(step.end - step.start), thread: 2, .object([])))
            let isLastOfLayer =
                step.operation.isPerLayer
                && (index + 1 == steps.count || steps[index + 1].layer != step.layer
                    || !steps[index + 1].operation.isPerLayer)
            if isLastOfLayer {
                events.append(
                    span(
                        "layer \(step.layer)", "layer", from: layerStart - begin,
                        nanoseconds: Double(step.end - layerStart), thread: 2, .object([])))
            }
        }
        return events
    }

    private func span(
        _ name: String, _ category: String, from start: UInt64, nanoseconds: Double, thread: Int,
        _ arguments: JSONOutput
    ) -> JSONOutput {
        .object([
            ("name", .string(name)), ("cat", .string(category)), ("ph", "X"),
            ("ts", .number(Double(start) / 1000)), ("dur", .number(nanoseconds / 1000)),
            ("pid", 1), ("tid", .int(thread)), ("args", arguments),
        ])
    }

    private func counter(_ name: String, _ time: UInt64, _ value: Double) -> JSONOutput {
        .object([
            ("name", .string(name)), ("ph", "C"), ("ts", .number(Double(time) / 1000)), ("pid", 1),
            ("args", .object([("value", .number(value))])),
        ])
    }

    private func metadata(_ kind: String, _ name: String, thread: Int) -> JSONOutput {
        .object([
            ("name", .string(kind)), ("ph", "M"), ("pid", 1), ("tid", .int(thread)),
            ("args", .object([("name", .string(name))])),
        ])
    }
}
