public import TesseraWeightFile

/// Text whose origin decides whether special tokens may be recognized in it.
public struct Segment: Equatable, Sendable {
    public var text: String
    /// Written by a user: never becomes a special token, whatever it spells.
    public var isUserText: Bool

    public init(text: String, isUserText: Bool) {
        self.text = text
        self.isUserText = isUserText
    }
}

/// Byte-pair encoding, from bytes or as SentencePiece from characters, as Hugging Face's `tokenizers` does it.
public final class Tokenizer: Sendable {
    /// What becomes of added and special tokens spelled out in a text.
    public enum Specials: Sendable {
        /// They are recognized.
        case parse
        /// They are text like any other.
        case asText
    }

    public let tables: TokenizerTables
    private let merges: MergeTable
    private let vocabulary: VocabularyTable?
    /// Tokens of single characters, where merging begins with these.
    private let characters: VocabularyTable?
    /// Token of each byte; bytes without one are dropped, as Hugging Face does without `unk_token`.
    private let byteTokens: [UInt32?]
    private let addedTokens: AddedTokens
    /// Those that are matched after normalization.
    private let normalizedTokens: AddedTokens
    private let pattern: Regex?

    public init(_ tables: TokenizerTables) throws(TokenizerError) {
        self.tables = tables
        merges = MergeTable(tables.merges)
        vocabulary =
            tables.ignoreMerges ? VocabularyTable(tables) { tables.kinds[$0] == .normal } : nil
        let isSentencePiece = tables.preTokenizer == .sentencePiece
        characters =
            isSentencePiece ? VocabularyTable(tables) { tables.isCharacter($0) } : nil
        var bytes = [UInt32?](repeating: nil, count: 256)
        let byteKind: TokenizerTables.TokenKind = isSentencePiece ? .byte : .normal
        for (id, token) in tables.tokens.enumerated() where tables.kinds[id] == byteKind {
            guard token.count == 1, let byte = token.first, bytes[Int(byte)] == nil else {
                continue
            }
            bytes[Int(byte)] = UInt32(id)
        }
        byteTokens = bytes
        addedTokens = AddedTokens(tables, normalized: false)
        normalizedTokens = AddedTokens(tables, normalized: true)
        pattern = tables.preTokenizer == .regex ? try Regex(tables.pattern) : nil
    }

    public var vocabularySize: Int { tables.tokens.count }

    /// Bytes that token `id` prints.
    public func bytes(of id: Int32) -> ArraySlice<UInt8> {
        tables.tokens.indices.contains(Int(id)) ? tables.tokens[Int(id)] : []
    }

    public func kind(of id: Int32) -> TokenizerTables.TokenKind {
        tables.kinds.indices.contains(Int(id)) ? tables.kinds[Int(id)] : .unused
    }

    /// Ids of a text. Invalid UTF-8 counts as U+FFFD.
    ///
    /// - Parameter addBOS: Put the beginning-of-sequence token in front, if the model has one.
    public func encode(
        _ text: String, specials: Specials = .parse, addBOS: Bool = false
    ) -> [Int32] {
        var encoded = Encoded()
        append(text, specials, to: &encoded)
        guard addBOS, let bos = tables.bosToken else { return encoded.ids }
        return [Int32(bos)] + encoded.ids
    }

    /// Ids of a text that begins with at most one beginning-of-sequence token, whether the text or the tokenizer adds it.
    ///
    /// - Returns: The ids, and whether the text spelled that token itself where one was to be added.
    public func encodeOnceBegun(
        _ text: String, specials: Specials = .parse, addBOS: Bool
    ) -> (ids: [Int32], hasOwn: Bool) {
        let ids = encode(text, specials: specials)
        guard addBOS, let bos = tables.bosToken.map({ Int32($0) }) else { return (ids, false) }
        return ids.first == bos ? (ids, true) : ([bos] + ids, false)
    }

    /// Ids of a rendered conversation. Text on the two sides of a border is never merged.
    public func encode(_ segments: [Segment]) -> [Int32] {
        var encoded = Encoded()
        for segment in segments {
            append(segment.text, segment.isUserText ? .asText : .parse, to: &encoded)
        }
        return encoded.ids
    }

    /// Ids of what of a text was read, and what that ended with.
    private struct Encoded {
        enum End { case nothing, token, text }

        var ids: [Int32] = []
        var end = End.nothing

        mutating func append(token: Int32) {
            ids.append(token)
            end = .token
        }
    }

    private func append(_ text: String, _ specials: Specials, to encoded: inout Encoded) {
        guard specials == .parse else { return appendSection(text, specials, to: &encoded) }
        for piece in pieces(of: text, addedTokens) {
            switch piece {
            case .token(let id): encoded.append(token: id)
            case .text(let text): appendSection(text, specials, to: &encoded)
            }
        }
    }

    /// Text between tokens that are matched before it is normalized.
    private func appendSection(
        _ text: String, _ specials: Specials, to encoded: inout Encoded
    ) {
        let text = tables.normalized(text, isBegun: encoded.end == .text)
        guard specials == .parse else { return appendPlain(text, to: &encoded) }
        for piece in pieces(of: text, normalizedTokens) {
            switch piece {
            case .token(let id): encoded.append(token: id)
            case .text(let text): appendPlain(text, to: &encoded)
            }
        }
    }

    private enum Piece {
        case text(String)
        case token(Int32)
    }

    /// Cuts a text at added tokens.
    private func pieces(of text: String, _ tokens: AddedTokens) -> [Piece] {
        guard !tokens.isEmpty else { return [.text(text)] }
        let bytes = Array(text.utf8)
        return tokens.pieces(of: bytes).map { piece in
            switch piece {
            case .token(let id): .token(Int32(id))
            case .text(let range): .text(String(decoding: bytes[range], as: UTF8.self))
            }
        }
    }

