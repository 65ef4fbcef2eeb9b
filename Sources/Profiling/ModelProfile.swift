public import TesseraKernels
internal import TesseraResidency
internal import TesseraMachine
public import TesseraTransformer
public import TesseraWeightFile

/// Loads a model, profiles it and measures what the machine could do.
public struct ModelProfile {
    private let path: String
    private let options: ProfileOptions
    private let kvEncoding: KVLayer.Encoding
    private let program: String

    /// - Parameter program: Name and version of the program that asks, for the report.
    public init(
        path: String, options: ProfileOptions, kvEncoding: KVLayer.Encoding, program: String
    ) {
        self.path = path
        self.program = program
        self.options = options
        self.kvEncoding = kvEncoding
    }

    /// - Parameters:
    ///   - open: Makes a sequence of the opened file; its time counts as loading.
    ///   - progress: Done so far and in total.
    ///   - isCancelled: Asked between passes.
    public func run(
        open: (WeightFile) throws -> TokenSequence, progress: (Int, Int) -> Void,
        isCancelled: () -> Bool = { false }
    ) throws -> ProfileReport {
        var setup = ProfileReport.RunDescription()
        setup.program = program
        setup.host = SystemFile.word("/proc/sys/kernel/hostname") ?? ""
        setup.date = Timestamp.now
        let loadAtStart = SystemLoad.now()
        var start = nanoseconds()
        let file = try WeightFile(path: path)
        setup.loadSeconds = Double(nanoseconds() - start) * 1e-9
        // Before the weights are loaded: the memory of this measurement would push out weights that should stay.
        setup.machine = try MachineReport.measure(diskFile: nil)
        start = nanoseconds()
        let sequence = try open(file)
        let model = sequence.model
        setup.loadSeconds += Double(nanoseconds() - start) * 1e-9
        let profiler = try PassProfiler(sequence, options: options)
        setup.firstTokenSeconds = setup.loadSeconds + (try profiler.firstPass())
        setup.firstTokenDiskBytes = LoadChange(from: loadAtStart, to: SystemLoad.now()).diskBytes

        // A disk that is faster at first than in the long run must be read until it is not.
        let patience = model.residency.isResident ? 0.5 : 3
        setup.machine.disk = try DiskProbe.read(path, patience: patience)
        let facts = setup.machine.facts
        setup.limitReadBytes = facts.readBytes
        setup.cacheBytes = facts.cacheBytes
        let compute = model.compute
        let known = setup.machine.isa == compute.isa
        let before =
            (known ? setup.machine.limits(ofThreads: compute.threads) : nil)
            ?? compute.measureLimits(readBytes: facts.readBytes)
        // The memory that was read to find the limit does not count as memory of the model.
        ProcessMemory.forgetPeak()
        let loadBefore = SystemLoad.now()
        let result = try profiler.run(progress: progress, isCancelled: isCancelled)
        setup.load = LoadChange(from: loadBefore, to: SystemLoad.now())
        setup.peakRSS = ProcessMemory.peak
        setup.memory = MemorySplit.now(modelPath: path)
        guard !result.passes.isEmpty else { throw ProfilingError.cancelled }
        let after = compute.measureLimits(readBytes: facts.readBytes)

        setup.readRates = [before.readBytesPerSecond, after.readBytesPerSecond]
        setup.isa = compute.isa
        setup.threads = compute.threads
        setup.processor = Processor.name
        setup.kvEncoding = "\(kvEncoding)"
        setup.batchCapacity = sequence.batchCapacity
        setup.options = options
        // The machine is shared: the better of two measurements is nearer to its limit.
        let limits = MachineLimits(
            readBytesPerSecond: max(before.readBytesPerSecond, after.readBytesPerSecond),
            int8MacsPerSecond: max(before.int8MacsPerSecond, after.int8MacsPerSecond))
        return ProfileReport(
            model: describe(file, sequence), setup: setup, limits: limits, run: result)
    }

    private func describe(
        _ file: WeightFile, _ sequence: TokenSequence
    ) -> ProfileReport.ModelDescription {
        var model = ProfileReport.ModelDescription()
        model.path = path
        model.name = file.config.name
        model.work = ModelWork(file, kvEncoding: kvEncoding)
        model.fileBytes = file.fileBytes
        model.weights = file.tensors.reduce(0) { $0 + $1.rows * $1.columns }
        model.weightBytes = file.tensors.reduce(0) { $0 + $1.byteCount }
        model.cacheBytes = options.sequences * sequence.cacheBytes
        model.scratchBytes = sequence.workspace.scratchBytes
        model.plan = sequence.model.residency
        model.inputMethod = sequence.model.inputMethod
        return model
    }
}
