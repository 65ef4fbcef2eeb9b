/// The tokenizer as it stands in a file. Formats/TSR.md §6.
///
/// Opening a file copies four arrays and checks their numbers; nothing is parsed item by item.
enum TokenizerSection {
    /// Stands for "no such token".
    private static let none = UInt32.max
    private static let ignoreMerges: UInt32 = 1
    private static let normalizesNFC: UInt32 = 2
    private static let addsBOS: UInt32 = 4
    private static let namelessBOS: UInt32 = 8
    private static let namelessEOS: UInt32 = 16
    private static let knownFlags: UInt32 = 31

    /// Reads and checks the section. Rules 16...22.
    ///
    /// - Parameter vocabularySize: Rows of the embedding; there may be fewer tokens, not more.
    static func parse(
        _ bytes: RawSpan, base: Int, vocabularySize: Int
    ) throws(Violation) -> TokenizerTables {
        var fields = FieldReader(bytes, base: base, sizeRule: .tokenizerSize)
        var tables = TokenizerTables()
        let tokenCount = try fields.int32()
        let mergeCount = try fields.int32()
        let textBytes = try fields.int32()
        let eosCount = try fields.int32()
        let patternBytes = try fields.int32()
        guard tokenCount <= vocabularySize else {
            throw Violation(
                .tokenizerSize, at: base, found: "\(tokenCount) tokens",
                expected: "at most \(vocabularySize)")
        }
        try readSettings(&fields, into: &tables)
        tables.bosToken = try tokenID(&fields, below: tokenCount)
        tables.padToken = try tokenID(&fields, below: tokenCount)
        tables.unknownToken = try tokenID(&fields, below: tokenCount)
        tables.spacePrefix = try spacePrefix(&fields, tables.preTokenizer)
        try fields.zeros(4, .tokenizerReserved)

        let offsets = try readOffsets(&fields, tokenCount: tokenCount, textBytes: textBytes)
        let mergesOffset = fields.offset
        tables.merges = try fields.array(of: TokenizerTables.Merge.self, count: mergeCount)
        try check(tables.merges, offsets, base: mergesOffset)
        let eosOffset = fields.offset
        let eos = try fields.array(of: UInt32.self, count: eosCount)
        tables.eosTokens = eos.map(Int.init)
        if let index = tables.eosTokens.firstIndex(where: { $0 >= tokenCount }) {
            throw Violation(
                .tokenIDs, at: eosOffset + 4 * index, found: tables.eosTokens[index],
                expected: "below \(tokenCount)")
        }
        try readKinds(&fields, offsets, into: &tables)
        let text = try fields.array(of: UInt8.self, count: textBytes)
        tables.tokens = TokenList(bytes: text, offsets: offsets)
        tables.pattern = try fields.text(byteCount: patternBytes, .tokenizerText)
        try fields.finish()
        return tables
    }

    private static func readSettings(
        _ fields: inout FieldReader, into tables: inout TokenizerTables
    ) throws(Violation) {
        let offset = fields.offset
        let kind = try fields.u32()
        guard let preTokenizer = TokenizerTables.PreTokenizer(rawValue: kind) else {
            throw Violation(
                .tokenizerReserved, at: offset, found: "pre-tokenizer \(kind)", expected: "1...6")
        }
        let flags = try fields.u32()
        guard flags & ~knownFlags == 0 else {
            throw Violation(
                .tokenizerReserved, at: offset + 4, found: flags,
                expected: "flags 0...\(knownFlags)")
        }
        tables.preTokenizer = preTokenizer
        tables.ignoreMerges = flags & ignoreMerges != 0
        tables.normalizesNFC = flags & normalizesNFC != 0
        tables.addsBOS = flags & addsBOS != 0
        tables.namesBOS = flags & namelessBOS == 0
        tables.namesEOS = flags & namelessEOS == 0
    }

    private static func spacePrefix(
        _ fields: inout FieldReader, _ preTokenizer: TokenizerTables.PreTokenizer
    ) throws(Violation) -> TokenizerTables.SpacePrefix {
        let offset = fields.offset
        let value = try fields.u32()
        let most: UInt32 = preTokenizer == .sentencePiece ? 3 : 0
        guard value <= most, let prefix = TokenizerTables.SpacePrefix(rawValue: value) else {
            throw Violation(
                .tokenizerReserved, at: offset, found: "space \(value)", expected: "0...\(most)")
        }
        return prefix
    }

    private static func tokenID(
        _ fields: inout FieldReader, below count: Int
    ) throws(Violation) -> Int? {
        let offset = fields.offset
        let id = try fields.u32()
        if id == none { return nil }
        guard Int(id) < count else {
            throw Violation(.tokenIDs, at: offset, found: id, expected: "below \(count)")
        }
        return Int(id)
    }

