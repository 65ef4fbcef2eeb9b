import Foundation
import Testing
import TesseraWeightFile

@testable import TesseraImport

/// Vocabularies in SentencePiece's form, and settings of them that are refused.
struct SentencePieceSettingsTests {
    /// 245 bytes that UTF-8 has, then other tokens in place of those that it has not.
    private static func spellings(_ others: [String]) -> [String] {
        let bytes = (0..<256).map { byte in
            let digits = String(byte, radix: 16, uppercase: true)
            return "<0x" + (byte < 16 ? "0" : "") + digits + ">"
        }
        return bytes.prefix(0xf5) + others
    }

    private func gguf(_ others: [String], types: [Int32], scores: [Int32]) throws -> MiniGGUF {
        var file = try MiniGGUF.mini()
        file.set("tokenizer.ggml.model", .string("llama"))
        file.set("tokenizer.ggml.tokens", .strings(Self.spellings(others)))
        file.set(
            "tokenizer.ggml.token_type", .integers([Int32](repeating: 6, count: 0xf5) + types))
        file.set(
            "tokenizer.ggml.scores", .integers([Int32](repeating: 0, count: 0xf5) + scores))
        file.set("tokenizer.ggml.eos_token_id", .u32(0xf5))
        return file
    }

    private func withFile(_ file: MiniGGUF, _ body: (String) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "\(UUID()).gguf")
        defer { try? FileManager.default.removeItem(at: path) }
        try file.write(to: path)
        try body(path.path)
    }

    private func error(_ file: MiniGGUF) throws -> String {
        var text = ""
        try withFile(file) { path in
            let error = #expect(throws: ImportError.self) { try VocabularySource(path: path) }
            text = error?.description ?? ""
        }
        return text
    }

    /// Scores become ranks: equal ones one rank, a higher one a lower rank.
    @Test func scoresBecomeMerges() throws {
        var file = try gguf(
            ["</s>", "\u{2581}", "a", "\u{2581}a", "aa", "\u{2581}aa", "  "],
            types: [3, 1, 1, 1, 1, 1, 4], scores: [0, -9, -9, -1, -1, 0, -1000])
        try withFile(file) { path in
            let tables = try VocabularySource(path: path).tokenizer
            #expect(tables.preTokenizer == .sentencePiece && tables.spacePrefix == .section)
            #expect(tables.kinds.count { $0 == .byte } == 0xf5 && tables.kinds[0xfb] == .added)
            #expect(Array(tables.tokens[0xf8]) == [0x20, 0x61] && tables.addedFlags.isEmpty)
            let space: UInt32 = 0xf6
            #expect(
                tables.merges == [
                    .init(left: space, right: space, result: 0xfb),
                    .init(left: space, right: 0xf9, result: 0xfa),
                    .init(left: 0xf8, right: 0xf7, result: 0xfa, sharesRank: true),
                    .init(left: space, right: 0xf7, result: 0xf8),
                    .init(left: 0xf7, right: 0xf7, result: 0xf9, sharesRank: true),
                ])
        }
        file.set("tokenizer.ggml.add_space_prefix", .bool(false))
        try withFile(file) { path in
            let tables = try VocabularySource(path: path).tokenizer
            #expect(tables.spacePrefix == .none && tables.addedFlags == [0xfb: .normalized])
        }
    }

    @Test func whatScoresCannotSayIsRefused() throws {
        let space = "\u{2581}"
        var file = try gguf(["</s>", "ab", "a"], types: [3, 1, 1], scores: [0, 0, 0])
        #expect(try error(file).contains("token 'ab' has a character that is no token"))
        file = try gguf(
            ["</s>", space, "a", "\(space)a"], types: [3, 1, 1, 5], scores: [0, 0, 0, 0])
        #expect(try error(file).contains("is unused, but a merge"))
        file = try gguf(["</s>", "a"], types: [3, 1], scores: [0, 0])
        file.set("tokenizer.ggml.scores", .strings(["0"]))
        #expect(try error(file).contains("'tokenizer.ggml.scores'"))
        file.set("tokenizer.ggml.scores", .integers([Int32](repeating: 0, count: 0xf7)))
        file.set("tokenizer.ggml.token_type", .integers([1]))
        #expect(try error(file).contains("1 token types for 247 tokens"))
        file.set(
            "tokenizer.ggml.token_type", .integers([Int32](repeating: 1, count: 0xf7)))
        #expect(try error(file).contains("without a token for each byte"))
        file.set("tokenizer.ggml.model", .string("t5"))
        #expect(try error(file).contains("'t5' (Unigram)"))
    }

    // MARK: tokenizer.json

    private func withFolder(_ body: (URL) throws -> Void) throws {
        try withMiniFolder { folder in
            try folder.edit("tokenizer.json") {
                let tokens = Self.spellings(["\u{2581}", "a", "\u{2581}a", "<unk>"])
                $0["model"] = [
                    "type": "BPE", "byte_fallback": true, "fuse_unk": true, "unk_token": "<unk>",
                    "vocab": Dictionary(
                        uniqueKeysWithValues: tokens.enumerated().map { ($1, $0) }),
                    "merges": [["\u{2581}", "a"]],
                ]
                $0["added_tokens"] = []
                $0["normalizer"] = [
                    "type": "Replace", "pattern": ["String": " "], "content": "\u{2581}",
                ]
                $0["pre_tokenizer"] = nil
                $0["decoder"] = ["type": "ByteFallback"]
            }
            try body(folder)
        }
    }

    private func error(_ folder: URL) -> String {
        let error = #expect(throws: ImportError.self) { try VocabularySource(path: folder.path) }
        return error?.description ?? ""
    }

    private static let mark = "\u{2581}"
    private static func metaspace(_ more: [String: Any]) -> [String: Any] {
        ["type": "Metaspace", "replacement": mark].merging(more) { $1 }
    }

    @Test func spacesAreWhereTheStepsPutThem() throws {
        let replace: [String: Any] = [
            "type": "Replace", "pattern": ["String": " "], "content": Self.mark,
        ]
        let prepend = ["type": "Prepend", "prepend": Self.mark]
        let forms: [([String: Any]?, [String: Any]?, TokenizerTables.SpacePrefix)] = [
            (replace, nil, .none),
            (["type": "Sequence", "normalizers": [prepend, replace]], nil, .section),
            (nil, Self.metaspace(["split": false, "prepend_scheme": "first"]), .text),
            (nil, Self.metaspace(["split": false, "prepend_scheme": "always"]), .piece),
            (nil, Self.metaspace(["split": false, "add_prefix_space": false]), .none),
        ]
        for (normalizer, preTokenizer, wanted) in forms {
            try withFolder { folder in
                try folder.edit("tokenizer.json") {
                    $0["normalizer"] = normalizer
                    $0["pre_tokenizer"] = preTokenizer
                }
                #expect(try VocabularySource(path: folder.path).tokenizer.spacePrefix == wanted)
            }
        }
    }

    @Test func otherFormsAreRefusedByName() throws {
        let wrong: [(String, [String: Any]?, String)] = [
            ("pre_tokenizer", Self.metaspace(["split": true]), "'Metaspace'"),
            ("pre_tokenizer", ["type": "Whitespace"], "'Whitespace'"),
            ("normalizer", ["type": "NFKC"], "'NFKC'"),
            ("normalizer", ["type": "Prepend", "prepend": "_"], "'Prepend'"),
            ("normalizer", nil, "does not mark spaces"),
            ("decoder", ["type": "WordPiece"], "'WordPiece'"),
        ]
        for (name, value, mentions) in wrong {
            try withFolder { folder in
                try folder.edit("tokenizer.json") {
                    $0[name] = value
                    if name == "pre_tokenizer" { $0["normalizer"] = nil }
                }
                let text = error(folder)
                #expect(text.contains(mentions) && text.contains("tokenizer.json"), "\(text)")
            }
        }
        func edit(_ change: @escaping (inout [String: Any]) -> Void) throws -> String {
            var text = ""
            try withFolder { folder in
                try folder.edit("tokenizer.json") {
                    var model = $0["model"] as? [String: Any] ?? [:]
                    change(&model)
                    $0["model"] = model
                }
                text = error(folder)
            }
            return text
        }
        #expect(try edit { $0["type"] = "Unigram" }.contains("of type Unigram"))
        let without = try edit {
            var vocabulary = $0["vocab"] as? [String: Any] ?? [:]
            vocabulary["<0x0A>"] = nil
            $0["vocab"] = vocabulary
        }
        #expect(without.contains("'model.byte_fallback'"))
    }
}
