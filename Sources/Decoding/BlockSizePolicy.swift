/// Who says how large the next block is, and hears how the last one went.
public protocol BlockSizePolicy: AnyObject {
    /// Positions of the next block, or of the window in the next pass; 1...64.
    func nextBlockSize() -> Int
    /// A block is finished, or ended by a stop token.
    ///
    /// - Parameter passes: By position, the pass that decided it; given positions are left out.
    func blockFinished(passes: ArraySlice<Int>)
    /// A pass fixed the first `tokens` positions of a window of `size` that slides on.
    func windowMoved(by tokens: Int, of size: Int)
    /// A pass over `positions` with `rows` rows of logits, sampled from, took `seconds`.
    func passMeasured(positions: Int, rows: Int, seconds: Double)
}

/// Always the same size.
public final class FixedBlockSize: BlockSizePolicy {
    private let size: Int
    public init(_ size: Int) { self.size = size }
    public func nextBlockSize() -> Int { size }
    public func blockFinished(passes: ArraySlice<Int>) {}
    public func windowMoved(by tokens: Int, of size: Int) {}
    public func passMeasured(positions: Int, rows: Int, seconds: Double) {}
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
