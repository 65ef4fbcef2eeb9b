public import Kernels
public import Residency
public import WeightFile

/// A decoder-only transformer over a mapped weight file, with its cache. One config-driven class:
/// Llama, Qwen2, Qwen3, SmolLM2 and Ministral 3 are data.
///
/// A pass computes *committed* tokens, which are causal and enter the cache, followed by *open*
/// tokens, which see the whole past and each other and leave no trace. Next-token decoding commits
/// one token per pass; a first pass of Set Block Decoding commits the finished block and opens the
/// next (arXiv 2509.04185, algorithm 3). Nothing is allocated in a pass.
public final class Transformer {
    public let config: ModelConfig
    public let compute: Compute
    public let cache: KVCache
    public let batchCapacity: Int
    /// `[logitCapacity, logitStride]`: row i belongs to the i-th wanted row of the last pass.
    public let logits: Buffer<Float>
    public let logitStride: Int
    public let logitCapacity: Int
    /// Tokens committed so far; the absolute position of the next.
    public private(set) var position = 0
    /// Bytes of keys and values.
    public let cacheBytes: Int
    /// Bytes of activations and logits.
    public let scratchBytes: Int
    /// Forward passes since the start, every batch of a long input counted.
    public private(set) var passCount = 0
    /// Is told of every step of each pass; nil, the usual case, costs a test per step.
    public var observer: (any PassObserver)?

    /// Whether a pass since the last reset met values that are not finite: the cache holds wrong rows then.
    private var isNotFinite = false

    let file: WeightFile
    let layers: [DecoderLayer]
    let embedding: Matrix
    let finalNorm: Buffer<Float>
    let head: WeightGroup
    let store: WeightStore
    let scratch: Scratch
    let rotary: RotaryEmbedding
    let sinkRotary: RotaryEmbedding

    public init(_ file: WeightFile, options: Options = Options()) throws(TransformerError) {
        let config = file.config
        let context = try options.check(for: config)
        let plan = try Self.plan(file, options: options)
        compute = try Self.compute(file, options)
        do throws(ResidencyError) {
            store = try WeightStore(
                file, plan: plan, compute: compute, method: options.inputMethod,
                paces: options.paces, loading: options.loading, notice: options.notice,
                lost: options.weightsLost)
        } catch {
            throw .residency(error)
        }
        cacheBytes = plan.needs.cache
        scratchBytes = plan.needs.scratch
        self.file = file
        self.config = config
        batchCapacity = options.batchCapacity
        cache = KVCache(
            layerCount: config.layerCount, kvHeads: config.kvHeadCount, headDim: config.headDim,
            contextLength: context, sinks: options.sinks, batchCapacity: options.batchCapacity,
            encoding: options.kvEncoding)
        let store = store
        layers = (0..<config.layerCount).map { DecoderLayer(file, store, $0) }
        embedding = file.matrix(Self.embeddingName)
        finalNorm = file.vector("model.norm.weight")
        head = store.group([config.headName])
        scratch = Scratch(config, layers[0], batchCapacity, logitCapacity: options.logitCapacity)
        rotary = RotaryEmbedding(config, capacity: options.batchCapacity)
        sinkRotary = RotaryEmbedding(config, capacity: max(1, cache.placement.slots))
        logitCapacity = options.logitCapacity
        logitStride = head.matrices.outputStride
        logits = Buffer(count: options.logitCapacity * logitStride)
        store.forgetUnused()
        if options.threads == nil, compute.threads > 1, plan.isResident,
            weightBytes <= Self.smallBytes
        {
            chooseThreads()
        }
    }

    /// Bytes of weights that caches hold: a step over them may take less time than sharing it out.
    private static let smallBytes = 16 << 20

    /// Leaves all work to one thread if short passes are faster so, which is measured: sharing a step
    /// out takes a microsecond or less between processors with a common cache, several without. A
    /// tenth is not enough, and three rounds are not: another program may have had a processor meanwhile.
    private func chooseThreads() {
        var best = [Double.infinity, .infinity]
        let sizes = [1, min(8, batchCapacity)]
        for round in 0..<10 {
            if round >= 3, best[1] >= 0.9 * best[0] { break }
            for alone in [false, true] {
                compute.workAlone(alone)
                let start = ContinuousClock.now
                for size in sizes {
                    forward(committed: Array(repeating: 0, count: size), logitRows: [])
                    reset()
                }
                let time = (ContinuousClock.now - start) / .seconds(1)
                best[alone ? 1 : 0] = min(best[alone ? 1 : 0], time)
            }
        }
        compute.workAlone(best[1] < 0.9 * best[0])
        passCount = 0
    }

