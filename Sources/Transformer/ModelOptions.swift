public import TesseraKernels
public import TesseraResidency
public import TesseraWeightFile

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

extension Model {
    /// How a model is run.
    public struct Options: Sendable {
        /// Threads; by default the processors this process may use.
        public var threads: Int?
        /// Instruction set; by default the fastest.
        public var isa: String?
        /// Positions a query sees; by default the model's own maximum, at most 4096.
        public var contextLength: Int?
        public var kvEncoding = KVLayer.Encoding.int8
        /// Positions of one pass; longer inputs are cut.
        public var batchCapacity = 128
        /// Whether a text may outgrow its context: its oldest tokens are then forgotten. Where it may not,
        /// its cache is no longer than the context.
        public var slides = true
        /// In a text that slides: first positions that stay visible when the window has moved past them.
        public var sinks = 4
        /// Open tokens that a pass over one text may have; by default a whole pass of them.
        public var openCapacity: Int?
        /// Rows of logits one pass can give.
        public var logitCapacity = 64
        /// Context lengths of the sequences after the first whose caches are planned for.
        public var furtherContexts: [Int] = []
        /// Bytes that the process takes for other things than the engine.
        public var otherBytes = 0
        /// Memory that all of this process may take: weights beyond it are read in each pass. By
        /// default all weights are used from the mapping of the file.
        public var memory: MemoryBudget?
        /// How such weights are read.
        public var inputMethod = InputMethod.auto
        /// Called before anything is loaded, with the plan and the pace of reading.
        public var loading: @Sendable (ResidencyPlan, ReadingPace?) -> Void = { _, _ in }
        /// Remembers how fast the file was read in an earlier run.
        public var paces = PaceMemory.none
        /// Called when something happens to the weights between passes.
        public var notice: @Sendable (WeightNotice) -> Void = { _ in }
        public init() {}
    }
}

extension Model.Options {
    /// The context length that suits a memory budget: the model's own, at most 4096 positions, whose
    /// cache takes no more than an eighth, but 512 at least.
    public static func context(
        _ config: ModelConfig, in budget: MemoryBudget, _ encoding: KVLayer.Encoding
    ) -> Int {
        let most = min(config.maxPositions, 4096)
        let slot = KVLayer.slotBytes(
            kvHeads: config.kvHeadCount, headDim: config.headDim, encoding: encoding)
        let fits = stride(from: most / 256 * 256, to: 512, by: -256).first { context in
            config.cachedPositions(context) <= budget.bytes / 8 / slot
        }
        return config.cachedPositions(most) <= budget.bytes / 8 / slot
            ? most : min(most, fits ?? 512)
    }

    /// Refuses options that cannot work; returns the context length.
    func check(for config: ModelConfig) throws(TransformerError) -> Int {
        let context = contextLength ?? min(config.maxPositions, 4096)
        guard sinks >= 0, context > sinks else { throw .contextTooShort(context, sinks: sinks) }
        guard (1...1 << 16).contains(batchCapacity) else { throw .badBatch(batchCapacity) }
        guard (1...1 << 16).contains(logitCapacity) else { throw .badLogitRows(logitCapacity) }
        guard config.hasRunnableHeads else {
            throw .unsupportedHeads(
                headDim: config.headDim, group: config.headCount / config.kvHeadCount)
        }
        let memory = Self.physicalMemory
        let needed = bytes(for: config, context: context) ?? Int.max
        guard needed <= memory, context <= 1 << 30 else {
            throw .notEnoughMemory(needed: needed, available: memory)
        }
        guard context <= config.maxPositions else {
            throw .contextTooLong(context, maximum: config.maxPositions)
        }
        return context
    }

    /// Bytes of the cache and the logits, the two that options can blow up; nil on overflow.
    private func bytes(for config: ModelConfig, context: Int) -> Int? {
        let slot = KVLayer.slotBytes(
            kvHeads: config.kvHeadCount, headDim: config.headDim, encoding: kvEncoding)
        let spare = (slides ? batchCapacity : 0) + (openCapacity ?? batchCapacity)
        let (positions, tooLong) = context.addingReportingOverflow(spare)
        guard !tooLong, positions <= 1 << 40 else { return nil }
        let (cache, tooLarge) = config.cachedPositions(positions)
            .multipliedReportingOverflow(by: slot)
        let (total, overflow) = cache.addingReportingOverflow(
            logitCapacity * config.vocabularySize * 4)
        return tooLarge || overflow ? nil : total
    }

    private static var physicalMemory: Int {
        Int(sysconf(Int32(_SC_PHYS_PAGES))) * Int(sysconf(Int32(_SC_PAGESIZE)))
    }
}

extension ModelConfig {
    /// Positions of a text of `context` that caches hold, summed over layers.
    func cachedPositions(_ context: Int) -> Int {
        layers.reduce(0) { $0 + ($1.window == 0 ? context : min(context, $1.window)) }
    }
}
