/// Who says how large the next block is, and hears how the last one went.
public protocol BlockSizePolicy: AnyObject {
    /// Positions of the next block; 1...64.
    func nextBlockSize() -> Int
    /// A block of `size` gave `tokens` in `passes` passes.
    func blockFinished(size: Int, tokens: Int, passes: Int)
    /// The passes since the last block tell nothing about a size: they computed a prompt, or a draft of
    /// another size.
    func blockSkipped()
    /// A pass over `positions` took `seconds`.
    func passMeasured(positions: Int, seconds: Double)
}

/// Always the same size.
public final class FixedBlockSize: BlockSizePolicy {
    private let size: Int
    public init(_ size: Int) { self.size = size }
    public func nextBlockSize() -> Int { size }
    public func blockFinished(size: Int, tokens: Int, passes: Int) {}
    public func blockSkipped() {}
    public func passMeasured(positions: Int, seconds: Double) {}
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

    /// A pass, timed.
    func timedForward(
        committed: [Int32], open: [Int32], logitRows: [Int], blockSize: Int,
        policy: any BlockSizePolicy
    ) {
        let start = ContinuousClock.now
        forward(committed: committed, open: open, logitRows: logitRows, blockSize: blockSize)
        // A prompt's pass says nothing about decoding.
        guard committed.count <= 128 else { return }
        policy.passMeasured(
            positions: committed.count + open.count, seconds: (ContinuousClock.now - start).seconds)
    }
}

extension Duration {
    public var seconds: Double {
        Double(components.seconds) + Double(components.attoseconds) * 1e-18
    }
}