    static let embeddingName = "model.embed_tokens.weight"

    /// What of the weights is in memory, and what is read in each pass.
    public var residency: ResidencyPlan { store.plan }

    /// How weights that do not stay in memory are read; nil where all stay.
    public var inputMethod: InputMethod? { store.pace?.method }

    /// Weights that passes have read from disk since the last call.
    public func takeStreamCounters() -> StreamCounters { store.takeCounters() }

    /// Whether the counters also hold every single read.
    public func noteStreamReads(_ isOn: Bool) { store.noteReads(isOn) }

    /// Bytes of weights a pass with logits reads.
    public var weightBytes: Int { store.plan.weightBytes }

    /// Forgets everything.
    public func reset() { truncate(to: 0) }

    /// Whether the cache still holds all that the tokens behind `position` see: always, if that is
    /// at most `batchCapacity` back or nothing has been evicted.
    public func canTruncate(to position: Int) -> Bool {
        position >= 0 && position <= self.position && cache.holds(contextOf: position)
    }

    /// Drops the newest committed tokens.
    ///
    /// - Precondition: `canTruncate(to: position)`.
    public func truncate(to position: Int) {
        precondition(
            canTruncate(to: position), "cannot go back from \(self.position) to \(position)")
        self.position = position
        cache.truncate(to: position)
        if position == 0 { isNotFinite = false }
    }

    /// One pass, or as many as a long input needs.
    ///
    /// - Parameters:
    ///   - committed: Ids that follow what is cached; any number.
    ///   - open: Ids of a block behind them, at most `batchCapacity`.
    ///   - logitRows: Ascending indices into committed + open; `logits` gets their rows in order.
    ///   - blockSize: Where committed tokens see all of their own block of this size (positions
    ///     counted from 0) instead of only what is before them; at most `batchCapacity`.
    /// Where activations, or keys and values, are not finite or too large for the cache's numbers, all
    /// logits are NaN until the next reset.
    ///
    /// - Precondition: Every id is below the vocabulary's size; at most `logitCapacity` rows.
    public func forward(
        committed: [Int32], open: [Int32] = [], logitRows: [Int], blockSize: Int = 1
    ) {
        precondition(committed.count + open.count > 0, "an empty pass")
        precondition(open.count <= batchCapacity, "\(open.count) open of \(batchCapacity)")
        precondition(blockSize > 0 && blockSize <= batchCapacity, "block of \(blockSize)")
        precondition(logitRows.count <= logitCapacity, "\(logitRows.count) of \(logitCapacity)")
        store.check()
        let observer = observer
        var begin = 0
        var row = 0
        repeat {
            let rest = committed.count - begin
            var count = min(rest, batchCapacity)
            if count < rest && blockSize > 1 {  // never cut a block
                count -= (position + count) % blockSize
            }
            let isLast = count == rest && count + open.count <= batchCapacity
            let batch = Batch(
                committed: begin..<begin + count, openCount: isLast ? open.count : 0,
                blockSize: blockSize)
            observer?.passBegins(tokens: batch.tokenCount)
            load(batch, committed, open)
            let end = begin + batch.committed.count + batch.openCount
            let firstRow = row
            while row < logitRows.count && logitRows[row] < end {
                precondition(logitRows[row] >= begin, "row \(logitRows[row]) out of order")
                scratch.logitRows[row - firstRow] = Int32(logitRows[row] - begin)
                row += 1
            }
            observer?.finished(.prepare, layer: 0)
            run(batch, logits: firstRow..<row, observer)
            begin += count
            if isLast { break }
        } while true
        precondition(row == logitRows.count, "row \(logitRows[row]) outside the pass")
    }

