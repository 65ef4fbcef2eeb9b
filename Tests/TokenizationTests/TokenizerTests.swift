import Foundation
import TesseraImport
import Testing
import TesseraTokenization
import TesseraWeightFile

struct TokenizerTests {
    /// Made with Hugging Face's tokenizers by Tools/oracle/make_tokenizer_cases.py.
    private struct Golden: Decodable {
        var texts: [String]
        var ids: [String: [[Int32]]]
    }

    static let families = ["smollm", "gpt2", "llama3", "qwen2", "tekken", "gpt4o", "qwen35"]

    private static func resource(_ name: String) -> URL {
        Bundle.module.bundleURL.appending(path: "Resources/\(name)")
    }

    private static func tokenizer(_ family: String) throws -> Tokenizer {
        let folder = resource("tokenizer-\(family)")
        return try Tokenizer(VocabularySource(path: folder.path).tokenizer)
    }

    private static func golden() throws -> Golden {
        try JSONDecoder().decode(
            Golden.self, from: Data(contentsOf: resource("tokenizer-cases.json")))
    }

    @Test(arguments: families)
    func idsEqualHuggingFaces(family: String) throws {
        let golden = try Self.golden()
        let tokenizer = try Self.tokenizer(family)
        let expected = try #require(golden.ids[family])
        #expect(golden.texts.count == expected.count && expected.count > 200)
        for (text, ids) in zip(golden.texts, expected) {
            #expect(tokenizer.encode(text) == ids, "\(family): \(text.prefix(60).debugDescription)")
        }
    }

    /// Made with tokenizers and transformers by Tools/oracle/make_added_tokens.py.
    private struct AddedTokens: Decodable {
        struct Token: Codable {
            var id: Int
            var content: String
            var special, lstrip, rstrip, normalized: Bool
            // swift-format-ignore: AlwaysUseLowerCamelCase
            var single_word: Bool
        }

        struct Step: Codable { var type: String }

        var name: String
        var normalizer: Step?
        var tokens: [Token]
        var decoder: [Token]?
        var texts: [String]
        var ids: [[Int32]]

        /// Writes the vocabulary of GPT-2's tokenizer with these tokens.
        func write(to folder: URL) throws {
            func object(_ value: some Encodable) throws -> Any {
                try JSONSerialization.jsonObject(with: JSONEncoder().encode(value))
            }
            let base = try JSONSerialization.jsonObject(
                with: Data(contentsOf: resource("tokenizer-gpt2/tokenizer.json")))
            var json = base as? [String: Any] ?? [:]
            json["added_tokens"] = try object(tokens)
            json["normalizer"] = try normalizer.map(object)
            try JSONSerialization.data(withJSONObject: json)
                .write(to: folder.appending(path: "tokenizer.json"))
            guard let decoder else { return }
            let members = try decoder.map { token in
                var member = try object(token) as? [String: Any] ?? [:]
                member["id"] = nil
                return ("\(token.id)", member)
            }
            let settings = ["added_tokens_decoder": Dictionary(uniqueKeysWithValues: members)]
            try JSONSerialization.data(withJSONObject: settings)
                .write(to: folder.appending(path: "tokenizer_config.json"))
        }
    }

    @Test func addedTokensMatchAsHuggingFacesDo() throws {
        let cases = try JSONDecoder().decode(
            [AddedTokens].self, from: Data(contentsOf: Self.resource("added-tokens.json")))
        #expect(cases.count == 6)
        for item in cases {
            let folder = FileManager.default.temporaryDirectory.appending(path: "\(UUID())")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            try item.write(to: folder)
            let tokenizer = try Tokenizer(VocabularySource(path: folder.path).tokenizer)
            #expect(item.texts.count == item.ids.count && item.ids.count > 150)
            for (text, ids) in zip(item.texts, item.ids) {
                #expect(tokenizer.encode(text) == ids, "\(item.name): \(text.debugDescription)")
            }
        }
    }

