internal import TesseraKernels
public import TesseraReporting
internal import TesseraResidency

extension ProfileReport {
    /// The report for scripts. Names are those of llama-bench where they mean the same.
    public var json: JSONOutput { json(prediction: nil) }

    /// The same with a prediction for another machine.
    public func json(prediction: Prediction?) -> JSONOutput {
        let results: [(String, JSONOutput)] = [
            ("context_fills", .array(fills.map(Self.json))),
            ("passes", .array(passes.map { $0.json(relative: relativeToOne($0)) })),
            ("timeline", .array(timeline.map { $0.json(since: timeline.first?.load) })),
            ("prediction", prediction?.json ?? .null),
        ]
        return .object(
            [("schema_version", 1)] + modelMembers + setupMembers + measuredMembers
                + [("limits", limitsJSON)] + results)
    }

    private var modelMembers: [(String, JSONOutput)] {
        [
            ("model", .string(model.name)),
            ("model_filename", .string(model.path)),
            ("model_size", .int(model.weightBytes)),
            ("model_n_params", .int(model.weights)),
            ("file_bytes", .int(model.fileBytes)),
            ("cache_bytes", .int(model.cacheBytes)),
            ("scratch_bytes", .int(model.scratchBytes)),
            ("io_method", model.inputMethod.map { .string($0.rawValue) } ?? .null),
        ]
    }

    private var setupMembers: [(String, JSONOutput)] {
        let options = setup.options
        return [
            ("program", .string(setup.program)),
            ("host", .string(setup.host)),
            ("test_time", .string(setup.date)),
            ("cpu_info", .string(setup.processor)),
            ("isa", .string(setup.isa)),
            ("threads", .int(setup.threads)),
            ("n_threads", .int(setup.threads)),
            ("n_batch", .int(setup.batchCapacity)),
            ("type_k", .string(setup.kvEncoding)),
            ("type_v", .string(setup.kvEncoding)),
            ("kind", .string(options.kind.rawValue)),
            ("logits", .string(options.logits.rawValue)),
            ("sequences", .int(options.sequences)),
            ("draft", options.draft.map { .string($0.rawValue) } ?? .null),
            ("warm_up", .int(options.warmUp)),
            ("duration_seconds", options.duration.map { .number($0) } ?? .null),
            ("repetitions", options.repetitions.map { .int($0) } ?? .null),
        ]
    }

    private var measuredMembers: [(String, JSONOutput)] {
        [
            ("load_seconds", .number(setup.loadSeconds)),
            ("first_token_seconds", .number(setup.firstTokenSeconds)),
            ("first_token_disk_read_bytes", .int(setup.firstTokenDiskBytes)),
            ("peak_rss_bytes", .int(setup.peakRSS)),
            ("memory", memoryJSON),
            ("machine", setup.machine.json),
            ("load", setup.load.json),
            ("warnings", .array(warnings.map { .string($0) })),
        ]
    }

    private var limitsJSON: JSONOutput {
        .object([
            ("read_bytes_per_second", .number(limits.readBytesPerSecond)),
            ("int8_macs_per_second", .number(limits.int8MacsPerSecond)),
            ("balanced_positions", .number(Roofline(limits).balancedPositions(model.work))),
        ])
    }

    private static func json(_ fill: (context: Int, seconds: Double)) -> JSONOutput {
        .object([("context", .int(fill.context)), ("seconds", .number(fill.seconds))])
    }
}

extension PassMeasure {
    /// One entry of `passes`.
    ///
    /// - Parameter relative: T(m) / T(1).
    func json(relative: Double?) -> JSONOutput {
        let times = samples.seconds
        let rate = Distribution(times.samples.map { Double(samples.positions) / $0 })
        func nanoseconds(_ seconds: Double) -> JSONOutput { .int(Int(seconds * 1e9)) }
        let sizes: [(String, JSONOutput)] = [
            ("positions", .int(samples.positions)),
            ("n_prompt", .int(samples.positions)),
            ("n_gen", 0),
            ("sequences", .int(samples.sequences)),
            ("positions_per_sequence", .int(samples.positionsOfEach)),
            ("context", .int(samples.context)),
            ("n_depth", .int(samples.context)),
            ("logit_rows", .int(logitRows)),
            ("repetitions", .int(times.count)),
        ]
        let seconds: [(String, JSONOutput)] = [
            ("median_seconds", .number(times.median)),
            ("mean_seconds", .number(times.mean)),
            ("minimum_seconds", .number(times.minimum)),
            ("maximum_seconds", .number(times.maximum)),
            ("p50_seconds", .number(times.percentile(50))),
            ("p90_seconds", .number(times.percentile(90))),
            ("p95_seconds", .number(times.percentile(95))),
            ("p99_seconds", .number(times.percentile(99))),
            ("relative_spread", .number(times.relativeSpread)),
        ]
        let shares: [(String, JSONOutput)] = [
            ("drift", drift.map { .number($0) } ?? .null),
            ("tokens_per_second", .number(tokensPerSecond)),
            ("relative_to_one_position", relative.map { .number($0) } ?? .null),
            ("read_bytes", .number(work.bytes)),
            ("macs", .number(work.macs)),
            ("read_bytes_per_second", .number(readBytesPerSecond)),
            ("macs_per_second", .number(macsPerSecond)),
            ("share_of_read_limit", .number(shareOfRead)),
            ("share_of_mac_limit", .number(shareOfMacs)),
            ("share_of_roofline", .number(shareOfRoofline)),
            ("roofline_seconds", .number(floorSeconds)),
            ("bound", .string(bound.rawValue)),
        ]
        let details: [(String, JSONOutput)] = [
            ("avg_ns", nanoseconds(times.mean)),
            ("stddev_ns", nanoseconds(times.standardDeviation)),
            ("avg_ts", .number(rate.mean)),
            ("stddev_ts", .number(rate.standardDeviation)),
            ("samples_ns", .array(times.samples.map(nanoseconds))),
            ("samples_ts", .array(rate.samples.map { .number($0) })),
            (
                "histogram",
                times.histogram(binCount: min(24, max(5, times.count / 2))).json
            ),
            (
                "streamed_bytes",
                samples.operations == nil ? .null : .number(samples.streamedBytes)
            ),
            ("recording_share", samples.recordingShare.map { .number($0) } ?? .null),
            ("recorded_difference", samples.recordedDifference.map { .number($0) } ?? .null),
            ("operations", .array(operations.map(json))),
        ]
        return .object(sizes + seconds + shares + details)
    }

