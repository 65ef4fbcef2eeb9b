internal import WeightFile

/// Ranks of merges by their two sides: open addressing over one flat array.
struct MergeTable: Sendable {
    /// Key and rank of each slot; an empty slot has rank `.max`.
    private var keys: [UInt64]
    private var ranks: [UInt32]
    private let mask: Int

    init(_ merges: [TokenizerTables.Merge]) {
        var capacity = 16
        while capacity < merges.count * 2 { capacity *= 2 }
        mask = capacity - 1
        keys = Array(repeating: 0, count: capacity)
        ranks = Array(repeating: .max, count: capacity)
        for (rank, merge) in merges.enumerated() {
            let key = UInt64(merge.left) << 32 | UInt64(merge.right)
            var slot = Self.hash(key) & mask
            while ranks[slot] != .max {
                if keys[slot] == key { break }
                slot = (slot + 1) & mask
            }
            guard ranks[slot] == .max else { continue }  // the first of equal merges counts
            keys[slot] = key
            ranks[slot] = UInt32(rank)
        }
    }

    /// Rank of the merge of `left` and `right`, or nil.
    @inline(__always)
    func rank(_ left: UInt32, _ right: UInt32) -> UInt32? {
        let key = UInt64(left) << 32 | UInt64(right)
        var slot = Self.hash(key) & mask
        while ranks[slot] != .max {
            if keys[slot] == key { return ranks[slot] }
            slot = (slot + 1) & mask
        }
        return nil
    }

    @inline(__always)
    private static func hash(_ key: UInt64) -> Int {
        var z = key &* 0x9e37_79b9_7f4a_7c15
        z ^= z >> 32
        return Int(truncatingIfNeeded: z & 0x7fff_ffff_ffff_ffff)
    }
}

/// Ids of a vocabulary's normal tokens by their bytes.
struct VocabularyTable: Sendable {
    private var slots: [UInt32]
    private let mask: Int
    private let tokens: TokenList

    init(_ tables: TokenizerTables) {
        tokens = tables.tokens
        var capacity = 16
        while capacity < tables.tokens.count * 2 { capacity *= 2 }
        mask = capacity - 1
        slots = Array(repeating: .max, count: capacity)
        for id in tables.tokens.indices where tables.kinds[id] == .normal {
            var slot = Self.hash(tokens[id]) & mask
            while slots[slot] != .max { slot = (slot + 1) & mask }
            slots[slot] = UInt32(id)
        }
    }

    func id(of bytes: ArraySlice<UInt8>) -> UInt32? {
        var slot = Self.hash(bytes) & mask
        while slots[slot] != .max {
            if tokens[Int(slots[slot])] == bytes { return slots[slot] }
            slot = (slot + 1) & mask
        }
        return nil
    }

    /// FNV-1a.
    private static func hash(_ bytes: ArraySlice<UInt8>) -> Int {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        hash ^= hash >> 29
        return Int(truncatingIfNeeded: hash & 0x7fff_ffff_ffff_ffff)
    }
}
