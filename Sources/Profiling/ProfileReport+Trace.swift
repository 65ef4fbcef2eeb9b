public import TesseraReporting
internal import TesseraTransformer

extension ProfileReport {
    /// Events for chrome://tracing and Perfetto: every timed pass, the layers and steps of the last
    /// recorded one of each size, its reads of streamed weights by the thread that read, and counters
    /// of the machine, how busy each thread was among them.
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
                ("segments", .array(segments(samples))),
            ])
            for (start, seconds) in zip(samples.starts, samples.seconds.samples) {
                events.append(
                    span(
                        name, "pass", from: start - begin, nanoseconds: seconds * 1e9, thread: 1,
                        arguments))
            }
            events += stepEvents(samples.steps, name, begin, arguments)
            events += readEvents(samples.reads, begin)
        }
        for thread in Set(passes.flatMap { $0.samples.reads.map(\.thread) }).sorted() {
            events.append(metadata("thread_name", "reading thread \(thread)", thread: 3 + thread))
        }
        events += busyEvents(begin)
        for point in timeline {
            events.append(
                counter("resident MB", point.time - begin, Double(point.residentBytes) / 1e6))
            events.append(
                counter("MB from disk", point.time - begin, Double(point.load.diskBytes) / 1e6))
            if let celsius = point.load.celsius {
                events.append(counter("degrees Celsius", point.time - begin, celsius))
            }
            if let hertz = point.load.hertz {
                events.append(counter("GHz", point.time - begin, hertz / 1e9))
            }
        }
        return .object([("displayTimeUnit", "ms"), ("traceEvents", .array(events))])
    }

    /// The positions of each text that a pass computes.
    private func segments(_ samples: PassSamples) -> [JSONOutput] {
        let draft = setup.options.draft
        let count = samples.positionsOfEach
        return (0..<samples.sequences).map { sequence in
            .object([
                ("sequence", .int(sequence)), ("positions", .int(count)),
                ("drafted", .int(draft == nil ? 0 : count - 1)),
                ("draft", draft.map { .string($0.rawValue) } ?? .null),
            ])
        }
    }

    /// Reads from disk.
    private func readEvents(_ reads: [PassRead], _ begin: UInt64) -> [JSONOutput] {
        reads.filter { $0.start >= begin }.map { read in
            span(
                "read", "io", from: read.start - begin, nanoseconds: Double(read.end - read.start),
                thread: 3 + read.thread, .object([("bytes", .int(read.bytes))]))
        }
    }

    /// How busy each thread was between two points of the timeline, in percent.
    private func busyEvents(_ begin: UInt64) -> [JSONOutput] {
        zip(timeline, timeline.dropFirst()).flatMap { before, after in
            after.threads.enumerated().compactMap { index, thread -> JSONOutput? in
                guard let old = before.threads.first(where: { $0.id == thread.id }),
                    after.time > before.time
                else { return nil }
                let share = (thread.seconds - old.seconds) * 1e9 / Double(after.time - before.time)
                return counter(
                    "thread \(index) busy %", before.time - min(begin, before.time), share * 100)
            }
        }
    }

    /// The pass as a whole, each layer, each step.
    private func stepEvents(
        _ steps: [PassStep], _ name: String, _ begin: UInt64, _ arguments: JSONOutput
    ) -> [JSONOutput] {
        guard let first = steps.first, let last = steps.last(where: { $0.operation.isStep }) else {
            return []
        }
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
                    nanoseconds: Double(step.end - step.start), thread: 2, Self.parts(of: step)))
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

    /// Milliseconds within a step that were not its own, where there were any.
    private static func parts(of step: PassStep) -> JSONOutput {
        let parts = [("waiting_ms", step.waiting), ("decompress_ms", step.decoding)]
        return .object(
            parts.filter { $0.1 > 0 }.map { ($0.0, .number(Double($0.1) / 1e6)) })
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
