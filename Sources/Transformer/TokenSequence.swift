public import TesseraKernels
public import TesseraWeightFile

/// One text: its cache and how far it has come. Its passes run in a ``Workspace``, alone by ``forward``
/// or together with those of others by ``Workspace/forward(_:)``; no bit of its logits depends on which.
public final class TokenSequence {
    public let workspace: Workspace
    /// Positions that a query sees, its own included. Older positions are evicted, except the sinks; where texts do not
    /// slide, there are no more positions.
    public var contextLength: Int { cache.contextLength }
    /// Tokens committed so far; the absolute position of the next.
    public internal(set) var position = 0
    /// Bytes of keys and values.
    public let cacheBytes: Int

    /// The drafter's context of the committed tokens.
    var draftContext: DraftContext?
    let cache: KVCache
    /// Angles of attention sinks that are placed anew.
    let sinkRotary: RotaryEmbedding
    /// Whether a pass since the last reset met values that are not finite: the cache holds wrong rows then.
    var isNotFinite = false
    /// Whether the running call of `Workspace.forward` has a segment of this sequence.
    var isInPass = false

    public var model: Model { workspace.model }
    public var config: ModelConfig { model.config }
    public var compute: Compute { model.compute }
    public var batchCapacity: Int { workspace.batchCapacity }
    public var logitCapacity: Int { workspace.logitCapacity }
    /// Logits of the workspace's last pass, which may be that of another sequence.
    public var logits: Buffer<Float> { workspace.logits }
    public var logitStride: Int { workspace.logitStride }

    /// - Parameter contextLength: Positions a query sees; by default the model's.
    /// - Throws: `noRoomForSequence` where memory does not hold the cache.
    public init(
        _ workspace: Workspace, contextLength: Int? = nil
    ) throws(TransformerError) {
        let model = workspace.model
        let config = model.config
        var options = model.options
        options.contextLength = contextLength ?? model.contextLength
        let context = try options.check(for: config)
        cacheBytes = KVCache.byteCount(config, contextLength: context, options)
        try model.admit(cacheBytes: cacheBytes)
        self.workspace = workspace
        cache = KVCache(
            .init(
                windows: model.windows, views: model.layers.map(\.view),
                kvHeads: config.kvHeadCount, headDim: config.headDim),
            KVCache.Extent(contextLength: context, options), encoding: options.kvEncoding)
        sinkRotary = RotaryEmbedding(config, capacity: max(1, cache.placement.slots))
        if let drafter = workspace.drafter {
            draftContext = try DraftContext(drafter, contextLength: context)
        }
    }

    /// The one sequence of a model and a workspace of its own.
    public convenience init(
        _ file: WeightFile, options: Model.Options = Model.Options()
    ) throws(TransformerError) {
        try self.init(Workspace(Model(file, options: options)))
    }

    deinit { workspace.model.release(cacheBytes: cacheBytes) }

    /// A pass over this sequence alone: see ``Segment`` and ``Workspace/forward(_:)``.
    public func forward(
        committed: [Int32], open: [Int32] = [], logitRows: [Int], blockSize: Int = 1
    ) throws(TransformerError) {
        try workspace.forward(
            Segment(
                self, committed: committed, open: open, logitRows: logitRows,
                blockSize: blockSize))
    }

    /// Forgets everything.
    public func reset() { truncate(to: 0) }

    /// Whether the cache still holds all that the tokens after `position` see: always, if that is
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
        draftContext?.truncate(to: position)
        if position == 0 { isNotFinite = false }
    }

    /// Whether another text could go on after the first `count` tokens of this one: the cache holds them, or all
    /// that later tokens see, and all its values are finite.
    public func canBeCopied(upTo count: Int) -> Bool {
        !isNotFinite && count <= position && cache.canBeCopied(upTo: count)
    }

    /// Copies the cache of another sequence's first tokens. This text goes on as that one would.
    ///
    /// - Parameter count: Tokens.
    /// - Returns: Whether that is possible; if not, nothing has changed.
    /// - Precondition: Both belong to one workspace.
    public func copy(_ other: TokenSequence, upTo count: Int) -> Bool {
        precondition(other.workspace === workspace && other !== self, "sequences of two workspaces")
        guard other.canBeCopied(upTo: count), cache.canCopy(other.cache, upTo: count) else {
            return false
        }
        cache.copy(other.cache, upTo: count)
        draftContext?.copy(other.draftContext, upTo: count)
        position = count
        isNotFinite = other.isNotFinite
        return true
    }
}

/// What one pass computes for one sequence: *committed* tokens, which are causal and enter the cache, and
/// after them *open* ones, which see the whole past and each other and leave no trace.
public struct Segment {
    public var sequence: TokenSequence
    /// Ids that follow what is cached; any number.
    public var committed: [Int32]
    /// Ids of a block after them, at most the workspace's `batchCapacity`.
    public var open: [Int32]
    /// Ascending indices into committed + open: the workspace's `logits` get their rows in order.
    public var logitRows: [Int]
    /// Where committed tokens see all of their own block of this size (positions counted from 0)
    /// instead of only what is before them; at most `batchCapacity`.
    public var blockSize: Int

    public init(
        _ sequence: TokenSequence, committed: [Int32], open: [Int32] = [], logitRows: [Int],
        blockSize: Int = 1
    ) {
        self.sequence = sequence
        self.committed = committed
        self.open = open
        self.logitRows = logitRows
        self.blockSize = blockSize
    }

    /// Positions of the pass.
    public var count: Int { committed.count + open.count }
}
