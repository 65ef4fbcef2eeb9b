/// Which token was decided where in which pass, block by block.
public struct Trace: Sendable {
    public struct Reveal: Sendable, Equatable {
        /// Absolute position in the sequence.
        public var position: Int
        public var token: Int32
        /// Entropy of the distribution that it was drawn from, in nats.
        public var entropy: Float
        /// Whether the finished text holds it: false for a rejected draft.
        public var isKept = true
    }

    public struct Pass: Sendable, Equatable {
        /// Tokens that entered the cache.
        public var committed: Int
        /// Open positions computed.
        public var open: Int
        public var reveals: [Reveal]
    }

    /// The passes over one block: its size and what each pass decided.
    public struct Block: Sendable, Equatable {
        /// Absolute position of its first token.
        public var position: Int
        public var size: Int
        public var passes: [Pass] = []
    }

    public internal(set) var blocks: [Block] = []

    public init() {}

    mutating func begin(position: Int, size: Int) {
        blocks.append(Block(position: position, size: size))
    }

    /// The last block grows.
    mutating func extend(by count: Int) {
        guard !blocks.isEmpty else { return }
        blocks[blocks.count - 1].size += count
    }

    mutating func add(_ pass: Pass) {
        guard !blocks.isEmpty else { return }
        blocks[blocks.count - 1].passes.append(pass)
    }
}
