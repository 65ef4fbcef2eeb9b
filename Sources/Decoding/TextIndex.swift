/// A text that grows and shrinks at its end, with the earlier places of each n-gram. A step costs the same
/// for every length of the text.
///
/// For each length n, a hash of the last n tokens leads to the newest place after such an n-gram, and
/// from each place a link to the one before. Links of different n-grams with equal hashes mix, so a
/// caller that follows them must compare the tokens.
struct TextIndex {
    /// Ids.
    private(set) var tokens: [Int32] = []
    private var tables: [Table]

    /// The n-grams of one length.
    private struct Table {
        let length: Int
        /// For each hash, the number of tokens up to the end of the newest n-gram; 0 for none.
        var heads: [Int32]
        /// For each place, the same number of the n-gram before it.
        var previous: [Int32] = []

        /// Bytes that it takes.
        var bytes: Int { 4 * (heads.count + previous.capacity) }

        /// The newest place after an n-gram like the one at the end of a text, or one with its hash; 0 for none.
        func head(_ tokens: [Int32]) -> Int32 {
            tokens.count < length ? 0 : heads[slot(tokens)]
        }

        /// Where the hash of the n-gram at the end of `tokens` lies.
        func slot(_ tokens: [Int32]) -> Int {
            var hash: UInt64 = 0
            for index in tokens.count - length..<tokens.count {
                hash = (hash ^ UInt64(UInt32(bitPattern: tokens[index]))) &* 0x9E37_79B9_7F4A_7C15
                hash ^= hash >> 29
            }
            return Int(truncatingIfNeeded: hash) & (heads.count - 1)
        }

        mutating func append(_ tokens: [Int32]) {
            guard tokens.count >= length else { return previous.append(0) }
            let slot = slot(tokens)
            previous.append(heads[slot])
            heads[slot] = Int32(tokens.count)
        }

        /// Takes back the last `append`. To be called before the token is removed.
        mutating func removeLast(_ tokens: [Int32]) {
            let before = previous.removeLast()
            if tokens.count >= length { heads[slot(tokens)] = before }
        }
    }

    /// - Parameter lengths: Lengths of n-grams.
    init(lengths: [Int], capacity: Int = 1024) {
        let size = 1 << (Int.bitWidth - (2 * capacity - 1).leadingZeroBitCount)
        tables = lengths.map { Table(length: $0, heads: Array(repeating: 0, count: size)) }
        reserve(capacity)
    }

    mutating func append(_ token: Int32) {
        if 2 * tokens.count > tables[0].heads.count { grow() }
        tokens.append(token)
        for index in tables.indices { tables[index].append(tokens) }
    }

    /// Keeps the first `count` tokens.
    mutating func truncate(to count: Int) {
        while tokens.count > count {
            for index in tables.indices { tables[index].removeLast(tokens) }
            tokens.removeLast()
        }
    }

    /// Bytes that it takes.
    var bytes: Int { 4 * tokens.capacity + tables.reduce(0) { $0 + $1.bytes } }

    /// Places after earlier n-grams like the last one of the given length, newest first, and perhaps some
    /// after others; a place is the number of tokens before it.
    ///
    /// - Parameters:
    ///   - text: The text whose last n-gram is looked for; nil: this text.
    ///   - body: Returns whether to go on.
    func forEachPlace(table: Int, endOf text: TextIndex? = nil, _ body: (Int) -> Bool) {
        var place = text.map { tables[table].head($0.tokens) } ?? tables[table].previous.last ?? 0
        while place > 0, body(Int(place)) { place = tables[table].previous[Int(place) - 1] }
    }

    /// How many tokens before `place` equal the last ones of a text, up to `most`.
    ///
    /// - Parameter text: The other text; nil: this one.
    func matchLength(_ place: Int, endOf text: TextIndex? = nil, most: Int) -> Int {
        let other = text?.tokens ?? tokens
        let most = min(most, place, other.count)
        var length = 0
        while length < most, tokens[place - 1 - length] == other[other.count - 1 - length] {
            length += 1
        }
        return length
    }

    private mutating func grow() {
        let all = tokens
        tokens.removeAll(keepingCapacity: true)
        for index in tables.indices {
            let size = 2 * tables[index].heads.count
            tables[index].heads = Array(repeating: 0, count: size)
            tables[index].previous.removeAll(keepingCapacity: true)
        }
        reserve(2 * all.count)
        for token in all { append(token) }
    }

    private mutating func reserve(_ count: Int) {
        tokens.reserveCapacity(count)
        for index in tables.indices { tables[index].previous.reserveCapacity(count) }
    }
}
