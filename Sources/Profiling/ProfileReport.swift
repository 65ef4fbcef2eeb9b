public import TesseraKernels
public import TesseraResidency
internal import TesseraReporting
public import TesseraTransformer

/// The result of profiling a model.
public struct ProfileReport: Sendable {
    public var model: ModelDescription
    public var setup: RunDescription
    public var limits: MachineLimits
    public var passes: [PassMeasure]
    /// Filling the cache: context reached and seconds since the context before.
    public var fills: [(context: Int, seconds: Double)]
    public var timeline: [TimelinePoint]

    /// The profiled model.
    public struct ModelDescription: Sendable {
        public var path = ""
        public var name = ""
        public var work = ModelWork()
        public var fileBytes = 0
        public var weights = 0
        public var weightBytes = 0
        public var cacheBytes = 0
        public var scratchBytes = 0
        /// Which weights stay in memory.
        public var plan: ResidencyPlan?
        /// How the others are read; nil if all stay.
        public var inputMethod: InputMethod?

        public init() {}
    }

    /// Settings of the profile, and values that were measured once.
    public struct RunDescription: Sendable {
        /// Name and version of the program.
        public var program = ""
        /// Name of the machine.
        public var host = ""
        /// When it began, in UTC.
        public var date = ""
        public var isa = ""
        public var threads = 0
        public var processor = ""
        public var kvEncoding = "int8"
        public var batchCapacity = 0
        public var options = ProfileOptions()
        public var loadSeconds = 0.0
        /// From the start of loading to the first logits.
        public var firstTokenSeconds = 0.0
        /// Bytes that came from disk in that time: a file that was not cached.
        public var firstTokenDiskBytes = 0
        public var peakRSS = 0
        /// Memory read to measure the limit of reading, and the largest cache.
        public var limitReadBytes = 0
        public var cacheBytes = 0
        /// Bytes per second of reading before the passes and after them.
        public var readRates: [Double] = []
        /// Memory after the passes.
        public var memory = MemorySplit()
        /// The machine, measured before the passes.
        public var machine = MachineReport()
        /// The load of the machine while passes ran.
        public var load = LoadChange(from: SystemLoad(), to: SystemLoad())

        public init() {}
    }

    public init(
        model: ModelDescription, setup: RunDescription, limits: MachineLimits,
        run: ProfileRun
    ) {
        self.model = model
        self.setup = setup
        self.limits = limits
        fills = run.fills
        timeline = run.timeline
        passes = run.passes.map { PassMeasure($0, model.work, setup, limits) }
    }

    /// Limits of some threads of this machine, measured before the passes.
    public func limits(ofThreads threads: Int) throws(ProfilingError) -> MachineLimits {
        guard let limits = setup.machine.limits(ofThreads: threads) else {
            throw .unknownThreads(threads, measured: setup.machine.reading.map(\.threads))
        }
        return limits
    }

    /// T(m) / T(1) at the same context, where one position of each text was measured.
    public func relativeToOne(_ pass: PassMeasure) -> Double? {
        passes.first {
            $0.samples.positionsOfEach == 1 && $0.samples.context == pass.samples.context
        }
        .map { pass.samples.seconds.median / $0.samples.seconds.median }
    }
}

/// One size of pass at one context, next to the machine's limits.
public struct PassMeasure: Sendable {
    public var samples: PassSamples
    public var logitRows: Int
    public var work: PassWork
    /// Shortest time that the limits allow.
    public var floorSeconds: Double
    public var bound: Roofline.Bound
    /// Bytes and products of each step.
    public var operationWork: [PassOperation: PassWork] = [:]
    private let limits: MachineLimits
    private let diskBytesPerSecond: Double?
    /// Shares of the limits in the median pass, 1 = all.
    public var shareOfRead: Double
    public var shareOfMacs: Double

    init(
        _ samples: PassSamples, _ model: ModelWork, _ setup: ProfileReport.RunDescription,
        _ limits: MachineLimits
    ) {
        let roofline = Roofline(limits)
        self.limits = limits
        diskBytesPerSecond = setup.machine.disk?.bytesPerSecond
        self.samples = samples
        logitRows = setup.options.logitRows(positions: samples.positions)
        work = PassWork(
            model, positions: samples.positions, sequences: samples.sequences,
            logitRows: logitRows, context: samples.context, batchCapacity: setup.batchCapacity)
        for operation in PassOperation.allCases {
            operationWork[operation] = model.work(
                of: operation, positions: samples.positions, sequences: samples.sequences,
                logitRows: logitRows, context: samples.context, batchCapacity: setup.batchCapacity)
        }
        floorSeconds = roofline.seconds(work)
        bound = roofline.bound(work)
        shareOfRead = roofline.readSeconds(work) / samples.seconds.median
        shareOfMacs = roofline.multiplySeconds(work) / samples.seconds.median
    }

    public var tokensPerSecond: Double { Double(samples.positions) / samples.seconds.median }
    public var readBytesPerSecond: Double { work.bytes / samples.seconds.median }
    public var macsPerSecond: Double { work.macs / samples.seconds.median }
    /// Share of the shortest time that the limits allow, 1 = reached.
    public var shareOfRoofline: Double { floorSeconds / samples.seconds.median }

    /// The steps, where they were recorded.
    public var operations: [OperationMeasure] {
        guard let times = samples.operations else { return [] }
        let whole = times.accountedSeconds
        return times.operations.compactMap { operation in
            times.total(operation).map {
                OperationMeasure(
                    operation: operation, seconds: $0, share: whole > 0 ? $0.median / whole : 0,
                    work: work(of: operation), shareOfLimit: shareOfLimit(operation, $0.median))
            }
        }
    }

    private func work(of operation: PassOperation) -> PassWork? {
        operation == .input
            ? PassWork(bytes: samples.streamedBytes, macs: 0) : operationWork[operation]
    }

    /// Shortest time that the limits allow a step, over the time it took; of input: share of the
    /// disk's rate that the whole pass used.
    private func shareOfLimit(_ operation: PassOperation, _ seconds: Double) -> Double? {
        guard let work = work(of: operation), seconds > 0 else { return nil }
        guard operation == .input else { return Roofline(limits).seconds(work) / seconds }
        return diskBytesPerSecond.map { work.bytes / $0 / samples.seconds.median }
    }

    /// Median of the last quarter of the passes over that of the first: more than 1 where the
    /// machine became slower; nil of too few passes.
    public var drift: Double? {
        let times = samples.seconds.samples
        guard times.count >= 20 else { return nil }
        let quarter = times.count / 4
        return Distribution(Array(times.suffix(quarter))).median
            / Distribution(Array(times.prefix(quarter))).median
    }
}

/// One step of a pass, all layers together.
public struct OperationMeasure: Sendable {
    public var operation: PassOperation
    /// Seconds of each pass.
    public var seconds: Distribution
    /// Share of the whole pass, 0...1.
    public var share: Double
    /// Bytes that it reads, from memory or from disk, and products that it makes; nil for steps that only move
    /// activations.
    public var work: PassWork?
    /// 1 = as fast as the machine's limits allow; nil if that is unknown.
    public var shareOfLimit: Double?
}