    /// Ids, positions, slots and visible ranges of one batch.
    private func load(_ batch: Batch, _ committed: [Int32], _ open: [Int32]) {
        let count = batch.committed.count
        let end = position + count
        for index in 0..<count {
            let at = position + index
            scratch.ids[index] = committed[batch.committed.lowerBound + index]
            scratch.slots[index] = Int32(cache.slot(of: at))
            let blockEnd = min(end, (at / batch.blockSize + 1) * batch.blockSize)
            cache.setVisible(
                scratch.visible, token: index, position: at, end: blockEnd, open: 0)
        }
        for index in 0..<batch.openCount {
            scratch.ids[count + index] = open[index]
            scratch.slots[count + index] = Int32(cache.openSlot(index))
            cache.setVisible(
                scratch.visible, token: count + index, position: end + index, end: end,
                open: batch.openCount)
        }
        rotary.set(from: position, count: batch.tokenCount)
        cache.placement.prepare(
            for: position..<position + batch.tokenCount, angles: sinkRotary)
    }

    private func run(
        _ batch: Batch, logits rows: Range<Int>, _ observer: (any PassObserver)?
    ) {
        let tokens = batch.tokenCount
        let s = scratch
        embed(tokens)
        observer?.finished(.embed, layer: 0)
        for index in layers.indices {
            let layer = layers[index]
            attention(
                layer, index, tokens: tokens, committed: batch.committed.count, observer)
            compute.rmsNorm(
                s.hidden, tokens: tokens, weight: layer.postAttentionNorm,
                eps: config.rmsNormEps, into: s.normed)
            observer?.finished(.mlpNorm, layer: index)
            layer.gateUp.forEachPart {
                compute.multiply(
                    layer.gateUp.matrices, s.normed, tokens: tokens, into: s.gateUp)
            }
            observer?.finished(.gateUp, layer: index)
            compute.swiGLU(
                s.gateUp, stride: layer.gateUp.matrices.outputStride,
                upOffset: layer.gateUp.matrices.rowOffsets[1], tokens: tokens, into: s.activated)
            observer?.finished(.activation, layer: index)
            layer.down.forEachPart {
                compute.multiplyAdding(
                    layer.down.matrices, s.activated, tokens: tokens, into: s.hidden)
            }
            observer?.finished(.down, layer: index)
        }
        position += batch.committed.count
        cache.advance(to: position)
        passCount += 1
        defer {
            checkWeights()
            checkValues(rows)
        }
        guard !rows.isEmpty else { return }
        compute.rmsNorm(
            s.hidden, rows: s.logitRows, tokens: rows.count, weight: finalNorm,
            eps: config.rmsNormEps, into: s.headInput)
        observer?.finished(.finalNorm, layer: 0)
        head.forEachPart {
            compute.multiply(
                head.matrices, s.headInput, tokens: rows.count, into: logits,
                firstRow: rows.lowerBound)
        }
        observer?.finished(.head, layer: 0)
    }
}

extension Transformer {
    /// Gives no logits rather than wrong ones: all are NaN from the first value on that is not finite.
    private func checkValues(_ rows: Range<Int>) {
        if compute.takeNotFinite() > 0 { isNotFinite = true }
        guard isNotFinite else { return }
        for row in rows {
            let begin = row * logitStride
            for index in begin..<begin + config.vocabularySize { logits[index] = .nan }
        }
    }

    /// Copies the embeddings of the batch's tokens into the residual stream. Where not all weights stay,
    /// the pages that hold them are given back after a few tokens.
    private func embed(_ tokens: Int) {
        let step = store.isStreaming ? Self.rowsHeld : tokens
        for first in stride(from: 0, to: tokens, by: step) {
            compute.embed(
                embedding, tokens: scratch.ids, first: first, count: min(step, tokens - first),
                into: scratch.hidden)
            store.forgetRows(of: Self.embeddingName)
        }
    }

    /// Rows of the embedding that are in memory at a time where not all weights stay.
    static let rowsHeld = 16

    /// Ends the run where a coded tile could not be decoded.
    private func checkWeights() {
        guard compute.hasSeenDamage else { return }
        store.lost(
            "'\(file.path)': weights are damaged; run 'tessera verify', then make the file anew")
    }
}

/// What one batch computes.
struct Batch {
    /// Indices of the committed input.
    var committed: Range<Int>
    var openCount: Int
    var blockSize: Int
    var tokenCount: Int { committed.count + openCount }
}
