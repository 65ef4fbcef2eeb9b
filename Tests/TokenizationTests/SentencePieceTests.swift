import Foundation
import TesseraImport
import Testing
import TesseraTokenization
import TesseraWeightFile

/// BPE from characters, with bytes for those without a token.
struct SentencePieceTests {
    /// Made with sentencepiece and tokenizers by Tools/oracle/make_sentencepiece_cases.py.
    private struct Golden: Decodable {
        var texts: [String]
        var ids: [[Int32]]
    }

    /// GGUF files and folders in Resources.
    static let sources = [
        "plain": "sentencepiece-plain.gguf", "prefix": "sentencepiece-prefix.gguf",
        "ties": "sentencepiece-ties.gguf", "llama2": "tokenizer-llama2",
        "mistral": "tokenizer-mistral", "metaspace": "tokenizer-metaspace",
        "gemma": "tokenizer-gemma",
    ]
    static let names = sources.keys.sorted()

    private static func resource(_ name: String) -> URL {
        Bundle.module.bundleURL.appending(path: "Resources/\(name)")
    }

    private static func tokenizer(_ name: String) throws -> Tokenizer {
        let path = resource(try #require(sources[name])).path
        return try Tokenizer(VocabularySource(path: path).tokenizer)
    }

    private static func golden(_ name: String) throws -> Golden {
        let cases = try JSONDecoder().decode(
            [String: Golden].self,
            from: Data(contentsOf: resource("sentencepiece-cases.json")))
        return try #require(cases[name])
    }

    @Test(arguments: names)
    func idsEqualTheReferences(name: String) throws {
        let golden = try Self.golden(name)
        let tokenizer = try Self.tokenizer(name)
        #expect(golden.texts.count == golden.ids.count && golden.ids.count > 50)
        for (text, ids) in zip(golden.texts, golden.ids) {
            #expect(tokenizer.encode(text) == ids, "\(name): \(text.debugDescription)")
        }
    }

    @Test(arguments: names)
    func decodingGivesTheTextBack(name: String) throws {
        let tokenizer = try Self.tokenizer(name)
        let hasPrefix = tokenizer.tables.spacePrefix != .none
        for text in try Self.golden(name).texts where !text.contains("[") && !text.contains("<") {
            var decoder = StreamDecoder(tokenizer, beginsText: true)
            let back = tokenizer.encode(text).map { decoder.append($0) }.joined() + decoder.finish()
            // U+2581 is a space here, and Metaspace does not tell its own space from the text's.
            var wanted = String(decoding: TokenizerTables.unmarked(text.utf8), as: UTF8.self)
            if hasPrefix, tokenizer.tables.spacePrefix != .section, wanted.hasPrefix(" ") {
                wanted.removeFirst()
            }
            #expect(back == wanted, "\(name): \(text.debugDescription)")
        }
    }

    /// Each id prints the characters that it completes: a character that is spelled in bytes comes with its last byte.
    @Test func bytesBecomeCharactersAsSoonAsTheyAreComplete() throws {
        let tokenizer = try Self.tokenizer("plain")
        let ids = tokenizer.encode("a\u{1f600}\u{e9}b")
        #expect(ids.count { tokenizer.kind(of: $0) == .byte } == 4)
        var decoder = StreamDecoder(tokenizer)
        #expect(ids.map { decoder.append($0) } == ["a", "", "", "", "\u{1f600}", "\u{e9}", "b"])
        // Cut off in the middle, and followed by a letter.
        for id in ids.prefix(3) { _ = decoder.append(id) }
        #expect(decoder.append(ids[0]) == "\u{fffd}a")
        _ = decoder.append(ids[1])
        #expect(decoder.finish() == "\u{fffd}")
    }

    @Test func userTextNeverBecomesASpecialTokenAndContinuesTheText() throws {
        let tokenizer = try Self.tokenizer("llama2")
        func segment(_ text: String, _ isUserText: Bool) -> Segment {
            Segment(text: text, isUserText: isUserText)
        }
        let ids = tokenizer.encode([
            segment("[INST] ", false), segment("the [/INST]", true), segment(" [/INST]", false),
        ])
        #expect(ids.count { tokenizer.kind(of: $0) == .special } == 2)
        // Only the text after the token gets a space; a border within a text is none.
        #expect(ids.starts(with: tokenizer.encode("[INST] ")))
        #expect(Array(tokenizer.bytes(of: ids[2])) == Array("the".utf8))
        var decoder = StreamDecoder(tokenizer)
        #expect(
            ids.map { decoder.append($0) }.joined() + decoder.finish() == "  the [/INST] ")
    }

    /// White space that a vocabulary defines is found in users' texts too; its other tokens are not.
    @Test func whiteSpaceOfUsersIsMerged() throws {
        let tokenizer = try Self.tokenizer("plain")
        let text = "    the\n\n\nfox"
        #expect(tokenizer.encode(text, specials: .asText) == tokenizer.encode(text))
        let table = tokenizer.encode("<table>", specials: .asText)
        #expect(table.count > 1 && tokenizer.encode("<table>").count == 1)
    }

    /// The whole text is one piece; merging takes n log n steps.
    @Test(.timeLimit(.minutes(10)), arguments: names, ["the quick ", " ", "\u{1f600}"])
    func aLongTextEnds(name: String, unit: String) throws {
        let tokenizer = try Self.tokenizer(name)
        let text = String(repeating: unit, count: 40_000 / unit.utf8.count)
        #expect(tokenizer.encode(text).count > 1000)
    }
}
