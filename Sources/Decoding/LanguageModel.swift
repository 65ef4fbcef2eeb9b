public import TesseraKernels
public import TesseraTransformer
public import TesseraWeightFile

/// The model as a decoder sees it: passes over committed and open tokens, and their logits.
/// ``TokenSequence`` conforms to it, and so does a scripted model of the tests.
public protocol LanguageModel: AnyObject {
    /// Logits per row that stand for tokens.
    var vocabularySize: Int { get }
    /// How the model fills blocks of masks; nil for next-token prediction only.
    var blockDecoding: ModelConfig.BlockDecoding? { get }
    /// Kernels that summarize rows of logits.
    var compute: Compute { get }
    /// Tokens committed so far.
    var position: Int { get }
    /// Positions that a token sees, its own included; older positions are evicted.
    var contextLength: Int { get }
    /// Positions of one pass; longer inputs take several.
    var batchCapacity: Int { get }
    /// Rows of logits one pass can give.
    var logitCapacity: Int { get }
    /// `[logitCapacity, logitStride]`; row i belongs to the i-th wanted row of the last pass.
    var logits: Buffer<Float> { get }
    var logitStride: Int { get }

    /// One pass: `committed` tokens enter the cache, `open` ones see all of the past and each other.
    ///
    /// - Parameters:
    ///   - logitRows: Ascending indices into committed + open.
    ///   - blockSize: Where committed tokens see all of their own block of this size.
    func forward(
        committed: [Int32], open: [Int32], logitRows: [Int], blockSize: Int
    ) throws(TransformerError)
    /// Whether the cache still holds every position that tokens from `position` on see.
    func canTruncate(to position: Int) -> Bool
    /// Drops the newest committed tokens.
    ///
    /// - Precondition: `canTruncate(to: position)`.
    func truncate(to position: Int)
    /// Forgets everything.
    func reset()
}

extension LanguageModel {
    /// ``forward(committed:open:logitRows:blockSize:)`` with failures as `DecodingError`.
    public func pass(
        committed: [Int32], open: [Int32] = [], logitRows: [Int], blockSize: Int = 1
    ) throws(DecodingError) {
        do throws(TransformerError) {
            try forward(
                committed: committed, open: open, logitRows: logitRows, blockSize: blockSize)
        } catch {
            throw .pass(error)
        }
    }

    /// A pass for one request.
    public func pass(_ request: PassRequest) throws(DecodingError) -> PassResult {
        try pass(
            committed: request.committed, open: request.open, logitRows: request.logitRows,
            blockSize: request.blockSize)
        return PassResult(logits: logits, stride: logitStride)
    }
}

extension TokenSequence: LanguageModel {
    public var vocabularySize: Int { config.vocabularySize }
    public var blockDecoding: ModelConfig.BlockDecoding? { config.blockDecoding }
}

extension LanguageModel {
    /// Throws if blocks of `size` are beyond this model or its buffers.
    func checkBlockSize(_ size: Int, rows: Int) throws(DecodingError) {
        guard (1...64).contains(size) else { throw .badBlockSize(size) }
        guard size == 1 || blockDecoding != nil else { throw .noMaskToken(blockSize: size) }
        guard rows <= logitCapacity else {
            throw .capacity(needed: rows, available: logitCapacity)
        }
        guard 2 * size <= batchCapacity || size == 1 else {
            throw .capacity(needed: 2 * size, available: batchCapacity)
        }
    }
}