    /// Adds a normalized text without added tokens.
    private func appendPlain(_ text: String, to encoded: inout Encoded) {
        guard !text.isEmpty else { return }
        var text = text
        text.makeContiguousUTF8()
        if let characters {
            if takesSpace(text, after: encoded.end) { text = " " + text }
            appendWhole(Array(text.utf8), characters, to: &encoded.ids)
        } else {
            appendPieces(text, to: &encoded.ids)
        }
        encoded.end = .text
    }

    /// Whether a piece of text gets a space in front.
    private func takesSpace(_ text: String, after end: Encoded.End) -> Bool {
        switch tables.spacePrefix {
        case .none, .section: false
        case .text: end == .nothing && text.utf8.first != 0x20
        case .piece: end != .text && text.utf8.first != 0x20
        }
    }

    /// Merges a text from its characters.
    private func appendWhole(
        _ bytes: [UInt8], _ characters: VocabularyTable, to ids: inout [Int32]
    ) {
        if let id = vocabulary?.id(of: bytes[...]) { return ids.append(Int32(id)) }
        var symbols: [UInt32] = []
        symbols.reserveCapacity(bytes.count)
        var begin = 0
        while begin < bytes.count {
            var end = begin + 1
            while end < bytes.count, bytes[end] & 0xc0 == 0x80 { end += 1 }
            if let id = characters.id(of: bytes[begin..<end]) {
                symbols.append(id)
            } else {
                symbols += bytes[begin..<end].compactMap { byteTokens[Int($0)] }
            }
            begin = end
        }
        var merger = BytePairMerger()
        merger.merge(symbols, merges, into: &ids)
    }

    /// Cuts a text and merges each piece from its bytes.
    private func appendPieces(_ text: String, to ids: inout [Int32]) {
        let scanner = TextScanner(text)
        let bytes = Array(text.utf8)
        var merger = BytePairMerger()
        var symbols: [UInt32] = []
        func emit(_ piece: Range<Int>) {
            let slice = bytes[scanner.offsets[piece.lowerBound]..<scanner.offsets[piece.upperBound]]
            if let id = vocabulary?.id(of: slice) { return ids.append(Int32(id)) }
            symbols.removeAll(keepingCapacity: true)
            for byte in slice {
                if let token = byteTokens[Int(byte)] { symbols.append(token) }
            }
            merger.merge(symbols, merges, into: &ids)
        }
        split(scanner, emit)
    }

    /// Calls `emit` with the pieces that are merged on their own.
    private func split(_ text: TextScanner, _ emit: (Range<Int>) -> Void) {
        let all = 0..<text.scalars.count
        switch tables.preTokenizer {
        case .gpt2: PreTokenization.gpt2(text, all, emit)
        case .digitsGPT2: PreTokenization.digitsGPT2(text, all, emit)
        case .llama3: PreTokenization.llama3(text, all, digits: 3, emit)
        case .qwen2: PreTokenization.llama3(text, all, digits: 1, emit)
        case .regex: pattern?.split(text, emit)
        case .sentencePiece: emit(all)
        }
    }

    /// The pieces of a text as it is, for tests.
    package func pieces(of text: String) -> [String] {
        let scanner = TextScanner(text)
        var pieces: [String] = []
        split(scanner) { range in
            pieces.append(String(String.UnicodeScalarView(scanner.scalars[range])))
        }
        return pieces
    }
}

/// Turns ids into text as they come; an incomplete character is held back.
public struct StreamDecoder: Sendable {
    private let tokenizer: Tokenizer
    private let printsSpecials: Bool
    private var pending: [UInt8] = []
    /// A space at the beginning is the tokenizer's and not the text's.
    private var dropsSpace: Bool

    /// - Parameters:
    ///   - printsSpecials: Special tokens appear as they are spelled.
    ///   - beginsText: The first id begins a text, so that the space in front that some tokenizers put there
    ///     is left out.
    public init(
        _ tokenizer: Tokenizer, printsSpecials: Bool = false, beginsText: Bool = false
    ) {
        self.tokenizer = tokenizer
        self.printsSpecials = printsSpecials
        dropsSpace = beginsText && tokenizer.tables.spacePrefix != .none
    }

    /// The characters that `id` completes.
    public mutating func append(_ id: Int32) -> String {
        switch tokenizer.kind(of: id) {
        case .unused: return ""
        case .special where !printsSpecials: return ""
        default: break
        }
        var bytes = tokenizer.bytes(of: id)
        if dropsSpace, let first = bytes.first {
            if first == 0x20 { bytes = bytes.dropFirst() }
            dropsSpace = false
        }
        pending.append(contentsOf: bytes)
        let complete = pending.count - Self.incompleteTail(pending)
        let text = String(decoding: pending[..<complete], as: UTF8.self)
        pending.removeFirst(complete)
        return text
    }

    /// What is left: U+FFFD for a character that never ended.
    public mutating func finish() -> String {
        defer { pending = [] }
        return String(decoding: pending, as: UTF8.self)
    }

    /// Bytes at the end that may be the beginning of a character.
    private static func incompleteTail(_ bytes: [UInt8]) -> Int {
        for length in 1...3 where length <= bytes.count {
            let byte = bytes[bytes.count - length]
            if byte < 0x80 { return 0 }
            guard byte >= 0xc0 else { continue }  // a continuation: look further left
            let width = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2
            return width > length ? length : 0
        }
        return 0
    }
}
