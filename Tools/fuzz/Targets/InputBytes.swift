/// Takes choices from the front of an input; the rest is content.
struct InputBytes {
    private(set) var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    var isEmpty: Bool { rest.isEmpty }

    /// The next byte; 0 at the end.
    mutating func byte() -> Int { Int(rest.popFirst() ?? 0) }

    /// One of `count` choices.
    mutating func choice(_ count: Int) -> Int { byte() % count }

    mutating func choice<C: RandomAccessCollection<T>, T>(_ values: C) -> T
    where C.Index == Int {
        values[values.startIndex + byte() % values.count]
    }

    /// The next `count` bytes, or as many as there are.
    mutating func bytes(_ count: Int) -> [UInt8] {
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }

    /// What is left, cut at bytes that no UTF-8 has.
    var texts: [String] {
        rest.split(separator: 255, omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
    }
}

/// Fields of eight bytes, the lowest first.
extension [UInt8] {
    /// The field at `offset`; nil beyond the end, and where the value is no `Int`.
    func number(at offset: Int) -> Int? {
        guard count >= offset + 8 else { return nil }
        let value = (0..<8).reduce(UInt64(0)) {
            $0 | UInt64(self[offset + $1]) << (8 * UInt64($1))
        }
        return Int(exactly: value)
    }

    mutating func put(_ value: UInt64, at offset: Int) {
        for index in 0..<8 {
            self[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(index)))
        }
    }
}
