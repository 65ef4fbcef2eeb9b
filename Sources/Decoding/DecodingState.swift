/// What every decoder works on: a model, a sampler, and the tokens so far.
public final class DecodingState {
    public let model: any LanguageModel
    /// May be replaced between generations.
    public var sampler: Sampler
    /// Ids that end generation.
    public let stopTokens: Set<Int32>
    /// Every token given or decided, oldest first.
    public internal(set) var history: [Int32] = []
    /// How many leading tokens of `history` have not changed since the last ``takeUnchanged()``.
    private var unchanged = 0
    /// The newest tokens of `history` that are not in the cache yet. The next pass commits them.
    public internal(set) var pending: [Int32] = []
    /// Forward passes whose logits were used.
    public internal(set) var passCount = 0
    /// Draft tokens that passes have verified, and those of them that were right.
    public internal(set) var draftCounts = DraftCounts()
    /// What each pass decided, where a trace is kept.
    public internal(set) var trace: Trace?

    /// - Parameters:
    ///   - capacity: Tokens that fit without growing anything.
    ///   - cached: Tokens that the model has committed already.
    public init(
        _ model: any LanguageModel, sampler: Sampler, stopTokens: Set<Int32>, traced: Bool = false,
        capacity: Int = 8192, cached: [Int32] = []
    ) {
        precondition(cached.count == model.position, "\(cached.count) of \(model.position) tokens")
        self.model = model
        self.sampler = sampler
        self.stopTokens = stopTokens
        history.reserveCapacity(capacity)
        history += cached
        trace = traced ? Trace() : nil
    }

    /// Adds tokens that are given: a prompt, or the next turn of a conversation.
    public func append(_ tokens: [Int32]) throws(DecodingError) {
        if let bad = tokens.first(where: { $0 < 0 || Int($0) >= model.vocabularySize }) {
            throw .badToken(bad, vocabularySize: model.vocabularySize)
        }
        history += tokens
        pending += tokens
    }

    /// Forgets all tokens.
    public func reset() {
        model.reset()
        history.removeAll(keepingCapacity: true)
        unchanged = 0
        pending.removeAll(keepingCapacity: true)
        if trace != nil { trace = Trace() }
    }

    /// Positions of the context that no token has taken yet.
    public var room: Int { max(0, model.contextLength - history.count) }

    /// Keeps the oldest tokens, as far as the cache can go back to them.
    ///
    /// - Parameter blockSize: Size of blocks whose finished tokens see each other; they are kept whole.
    /// - Returns: How many tokens were kept: `count`, fewer where it cuts a block, none where the
    ///   cache has evicted what the next token would see.
    public func keep(first count: Int, blockSize: Int = 1) -> Int {
        var kept = min(count, history.count)
        if kept < model.position { kept -= kept % blockSize }
        guard kept >= model.position || model.canTruncate(to: kept) else {
            reset()
            return 0
        }
        drop(last: history.count - kept)
        return kept
    }

    /// Keeps what `ids` begin with too, all but their last token at most, as ``keep(first:blockSize:)``
    /// does.
    ///
    /// - Returns: How many of `ids` are in place; the others are to be given.
    public func keep(commonWith ids: [Int32], blockSize: Int = 1) -> Int {
        let same = zip(history, ids.dropLast()).prefix { $0 == $1 }.count
        return keep(first: same, blockSize: blockSize)
    }

    /// How many leading tokens of `history` are those that it had at the last call. For one reader, who
    /// follows the text.
    func takeUnchanged() -> Int {
        defer { unchanged = history.count }
        return unchanged
    }

    /// Takes back the newest tokens, as far as the model can go back.
    public func drop(last count: Int) {
        precondition(count <= history.count, "\(count) of \(history.count) tokens")
        history.removeLast(count)
        unchanged = min(unchanged, history.count)
        let fromPending = min(count, pending.count)
        pending.removeLast(fromPending)
        if count > fromPending { model.truncate(to: model.position - (count - fromPending)) }
    }

    /// Absolute position of the next token to decide.
    var nextPosition: Int { model.position + pending.count }

    /// How many of the pending tokens a pass commits that decodes nothing yet; 0 where the next pass holds
    /// all of them.
    ///
    /// - Parameters:
    ///   - room: Positions of the pass.
    ///   - blockSize: Size of blocks whose tokens see each other once finished; 1 for causal.
    func promptPart(room: Int, blockSize: Int) -> Int {
        guard pending.count > room else { return 0 }
        return blockSize > 1 ? max(0, room - (model.position + room) % blockSize) : room
    }
}

/// A token whose whole prefix is decided.
public struct FixedToken: Sendable, Equatable {
    public var id: Int32
    /// Log-probability in nats, in the distribution that it was drawn from.
    public var logProbability: Float
    /// Pass that decided it, counted from 1 over the state's life.
    public var pass: Int

    public init(id: Int32, logProbability: Float, pass: Int) {
        self.id = id
        self.logProbability = logProbability
        self.pass = pass
    }
}

/// A way to get tokens out of forward passes.
public protocol TokenDecoder: AnyObject {
    var state: DecodingState { get }
    /// Size of blocks whose finished tokens see each other; 1 where they are causal.
    var commitBlockSize: Int { get }
    /// Positions of the block that the last pass worked on.
    var blockSize: Int { get }
    /// The name that users see for the source of drafts; nil if there are no drafts.
    var draftSource: String? { get }
    /// Chooses between options, and learns; nil if there is one option only.
    var planner: Planner? { get }
    /// What the next pass may compute.
    ///
    /// - Parameter limit: Tokens that are wanted at most.
    /// - Throws: Where drafts cannot be made.
    /// - Precondition: `limit` is positive and does not fall by more than was appended.
    func offer(limit: Int) throws(DecodingError) -> Offer
    /// The request of a pass for an option of the last offer, given by its index.
    func plan(_ option: Int) -> PassRequest
    /// Takes the logits of what was planned. Appends the tokens whose prefix is now decided to `output`: at
    /// most the limit, and none after a stop token. May append none.
    ///
    /// - Throws: `notFinite` where a logit is; nothing was appended, and decoding cannot go on.
    func consume(
        _ result: PassResult, into output: inout [FixedToken]
    ) throws(DecodingError)
    /// Ends decoding here and forgets tokens that are not fixed. The state can be continued.
    func finish()
}

extension TokenDecoder {
    public var draftSource: String? { nil }
    public var planner: Planner? { nil }
}
