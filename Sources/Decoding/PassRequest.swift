public import TesseraKernels

/// The request of a decoder for its text in the next pass, which other texts may share.
public struct PassRequest: Sendable, Equatable {
    /// Ids that follow what is cached.
    public var committed: [Int32]
    /// Ids of a block after them.
    public var open: [Int32]
    /// Ascending indices into committed + open.
    public var logitRows: [Int]
    /// Where committed tokens see all of their own block of this size.
    public var blockSize: Int

    public init(
        committed: [Int32], open: [Int32] = [], logitRows: [Int], blockSize: Int = 1
    ) {
        self.committed = committed
        self.open = open
        self.logitRows = logitRows
        self.blockSize = blockSize
    }

    /// Positions.
    public var count: Int { committed.count + open.count }
}

/// The rows of logits that a request got. A sampler may write on them.
public struct PassResult {
    public let logits: Buffer<Float>
    /// Row of `logits` that belongs to the request's first.
    public let firstRow: Int
    public let stride: Int
    public init(logits: Buffer<Float>, firstRow: Int = 0, stride: Int) {
        self.logits = logits
        self.firstRow = firstRow
        self.stride = stride
    }

    /// Index of the first logit of one of the request's rows.
    func begin(_ row: Int) -> Int { (firstRow + row) * stride }
}
