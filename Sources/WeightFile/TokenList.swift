/// The byte strings of a vocabulary, in one block: 150,000 tokens are two allocations, not 150,000.
///
/// Built from plain arrays (`TokenList(arrays)`, an array literal, or `append`), read by subscript.
public struct TokenList: Equatable, Sendable, RandomAccessCollection, ExpressibleByArrayLiteral {
    /// The bytes of all tokens, one after the other.
    public private(set) var bytes: [UInt8] = []
    /// Where each token begins in `bytes`, and last where the last one ends: `count + 1` values.
    public private(set) var offsets: [UInt32] = [0]

    public init() {}

    /// The tokens of `tokens` in order; the index is the id.
    public init(_ tokens: some Sequence<[UInt8]>) {
        for token in tokens { append(token) }
    }

    public init(arrayLiteral tokens: [UInt8]...) {
        self.init(tokens)
    }

    /// - Precondition: `offsets` begins with 0, never falls and ends with `bytes.count`.
    init(bytes: [UInt8], offsets: [UInt32]) {
        precondition(offsets.first == 0 && offsets.last.map(Int.init) == bytes.count)
        self.bytes = bytes
        self.offsets = offsets
    }

    public var startIndex: Int { 0 }
    public var endIndex: Int { offsets.count - 1 }

    /// The bytes of token `id`, without a copy.
    public subscript(id: Int) -> ArraySlice<UInt8> {
        bytes[Int(offsets[id])..<Int(offsets[id + 1])]
    }

    /// Adds a token whose id is the present `count`.
    public mutating func append(_ token: some Collection<UInt8>) {
        bytes.append(contentsOf: token)
        precondition(bytes.count <= Int(UInt32.max), "\(bytes.count) bytes of tokens")
        offsets.append(UInt32(bytes.count))
    }
}
