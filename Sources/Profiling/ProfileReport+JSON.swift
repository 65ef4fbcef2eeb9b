internal import Kernels
public import Reporting

extension ProfileReport {
    /// What scripts read. Names are those of llama-bench where they mean the same.
    public var json: JSONOutput { json(prediction: nil) }

    /// The same with what another machine would do.
    public func json(prediction: Prediction?) -> JSONOutput {
        .object([
            ("schema_version", 1),
            ("model", .string(model.name)),
            ("model_filename", .string(model.path)),
            ("model_size", .int(model.weightBytes)),
            ("model_n_params", .int(model.weights)),
            ("file_bytes", .int(model.fileBytes)),
            ("cache_bytes", .int(model.cacheBytes)),
            ("scratch_bytes", .int(model.scratchBytes)),
            ("cpu_info", .string(setup.processor)),
            ("isa", .string(setup.isa)),
            ("threads", .int(setup.threads)),
            ("n_threads", .int(setup.threads)),
            ("n_batch", .int(setup.batchCapacity)),
            ("type_k", .string(setup.kvEncoding)),
            ("type_v", .string(setup.kvEncoding)),
            ("kind", .string(setup.options.kind.rawValue)),
            ("logits", .string(setup.options.logits.rawValue)),
            ("warm_up", .int(setup.options.warmUp)),
            ("duration_seconds", setup.options.duration.map { .number($0) } ?? .null),
            ("repetitions", setup.options.repetitions.map { .int($0) } ?? .null),
            ("load_seconds", .number(setup.loadSeconds)),
            ("first_token_seconds", .number(setup.firstTokenSeconds)),
            ("peak_rss_bytes", .int(setup.peakRSS)),
            ("memory", setup.memory.json),
            ("load", setup.load.json),
            ("warnings", .array(warnings.map { .string($0) })),
            (
                "limits",
                .object([
                    ("read_bytes_per_second", .number(limits.readBytesPerSecond)),
                    ("int8_macs_per_second", .number(limits.int8MacsPerSecond)),
                    (
                        "balanced_positions",
                        .number(Roofline(limits).balancedPositions(model.work))
                    ),
                ])
            ),
            (
                "context_fills",
                .array(
                    fills.map {
                        .object([("context", .int($0.context)), ("seconds", .number($0.seconds))])
                    })
            ),
            ("passes", .array(passes.map { $0.json(relative: relativeToOne($0), limits) })),
            ("timeline", .array(timeline.map(\.json))),
            ("prediction", prediction?.json ?? .null),
        ])
    }
}

extension PassMeasure {
    /// One entry of `passes`.
    ///
    /// - Parameter relative: T(m) / T(1).
    func json(relative: Double?, _ limits: MachineLimits) -> JSONOutput {
        let times = samples.seconds
        let rate = Distribution(times.samples.map { Double(samples.positions) / $0 })
        func nanoseconds(_ seconds: Double) -> JSONOutput { .int(Int(seconds * 1e9)) }
        return .object([
            ("positions", .int(samples.positions)),
            ("n_prompt", .int(samples.positions)),
            ("n_gen", 0),
            ("context", .int(samples.context)),
            ("n_depth", .int(samples.context)),
            ("logit_rows", .int(logitRows)),
            ("repetitions", .int(times.count)),
            ("median_seconds", .number(times.median)),
            ("mean_seconds", .number(times.mean)),
            ("minimum_seconds", .number(times.minimum)),
            ("maximum_seconds", .number(times.maximum)),
            ("p50_seconds", .number(times.percentile(50))),
            ("p90_seconds", .number(times.percentile(90))),
            ("p95_seconds", .number(times.percentile(95))),
            ("p99_seconds", .number(times.percentile(99))),
            ("relative_spread", .number(times.relativeSpread)),
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
            ("avg_ns", nanoseconds(times.mean)),
            ("stddev_ns", nanoseconds(times.standardDeviation)),
            ("avg_ts", .number(rate.mean)),
            ("stddev_ts", .number(rate.standardDeviation)),
            ("samples_ns", .array(times.samples.map(nanoseconds))),
            ("samples_ts", .array(rate.samples.map { .number($0) })),
            ("recording_share", samples.recordingShare.map { .number($0) } ?? .null),
            ("recorded_difference", samples.recordedDifference.map { .number($0) } ?? .null),
            ("operations", .array(operations.map { json($0, limits) })),
        ])
    }

    private func json(_ measure: OperationMeasure, _ limits: MachineLimits) -> JSONOutput {
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
            ("share_of_roofline", measure.shareOfRoofline(limits).map { .number($0) } ?? .null),
            ("layer_median_seconds", .array(perLayer)),
        ])
    }
}

extension MemorySplit {
    fileprivate var json: JSONOutput {
        .object([
            ("rss_bytes", .int(resident)), ("pss_bytes", .int(proportional)),
            ("anonymous_bytes", .int(anonymous)), ("file_bytes", .int(file)),
            ("model_resident_bytes", .int(model)), ("swap_bytes", .int(swapped)),
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
        ])
    }
}

extension TimelinePoint {
    fileprivate var json: JSONOutput {
        .object([
            ("seconds", .number(seconds)), ("rss_bytes", .int(residentBytes)),
            ("hertz", load.hertz.map { .number($0) } ?? .null),
            ("celsius", load.celsius.map { .number($0) } ?? .null),
            ("joules", load.joules.map { .number($0) } ?? .null),
            ("load_average", .number(load.loadAverage)),
            ("major_faults", .int(load.majorFaults)),
            ("disk_read_bytes", .int(load.diskBytes)),
        ])
    }
}