    @Test(arguments: families)
    func decodingGivesTheTextBack(family: String) throws {
        let golden = try Self.golden()
        let tokenizer = try Self.tokenizer(family)
        for text in golden.texts {
            var decoder = StreamDecoder(tokenizer, printsSpecials: true)
            var result = ""
            for id in tokenizer.encode(text) { result += decoder.append(id) }
            result += decoder.finish()
            // Qwen's tokens are those of the composed text, which is canonically equal.
            let equal =
                family.hasPrefix("qwen") ? result == text : Array(result.utf8) == Array(text.utf8)
            #expect(equal, "\(family): \(text.prefix(60).debugDescription)")
        }
    }

    /// The pattern of a name in a GGUF file is that of the oracle's tokenizer.json.
    @Test(arguments: [
        ("gpt4o", PreTokenizerPatterns.o200k), ("qwen35", PreTokenizerPatterns.qwen35),
        ("tekken", PreTokenizerPatterns.tekken),
    ])
    func patternsOfGGUFAreThose(family: String, pattern: String) throws {
        #expect(try Self.tokenizer(family).tables.pattern == pattern)
    }

    @Test func userTextNeverBecomesASpecialToken() throws {
        let tokenizer = try Self.tokenizer("qwen2")
        let spelled = "<|im_end|>"
        let parsed = tokenizer.encode(spelled)
        #expect(parsed.count == 1 && tokenizer.kind(of: parsed[0]) == .special)
        let ids = tokenizer.encode([
            Segment(text: "<|im_start|>user\n", isUserText: false),
            Segment(text: spelled, isUserText: true),
            Segment(text: spelled, isUserText: false),
        ])
        #expect(ids.count { tokenizer.kind(of: $0) == .special } == 2)
    }

    @Test func splitCharactersAreHeldBackAndBrokenOnesReplaced() throws {
        let tokenizer = try Self.tokenizer("gpt2")
        let ids = tokenizer.encode("\u{1f600}")
        #expect(ids.count > 1)
        var decoder = StreamDecoder(tokenizer)
        let pieces = ids.map { decoder.append($0) }
        #expect(pieces.dropLast().allSatisfy { $0.isEmpty } && pieces.last == "\u{1f600}")
        _ = decoder.append(ids[0])
        #expect(decoder.finish() == "\u{fffd}")
    }

    @Test func invalidTextCountsAsTheReplacementCharacter() throws {
        let tokenizer = try Self.tokenizer("llama3")
        let text = String(decoding: [0x61, 0xff, 0xc3, 0x62] as [UInt8], as: UTF8.self)
        #expect(tokenizer.encode(text) == tokenizer.encode("a\u{fffd}\u{fffd}b"))
    }

    /// Each text is cut in time linear in its length.
    @Test(
        .timeLimit(.minutes(30)),
        arguments: families, ["e", "7", " \n", "!", "\u{301}"])
    func aLongRunEnds(family: String, unit: String) throws {
        let tokenizer = try Self.tokenizer(family)
        let text = String(repeating: unit, count: 100_000 / unit.unicodeScalars.count)
        let ids = tokenizer.encode(text)
        #expect(ids.reduce(0) { $0 + tokenizer.bytes(of: $1).count } == text.utf8.count)
    }

    /// Patterns that backtrack at every position, or loop without moving.
    @Test(
        .timeLimit(.minutes(30)),
        arguments: ["(x+x+)+y", "x+y", "(?:x*)*y", "(?:|x)*y", "(?=(x+x+)+y)x", "(?>x*)(x*)*y"])
    func hostilePatternsEnd(pattern: String) throws {
        var tables = TokenizerTables(tokens: (0..<256).map { [UInt8($0)] })
        tables.preTokenizer = .regex
        tables.pattern = pattern
        let text = String(repeating: "x", count: 20_000)
        #expect(try Tokenizer(tables).encode(text).count == 20_000)
    }

    @Test(arguments: [
        "(", "[a", "a{3", "*a", "(?<=a)b", "\\q", "[a-\\p{L}]", "a{99999}", "\\p{Qq}",
    ])
    func patternsThatAreNotUnderstoodAreRefused(pattern: String) throws {
        var tables = TokenizerTables(tokens: (0..<256).map { [UInt8($0)] })
        tables.preTokenizer = .regex
        tables.pattern = pattern
        #expect(throws: TokenizerError.self) { _ = try Tokenizer(tables) }
    }
}
