public import TesseraKernels
public import TesseraResidency
internal import TesseraMachine
public import TesseraWeightFile

extension Model {
    /// The memory that a run of `file` would take, known before anything is loaded.
    public static func plan(
        _ file: WeightFile, options: Options = Options()
    ) throws(TransformerError) -> ResidencyPlan {
        let config = file.config
        let context = try options.check(for: config)
        let products = config.tensors.filter { $0.role.product != nil && $0.role != .head }
        let names = products.map(\.name) + [config.headName]
        var items: [ResidencyPlan.Item] = []
        var mapped = 0
        for name in names {
            guard let record = file.tensor(name) else { continue }
            if let tiles = file.streamableTiles(of: record) {
                items.append(
                    ResidencyPlan.Item(
                        name: name, tiles: tiles.map(\.count),
                        plainTileBytes: record.storage == .plain ? 0 : record.plainTileBytes(0)))
            } else {
                mapped += record.byteCount
            }
        }
        let needs = needs(
            config, forms: file.forms, metadataBytes: file.metadataBytes, context: context,
            options: options)
        for role in [TensorRole.fusion, .previousToken, .nextToken] where config.drafter != nil {
            mapped += file.tensor(config.tensor(role).name)?.byteCount ?? 0
        }
        let budget = options.memory ?? .unlimited
        do throws(ResidencyError) {
            return try ResidencyPlan(
                items: items, mappedBytes: mapped, needs: needs, budget: budget)
        } catch {
            throw .residency(error)
        }
    }

    /// The memory that a run of such a model takes, without weights.
    ///
    /// - Parameters:
    ///   - forms: Forms of activations that the weights multiply.
    ///   - metadataBytes: Bytes of the file's tokenizer, directory and tile table.
    public static func needs(
        _ config: ModelConfig, forms: Matrix.Forms, metadataBytes: Int, context: Int,
        options: Options
    ) -> ResidencyPlan.Needs {
        ResidencyPlan.Needs(
            cache: ([context] + options.furtherContexts).reduce(0) {
                $0 + KVCache.byteCount(config, contextLength: $1, options)
            },
            scratch: Scratch.byteCount(config, forms: forms, options),
            base: base(metadataBytes: metadataBytes, options))
    }

    /// The program and the system's libraries.
    public static let programBytes = 18 << 20

    /// Bytes of the program; of the tokenizer's tables, which take some four
    /// times their place in the file; of what each thread has for itself, those that read among them;
    /// and of the pages around embeddings that have been looked up.
    private static func base(metadataBytes: Int, _ options: Options) -> Int {
        let threads = options.threads ?? Processors.usable
        return options.otherBytes + programBytes + 4 * metadataBytes
            + threads * Compute.threadBytes + 1 << 20
            + rowsHeld * 64 << 10
    }

    /// The plan as it will be once this machine has been measured, and how fast weights that do not stay
    /// can be read; nil if all stay.
    public static func measuredPlan(
        _ file: WeightFile, options: Options = Options()
    ) throws(TransformerError) -> (plan: ResidencyPlan, pace: ReadingPace?) {
        let plan = try plan(file, options: options)
        let compute = try compute(file, options)
        do throws(ResidencyError) {
            return try WeightStore.measured(
                file, plan: plan, compute: compute, method: options.inputMethod,
                paces: options.paces)
        } catch {
            throw .residency(error)
        }
    }

    /// - Parameter tileBytes: Decoded bytes of a tile of another file that it will read.
    static func compute(
        _ file: WeightFile, _ options: Options, tileBytes: Int = 0
    ) throws(TransformerError) -> Compute {
        let config = file.config
        do {
            return try Compute(
                isa: options.isa, threads: options.threads,
                groupHeads: config.headCount / config.kvHeadCount, headDim: config.headDim,
                tileBytes: max(file.largestCodedTile, tileBytes))
        } catch {
            throw .kernels(error.description)
        }
    }
}

extension KVCache {
    /// Bytes that a cache takes.
    static func byteCount(
        _ config: ModelConfig, contextLength: Int, _ options: Model.Options
    ) -> Int {
        let (windows, extent) = (config.windows, Extent(contextLength: contextLength, options))
        let rings = windows.map { CacheRing(window: $0, extent) }
        let counts = windows.map { window in config.layers.count { $0.window == window } }
        let layers = zip(rings, counts).reduce(0) { sum, ring in
            sum + ring.1
                * KVLayer.byteCount(
                    slots: ring.0.slots, kvHeads: config.kvHeadCount, headDim: config.headDim,
                    encoding: options.kvEncoding)
        }
        return layers
            + SinkPlacement.byteCount(
                sinks: extent.sinks, batchCapacity: extent.batchCapacity,
                layerCount: zip(rings, counts).reduce(0) { $0 + ($1.0.sinks > 0 ? $1.1 : 0) },
                width: config.kvHeadCount * config.headDim)
    }
}

extension Scratch {
    /// Bytes that the buffers of a pass take, logits included.
    static func byteCount(
        _ config: ModelConfig, forms: Matrix.Forms, _ options: Model.Options
    ) -> Int {
        func padded(_ rows: Int) -> Int { (rows + 15) / 16 * 16 }
        func activations(_ columns: Int, tokens: Int) -> Int {
            Activations.byteCount(tokenCapacity: tokens, columns: columns, forms: forms)
        }
        let batch = options.batchCapacity
        let queries = config.headCount * config.headDim
        let qkv = padded(queries) + 2 * padded(config.kvHeadCount * config.headDim)
        let floats = config.hiddenSize + qkv + 2 * padded(config.intermediateSize)
        let updates = config.hasOutputNorms ? config.hiddenSize : 0
        return batch * (floats + updates) * 4 + activations(config.hiddenSize, tokens: batch)
            + activations(queries, tokens: batch)
            + activations(config.intermediateSize, tokens: batch)
            + activations(config.hiddenSize, tokens: options.logitCapacity)
            + options.logitCapacity * padded(config.headRows) * 4
    }
}
