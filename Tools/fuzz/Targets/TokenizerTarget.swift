import TesseraImport
import TesseraTokenization
import TesseraWeightFile

/// A vocabulary that the input adds to the 256 bytes, and a text. What was encoded must decode to the text,
/// and the scanners must cut it as their patterns say.
enum TokenizerTarget {
    static func run(_ bytes: [UInt8]) {
        var input = InputBytes(bytes)
        var tables = vocabulary(&input)
        tables.preTokenizer = input.choice([.gpt2, .digitsGPT2, .llama3, .qwen2, .sentencePiece])
        if tables.preTokenizer == .sentencePiece {
            tables.spacePrefix = input.choice([.none, .section, .text, .piece])
            for byte in 128..<256 { tables.kinds[byte] = .byte }
        }
        guard let tokenizer = try? Tokenizer(tables) else { fatalError("tables are refused") }
        for text in input.texts { check(text, tokenizer) }
        let (kind, pattern) = input.choice(PreTokenizerPatterns.scanned)
        checkScanner(tables, kind, pattern, input.texts[0])
        decode(Array(input.rest), tables)
    }

    /// Tokens of two to seven bytes, each with its kind, and the merges that make them.
    private static func vocabulary(_ input: inout InputBytes) -> TokenizerTables {
        var tokens = (0..<256).map { [UInt8($0)] }
        var kinds = [TokenizerTables.TokenKind](repeating: .normal, count: 256)
        var ids: [[UInt8]: Int] = [:]
        for (id, token) in tokens.enumerated() { ids[token] = id }
        let flags = input.byte()
        var merges: [TokenizerTables.Merge] = []
        for _ in 0..<input.choice(24) {
            let form = input.byte()
            let token = input.bytes(2 + form % 6)
            guard token.count > 1, ids[token] == nil else { continue }
            let cut = 1 + form / 8 % (token.count - 1)
            var kind = TokenizerTables.TokenKind.normal
            // Added tokens are texts.
            if form >= 192, String(validating: token, as: UTF8.self) != nil {
                kind = form < 224 ? .added : .special
            }
            ids[token] = tokens.count
            if kind == .normal, let left = ids[Array(token[..<cut])],
                let right = ids[Array(token[cut...])]
            {
                merges.append(
                    .init(left: UInt32(left), right: UInt32(right), result: UInt32(tokens.count)))
            }
            tokens.append(token)
            kinds.append(kind)
        }
        var tables = TokenizerTables(tokens: tokens, kinds: kinds, merges: merges)
        tables.ignoreMerges = flags & 1 != 0
        tables.normalizesNFC = flags & 2 != 0
        return tables
    }

    private static func check(_ text: String, _ tokenizer: Tokenizer) {
        for specials in [Tokenizer.Specials.parse, .asText] {
            let ids = tokenizer.encode(text, specials: specials)
            var decoder = StreamDecoder(tokenizer, printsSpecials: true)
            let back = ids.map { decoder.append($0) }.joined() + decoder.finish()
            let (wanted, found) = (spaced(text, tokenizer.tables), spaced(back, tokenizer.tables))
            if tokenizer.tables.spacePrefix != .none {
                // Composed accents take fewer bytes, and as many characters.
                let isWhole =
                    tokenizer.tables.normalizesNFC
                    ? String(decoding: found, as: UTF8.self).count
                        >= String(decoding: wanted, as: UTF8.self).count
                    : found.count >= wanted.count
                precondition(isWhole, "a part was lost")
            } else if tokenizer.tables.normalizesNFC {
                let same =
                    String(decoding: found, as: UTF8.self)
                    == String(decoding: wanted, as: UTF8.self)
                precondition(same, "another text came back")
            } else {
                precondition(found == wanted, "other bytes came back")
            }
        }
    }

    /// SentencePiece takes U+2581 for a space.
    private static func spaced(_ text: String, _ tables: TokenizerTables) -> [UInt8] {
        guard tables.preTokenizer == .sentencePiece else { return Array(text.utf8) }
        return TokenizerTables.unmarked(text.utf8)
    }

    private static func checkScanner(
        _ tables: TokenizerTables, _ kind: TokenizerTables.PreTokenizer, _ pattern: String,
        _ text: String
    ) {
        var (scanned, matched) = (tables, tables)
        scanned.preTokenizer = kind
        matched.preTokenizer = .regex
        matched.pattern = pattern
        guard let scanner = try? Tokenizer(scanned), let matcher = try? Tokenizer(matched) else {
            fatalError("a pattern of ours is refused")
        }
        precondition(scanner.pieces(of: text) == matcher.pieces(of: text), "\(kind) cuts otherwise")
    }

    /// Any ids in any order, some of them beyond the vocabulary: the stream gives what the bytes are together.
    private static func decode(_ bytes: [UInt8], _ tables: TokenizerTables) {
        guard let tokenizer = try? Tokenizer(tables) else { return }
        let ids = bytes.map { Int32($0) } + bytes.map { Int32($0) * 97 - 5000 }
        var decoder = StreamDecoder(tokenizer, printsSpecials: true)
        let stream = ids.map { decoder.append($0) }.joined() + decoder.finish()
        let whole = String(decoding: ids.flatMap { tokenizer.bytes(of: $0) }, as: UTF8.self)
        precondition(stream.utf8.elementsEqual(whole.utf8), "the stream differs from the whole")
    }
}

/// A tokenizer's own pattern.
enum PatternTarget {
    static func run(_ bytes: [UInt8]) {
        let texts = InputBytes(bytes).texts
        var tables = TokenizerTables(tokens: (0..<256).map { [UInt8($0)] })
        tables.preTokenizer = .regex
        tables.pattern = texts[0]
        do throws(TokenizerError) {
            let tokenizer = try Tokenizer(tables)
            for text in texts.dropFirst() {
                let pieces = tokenizer.pieces(of: text)
                precondition(pieces.allSatisfy { !$0.isEmpty } && pieces.joined() == text)
            }
        } catch {
            precondition(!error.description.isEmpty)
        }
    }
}
