public import TesseraKernels
internal import TesseraWeightFile

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// The context of a drafter for one text: its own keys and values of the tokens that the target has committed.
///
/// The first tokens of the text can be missing: a session on disk or a text without a drafter holds only what the target needs. The context then
/// begins later. Drafts are verified, so the missing tokens only make the drafts worse.
public final class DraftContext {
    public let drafter: BlockDrafter
    let sequence: TokenSequence
    /// Tokens of the text before the first one that has context.
    private var beginning = 0
    private var ids: [Int32] = []
    private var logitRows: [Int] = []

    /// - Parameter contextLength: Context length of the text.
    /// - Throws: Where memory does not hold the cache.
    init(_ drafter: BlockDrafter, contextLength: Int) throws(TransformerError) {
        self.drafter = drafter
        let most = drafter.workspace.model.config.maxPositions
        sequence = try TokenSequence(
            drafter.workspace, contextLength: min(contextLength, most))
        ids.reserveCapacity(drafter.config.blockSize)
        logitRows.reserveCapacity(drafter.config.blockSize)
    }

    /// Tokens of the text up to the last one that has context.
    public var position: Int { beginning + sequence.position }
    /// Tokens that a block gives at most.
    public var most: Int { drafter.config.most }
    /// Ids of the columns of logits, ascending; empty: column i is id i.
    public var draftTokens: [UInt32] { drafter.config.draftTokens }
    /// Columns of a row of logits that stand for tokens.
    public var columns: Int { drafter.workspace.model.config.headRows }
    /// `[most, logitStride]` of the last block; row i belongs to the i-th token after the anchor.
    public var logits: Buffer<Float> { drafter.workspace.logits }
    public var logitStride: Int { drafter.workspace.logitStride }

    /// Computes a block: the logits of the `count` tokens after the anchor, without what a Markov head adds.
    ///
    /// - Parameters:
    ///   - anchor: The token at ``position``, the first that there is no context of.
    ///   - count: 1...``most``.
    public func open(anchor: Int32, count: Int) throws(TransformerError) {
        precondition(count > 0 && count <= most, "\(count) of \(most) tokens")
        let skipped = drafter.config.predictsNext ? 0 : 1
        ids.removeAll(keepingCapacity: true)
        logitRows.removeAll(keepingCapacity: true)
        ids.append(anchor)
        for _ in 1..<count + skipped { ids.append(Int32(drafter.config.maskToken)) }
        for row in skipped..<skipped + count { logitRows.append(row) }
        try sequence.forward(committed: [], open: ids, logitRows: logitRows)
        drafter.keepOutput(rows: skipped..<skipped + count)
    }

    /// Completes a row of logits.
    ///
    /// - Parameter previous: The token before the row's.
    /// - Returns: The chance, as the drafter says, that the row's token is right where those before it are; nil if
    ///   it does not say.
    public func finish(row: Int, previous: Int32) -> Float? {
        drafter.finish(row: row, previous: previous).map { 1 / (1 + exp(-$0)) }
    }

    /// Drops the newest tokens, as the text does.
    func truncate(to position: Int) {
        guard position < self.position else { return }
        guard sequence.canTruncate(to: position - beginning) else { return begin(at: position) }
        sequence.truncate(to: position - beginning)
    }

    /// Forgets everything: the next token of the text is the first with context.
    func begin(at position: Int) {
        sequence.reset()
        beginning = position
    }

    /// Copies the context of the first `count` tokens of another text.
    func copy(_ other: DraftContext?, upTo count: Int) {
        guard let other, other.drafter === drafter,
            (other.beginning...other.position).contains(count),
            sequence.copy(other.sequence, upTo: count - other.beginning)
        else { return begin(at: count) }
        beginning = other.beginning
    }
}

extension TokenSequence {
    /// Makes the drafter's context of this text. If the text began before the drafter, the context begins with the next token.
    ///
    /// - Throws: Where memory does not hold the cache.
    public func follow(by drafter: BlockDrafter) throws(TransformerError) -> DraftContext {
        if let context = draftContext, context.drafter === drafter { return context }
        let context = try DraftContext(drafter, contextLength: contextLength)
        context.begin(at: position)
        draftContext = context
        return context
    }
}