    /// Offsets of the tokens in the token text: from 0, never falling, to its end.
    private static func readOffsets(
        _ fields: inout FieldReader, tokenCount: Int, textBytes: Int
    ) throws(Violation) -> [UInt32] {
        let base = fields.offset
        let offsets = try fields.array(of: UInt32.self, count: tokenCount + 1)
        var last: UInt32 = 0
        for index in offsets.indices {
            guard offsets[index] >= last, index > 0 || offsets[0] == 0 else {
                throw Violation(
                    .tokenOffsets, at: base + 4 * index, found: offsets[index],
                    expected: index == 0 ? "0" : "at least \(last)")
            }
            last = offsets[index]
        }
        guard Int(last) == textBytes else {
            throw Violation(
                .tokenOffsets, at: base + 4 * tokenCount, found: last, expected: textBytes)
        }
        return offsets
    }

    /// Ids exist, the result is as long as its parts together, and the first merge has a rank of its own.
    private static func check(
        _ merges: [TokenizerTables.Merge], _ offsets: [UInt32], base: Int
    ) throws(Violation) {
        let count = offsets.count - 1
        guard merges.first?.sharesRank != true else {
            throw Violation(
                .merges, at: base, found: "a first merge with the rank of the one before",
                expected: "a rank of its own")
        }
        for index in merges.indices {
            let merge = merges[index]
            let (left, right, result) = (Int(merge.left), Int(merge.right), Int(merge.result))
            guard left < count, right < count, result < count else {
                throw Violation(
                    .merges, at: base + 12 * index, found: "\(left) + \(right) = \(result)",
                    expected: "ids below \(count)")
            }
            let parts =
                UInt64(offsets[left + 1] - offsets[left])
                + UInt64(offsets[right + 1] - offsets[right])
            guard parts == UInt64(offsets[result + 1] - offsets[result]) else {
                throw Violation(
                    .merges, at: base + 12 * index, found: "\(left) + \(right) = \(result)",
                    expected: "a result as long as its parts")
            }
        }
    }

    /// The lowest two bits are the kind, the next four say how added and special tokens are matched; 4 is a kind
    /// of its own.
    private static func readKinds(
        _ fields: inout FieldReader, _ offsets: [UInt32], into tables: inout TokenizerTables
    ) throws(Violation) {
        let base = fields.offset
        let bytes = try fields.array(of: UInt8.self, count: offsets.count - 1)
        tables.kinds.reserveCapacity(bytes.count)
        for (id, byte) in bytes.enumerated() {
            if byte == TokenizerTables.TokenKind.byte.rawValue, offsets[id + 1] - offsets[id] == 1 {
                tables.kinds.append(.byte)
                continue
            }
            let kind = TokenizerTables.TokenKind(rawValue: byte & 3) ?? .normal
            let flags = TokenizerTables.AddedTokenFlags(rawValue: byte & ~3)
            let isAdded = kind == .added || kind == .special
            guard byte < 64, flags.isEmpty || isAdded else {
                throw Violation(
                    .tokenKinds, at: base + id, found: byte,
                    expected: "0...3, with flags up to 60 for the kinds 1 and 2, or 4 for one byte")
            }
            tables.kinds.append(kind)
            if !flags.isEmpty { tables.addedFlags[id] = flags }
        }
    }

    /// The section's bytes.
    ///
    /// - Precondition: There are as many kinds as tokens.
    static func encode(_ tables: TokenizerTables) -> [UInt8] {
        precondition(
            tables.kinds.count == tables.tokens.count,
            "\(tables.kinds.count) kinds for \(tables.tokens.count) tokens")
        var fields = FieldWriter()
        fields.int32(tables.tokens.count)
        fields.int32(tables.merges.count)
        fields.int32(tables.tokens.bytes.count)
        fields.int32(tables.eosTokens.count)
        fields.int32(tables.pattern.utf8.count)
        fields.u32(tables.preTokenizer.rawValue)
        var flags: UInt32 = 0
        if tables.ignoreMerges { flags |= ignoreMerges }
        if tables.normalizesNFC { flags |= normalizesNFC }
        if tables.addsBOS { flags |= addsBOS }
        if !tables.namesBOS { flags |= namelessBOS }
        if !tables.namesEOS { flags |= namelessEOS }
        fields.u32(flags)
        for id in [tables.bosToken, tables.padToken, tables.unknownToken] {
            // An id that does not fit becomes one that no vocabulary has.
            fields.u32(id.map { UInt32(exactly: $0) ?? none - 1 } ?? none)
        }
        fields.u32(tables.spacePrefix.rawValue)
        fields.zeros(4)
        for offset in tables.tokens.offsets { fields.u32(offset) }
        for merge in tables.merges {
            fields.u32(merge.markedLeft)
            fields.u32(merge.right)
            fields.u32(merge.result)
        }
        for id in tables.eosTokens { fields.int32(id) }
        fields.append(
            tables.kinds.indices.lazy.map {
                tables.kinds[$0].rawValue | (tables.addedFlags[$0]?.rawValue ?? 0)
            })
        fields.append(tables.tokens.bytes)
        fields.append(tables.pattern.utf8)
        return fields.bytes
    }
}
