public import TesseraKernels
public import TesseraResidency
public import TesseraWeightFile

/// A decoder-only transformer over a mapped weight file: its weights, the plan that says which weights stay in
/// memory, and the threads that compute. All families share this class. Their layers differ by data (`LayerSpec`).
///
/// Any number of ``TokenSequence``s share a model, and a ``Workspace`` runs passes over them. One pass
/// runs at a time.
public final class Model {
    public let config: ModelConfig
    public let compute: Compute
    /// Positions that a query sees, itself included; a sequence may ask for fewer.
    public let contextLength: Int

    public let options: Options
    let file: WeightFile
    let layers: [DecoderLayer]
    /// Positions that layers see, each number once; 0: all. A layer's `view` is an index into it.
    let windows: [Int]
    let embeddingName: String
    let embedding: Matrix
    /// The store of the file that holds the embedding: a drafter uses that of its target.
    let embeddingStore: WeightStore
    let finalNorm: Buffer<Float>
    let head: WeightGroup
    let store: WeightStore
    /// The weights of a drafter outside its layers.
    let drafting: DrafterWeights?
    /// Bytes of the caches of all sequences that live.
    private var usedCacheBytes = 0

    /// - Parameter target: The model that a drafter's file drafts for; nil for other files.
    /// - Throws: Where the model cannot be set up, or drafter and target do not fit together.
    public init(
        _ file: WeightFile, options: Options = Options(), draftingFor target: Model? = nil
    ) throws(TransformerError) {
        let config = file.config
        if let reason = config.misfit(as: target?.config) {
            throw .wrongDrafter(path: file.path, reason)
        }
        contextLength = try options.check(for: config)
        let plan = try Self.plan(file, options: options)
        compute = try Self.compute(
            file, options, tileBytes: target?.file.largestCodedTile ?? 0)
        do throws(ResidencyError) {
            store = try WeightStore(
                file, plan: plan, compute: compute, method: options.inputMethod,
                paces: options.paces, loading: options.loading, notice: options.notice)
        } catch {
            throw .residency(error)
        }
        self.file = file
        self.config = config
        self.options = options
        let store = store
        windows = config.windows
        let windows = windows
        layers = config.layers.enumerated().map { index, layer in
            let view = windows.firstIndex(of: layer.window) ?? 0
            return DecoderLayer(file, store, index, view: view)
        }
        embeddingName = config.tensor(.embedding).name
        embedding = target?.embedding ?? file.matrix(embeddingName)
        embeddingStore = target?.store ?? store
        drafting = config.drafter.map { DrafterWeights(file, $0) }
        finalNorm = file.vector(config.tensor(.finalNorm).name)
        head = store.group([config.headName])
        store.forgetUnused()
        if options.threads == nil, compute.threads > 1, plan.isResident,
            weightBytes <= Self.smallBytes
        {
            try chooseThreads()
        }
    }

    /// Weights of fewer bytes fit the processor's caches: a step over them may take less time than sharing it out.
    private static let smallBytes = 16 << 20

    /// Leaves all work to one thread if measured passes are faster that way: sharing a step
    /// out takes a microsecond or less between processors with a common cache, several without. A
    /// tenth is not enough, and three rounds are not: another program may have had a processor meanwhile.
    private func chooseThreads() throws(TransformerError) {
        let sequence = try TokenSequence(Workspace(self))
        var best = [Double.infinity, .infinity]
        let sizes = [1, min(8, options.batchCapacity)]
        for round in 0..<10 {
            if round >= 3, best[1] >= 0.9 * best[0] { break }
            for alone in [false, true] {
                compute.workAlone(alone)
                let start = ContinuousClock.now
                for size in sizes {
                    try sequence.forward(
                        committed: Array(repeating: 0, count: size), logitRows: [])
                    sequence.reset()
                }
                let time = (ContinuousClock.now - start) / .seconds(1)
                best[alone ? 1 : 0] = min(best[alone ? 1 : 0], time)
            }
        }
        compute.workAlone(best[1] < 0.9 * best[0])
    }

    /// Which weights are in memory, and which are read in each pass.
    public var residency: ResidencyPlan { store.plan }

    /// How weights that do not stay in memory are read; nil if all stay.
    public var inputMethod: InputMethod? { store.pace?.method }

    /// Weights that passes have read from disk since the last call.
    public func takeStreamCounters() -> StreamCounters { store.takeCounters() }

    /// Whether the counters also hold every single read.
    public func noteStreamReads(_ isOn: Bool) { store.noteReads(isOn) }

    /// Bytes of weights a pass with logits reads.
    public var weightBytes: Int { store.plan.weightBytes }

    /// Bytes that the caches of further sequences may take: what the budget leaves after weights and
    /// scratch.
    public var freeCacheBytes: Int {
        let plan = store.plan
        return plan.budget.bytes - (plan.totalBytes - plan.needs.cache) - usedCacheBytes
    }

    /// Counts a new sequence's cache.
    func admit(cacheBytes: Int) throws(TransformerError) {
        guard cacheBytes <= freeCacheBytes else {
            throw .noRoomForSequence(needed: cacheBytes, available: max(0, freeCacheBytes))
        }
        usedCacheBytes += cacheBytes
    }

    /// Counts that a sequence with such a cache was freed.
    func release(cacheBytes: Int) { usedCacheBytes -= cacheBytes }

    /// Fails if the file has changed or a coded tile could not be decoded. Call it between passes.
    func check() throws(TransformerError) {
        do throws(ResidencyError) {
            try store.check()
        } catch {
            throw .residency(error)
        }
        guard !compute.hasSeenDamage else { throw .damagedWeights(path: file.path) }
    }
}
