/// A text that others may repeat, such as earlier outputs. Any number of ``LookupSource``s can use it.
public final class LookupCorpus: Sendable {
    let index: TextIndex

    /// Most tokens that are kept.
    public static let capacity = 1 << 18

    /// - Parameter tokens: Ids; only the last ``capacity`` of them count.
    public init(_ tokens: [Int32]) {
        let kept = tokens.suffix(Self.capacity)
        var index = TextIndex(lengths: LookupSource.lengths, capacity: max(1, kept.count))
        for token in kept { index.append(token) }
        self.index = index
    }

    /// Tokens that are kept.
    public var count: Int { index.tokens.count }

    /// Bytes that it takes.
    public var bytes: Int { index.bytes }
}