    private func json(_ measure: OperationMeasure) -> JSONOutput {
        let layers = samples.operations?.layerCount ?? 0
        let operation = measure.operation
        let perLayer = (operation.isPerLayer ? 0..<layers : 0..<0).map { layer in
            JSONOutput.number(samples.operations?.median(operation, layer: layer) ?? 0)
        }
        return .object([
            ("name", .string("\(operation)")),
            ("median_seconds", .number(measure.seconds.median)),
            ("minimum_seconds", .number(measure.seconds.minimum)),
            ("p90_seconds", .number(measure.seconds.percentile(90))),
            ("share_of_pass", .number(measure.share)),
            ("read_bytes", measure.work.map { .number($0.bytes) } ?? .null),
            ("macs", measure.work.map { .number($0.macs) } ?? .null),
            ("share_of_roofline", measure.shareOfLimit.map { .number($0) } ?? .null),
            ("layer_median_seconds", .array(perLayer)),
        ])
    }
}

extension ProfileReport {
    /// Measured: resident pages. Planned: how many of them are weights, cache and buffers.
    private var memoryJSON: JSONOutput {
        let memory = setup.memory
        return .object([
            ("rss_bytes", .int(memory.resident)), ("pss_bytes", .int(memory.proportional)),
            ("anonymous_bytes", .int(memory.anonymous)), ("file_bytes", .int(memory.file)),
            ("model_resident_bytes", .int(memory.model)), ("swap_bytes", .int(memory.swapped)),
            ("page_cache_bytes", .int(memory.pageCache)),
            ("hot_bytes", .int(model.plan?.hotBytes ?? model.weightBytes)),
            ("cold_bytes", .int(model.plan?.streamedBytes ?? 0)),
            ("window_bytes", .int(model.plan?.windowBytes ?? 0)),
            ("kv_bytes", .int(model.cacheBytes)), ("scratch_bytes", .int(model.scratchBytes)),
        ])
    }
}

extension Histogram {
    /// Edges in seconds.
    fileprivate var json: JSONOutput {
        .object([
            ("lower_seconds", .number(lower)), ("bin_seconds", .number(width)),
            ("counts", .array(counts.map { .int($0) })),
        ])
    }
}

extension LoadChange {
    fileprivate var json: JSONOutput {
        .object([
            ("minor_faults", .int(minorFaults)), ("major_faults", .int(majorFaults)),
            ("disk_read_bytes", .int(diskBytes)),
            ("voluntary_switches", .int(voluntarySwitches)),
            ("involuntary_switches", .int(involuntarySwitches)),
            ("stolen_share", .number(stolenShare)), ("foreign_share", .number(foreignShare)),
            ("joules", joules.map { .number($0) } ?? .null),
            ("throttle_count", throttleCount.map { .int($0) } ?? .null),
        ])
    }
}

extension TimelinePoint {
    /// - Parameter first: Where energy counts from.
    fileprivate func json(since first: SystemLoad?) -> JSONOutput {
        .object([
            ("seconds", .number(seconds)), ("rss_bytes", .int(residentBytes)),
            ("hertz", load.hertz.map { .number($0) } ?? .null),
            ("celsius", load.celsius.map { .number($0) } ?? .null),
            (
                "joules",
                first.flatMap { load.joules(since: $0) }.map { .number($0) } ?? .null
            ),
            ("watts", load.watts.map { .number($0) } ?? .null),
            ("throttle_count", load.throttleCount.map { .int($0) } ?? .null),
            ("load_average", .number(load.loadAverage)),
            ("major_faults", .int(load.majorFaults)),
            ("disk_read_bytes", .int(load.diskBytes)),
        ])
    }
}
