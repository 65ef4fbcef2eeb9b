internal import TesseraWeightFile

/// Merges by their two sides: open addressing over one flat array.
struct MergeTable: Sendable {
    private let merges: [TokenizerTables.Merge]
    /// Index of the merge in each slot; `.max` in an empty one.
    private var slots: [UInt32]
    private let mask: Int
    /// Ranks by index; empty where each is its index.
    private let ranks: [UInt32]

    init(_ merges: [TokenizerTables.Merge]) {
        self.merges = merges
        var capacity = 16
        while capacity < merges.count * 2 { capacity *= 2 }
        mask = capacity - 1
        slots = Array(repeating: .max, count: capacity)
        var ranks: [UInt32] = []
        if merges.contains(where: \.sharesRank) {
            ranks.reserveCapacity(merges.count)
            for (index, merge) in merges.enumerated() {
                ranks.append(merge.sharesRank ? ranks.last ?? 0 : UInt32(index))
            }
        }
        self.ranks = ranks
        for (index, merge) in merges.enumerated() {
            var slot = Self.hash(merge.left, merge.right) & mask
            while slots[slot] != .max, !isMerge(Int(slots[slot]), of: merge.left, merge.right) {
                slot = (slot + 1) & mask
            }
            // The first of equal merges counts.
            if slots[slot] == .max { slots[slot] = UInt32(index) }
        }
    }

    /// Index of the merge of `left` and `right`, or nil.
    @inline(__always)
    func index(_ left: UInt32, _ right: UInt32) -> UInt32? {
        var slot = Self.hash(left, right) & mask
        while slots[slot] != .max {
            if isMerge(Int(slots[slot]), of: left, right) { return slots[slot] }
            slot = (slot + 1) & mask
        }
        return nil
    }

    /// Lower ranks are merged first.
    @inline(__always)
    func rank(of index: UInt32) -> UInt32 { ranks.isEmpty ? index : ranks[Int(index)] }

    @inline(__always)
    func isMerge(_ index: Int, of left: UInt32, _ right: UInt32) -> Bool {
        merges[index].left == left && merges[index].right == right
    }

    @inline(__always)
    func result(of index: UInt32) -> UInt32 { merges[Int(index)].result }

    @inline(__always)
    private static func hash(_ left: UInt32, _ right: UInt32) -> Int {
        var z = (UInt64(left) << 32 | UInt64(right)) &* 0x9e37_79b9_7f4a_7c15
        z ^= z >> 32
        return Int(truncatingIfNeeded: z & 0x7fff_ffff_ffff_ffff)
    }
}

/// Ids of some tokens of a vocabulary by their bytes.
struct VocabularyTable: Sendable {
    private var slots: [UInt32]
    private let mask: Int
    private let tokens: TokenList

    init(_ tables: TokenizerTables, where isTaken: (Int) -> Bool) {
        tokens = tables.tokens
        let ids = tables.tokens.indices.filter(isTaken)
        var capacity = 16
        while capacity < ids.count * 2 { capacity *= 2 }
        mask = capacity - 1
        slots = Array(repeating: .max, count: capacity)
        for id in ids {
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
