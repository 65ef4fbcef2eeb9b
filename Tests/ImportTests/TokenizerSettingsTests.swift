import Foundation
import Testing
import TesseraWeightFile

@testable import TesseraImport

/// tokenizer.json, tokenizer_config.json and templates.
struct TokenizerSettingsTests {
    private func model(_ folder: URL, _ change: (inout [String: Any]) -> Void) throws {
        try folder.edit("tokenizer.json") {
            var model = $0["model"] as? [String: Any] ?? [:]
            change(&model)
            $0["model"] = model
        }
    }

    private func error(_ folder: URL) -> String {
        let error = #expect(throws: ImportError.self) { try openModel(at: folder.path) }
        return error?.description ?? ""
    }

    @Test(arguments: ["end_of_word_suffix", "continuing_subword_prefix"])
    func wordMarksAreRefusedUnlessTheyAreEmpty(name: String) throws {
        try withMiniFolder { folder in
            try model(folder) { $0[name] = "" }
            #expect(try openModel(at: folder.path).tokenizer.merges.count == 1)
            try model(folder) { $0[name] = "</w>" }
            #expect(error(folder).contains("tokenizer.json: setting 'model.\(name)'"))
        }
    }

    @Test(arguments: ["unk_token", "byte_fallback"])
    func whatStandsForMissingBytesIsRefusedWhereOneIsMissing(name: String) throws {
        try withMiniFolder { folder in
            try model(folder) { $0[name] = name == "unk_token" ? "a" : true as Any }
            #expect(try openModel(at: folder.path).tokenizer.merges.count == 1)
            try model(folder) {
                var vocabulary = $0["vocab"] as? [String: Any] ?? [:]
                vocabulary["q"] = nil
                $0["vocab"] = vocabulary
            }
            #expect(error(folder).contains("'model.\(name)'"))
            try model(folder) { $0[name] = nil }
            #expect(try openModel(at: folder.path).tokenizer.kinds[113] == .unused)
        }
    }

    /// `tokenizers` takes the last of equal merges, and skips a line with a version.
    @Test func mergesAreThoseOfTokenizers() throws {
        try withMiniFolder { folder in
            try model(folder) {
                $0["vocab"] = ($0["vocab"] as? [String: Any] ?? [:])
                    .merging(["cd": 256]) { $1 }
                $0["merges"] = ["#version: 0.2", "a b", "c d", "a b"]
            }
            try folder.edit("tokenizer.json") { $0["added_tokens"] = [] }
            let merges = try openModel(at: folder.path).tokenizer.merges
            #expect(merges.map(\.result) == [256, 257])
            try model(folder) { $0["merges"] = ["a b", ["c", "e"]] }
            #expect(error(folder).contains("model.merges[1]"))
        }
    }

    @Test func unknownStepsAndSettingsAreNamed() throws {
        let wrong: [(String, Any, String)] = [
            ("decoder", ["type": "WordPiece"], "WordPiece"),
            ("post_processor", ["type": "RobertaProcessing"], "RobertaProcessing"),
            ("normalizer", ["type": "NFKC"], "NFKC"), ("normalizer", "NFC", "'normalizer'"),
            ("pre_tokenizer", ["type": "ByteLevel", "new": true], "pre_tokenizer.new"),
            ("added_tokens", [["id": 3]], "added_tokens[0].content"),
            ("added_tokens", [["id": 3, "content": "x", "lstrip": 1]], "added_tokens[0].lstrip"),
            ("added_tokens", [["id": 3, "content": "x", "new": true]], "added_tokens[0].new"),
            ("future", ["a": 1], "'future'"),
        ]
        for (name, value, mentions) in wrong {
            try withMiniFolder { folder in
                try folder.edit("tokenizer.json") { $0[name] = value }
                let text = error(folder)
                #expect(text.contains(mentions) && text.contains("tokenizer.json"), "\(text)")
            }
        }
    }

    // MARK: Named tokens

    private func template(front: [String], back: [String] = []) -> [String: Any] {
        let token = { (text: String) in ["SpecialToken": ["id": text, "type_id": 0]] }
        return [
            "type": "TemplateProcessing",
            "single": front.map(token) + [["Sequence": ["id": "A", "type_id": 0]]]
                + back.map(token),
        ]
    }

    /// config.json's ids end and begin nothing that the tokenizer does not name.
    @Test func aMissingOrNullNameIsNoName() throws {
        try withMiniFolder { folder in
            try folder.set("bos_token_id", "256")
            for value in [nil, "null"] {
                if let value { try folder.set("bos_token", value, in: "tokenizer_config.json") }
                let tables = try openModel(at: folder.path).tokenizer
                #expect(tables.bosToken == nil && !tables.addsBOS)
                #expect(tables.eosTokens == [256] && !tables.namesEOS)
            }
            try folder.set("bos_token", #""<|end|>""#, in: "tokenizer_config.json")
            try folder.set("eos_token", #"{"content": "ab"}"#, in: "tokenizer_config.json")
            let tables = try openModel(at: folder.path).tokenizer
            #expect(tables.bosToken == 256 && tables.namesBOS && !tables.addsBOS)
            #expect(tables.eosTokens == [257, 256] && tables.namesEOS)
        }
    }

    /// transformers puts it in front of texts and prints nothing for it in templates.
    @Test func aTokenInFrontNeedsNoName() throws {
        try withMiniFolder { folder in
            try folder.edit("tokenizer.json") {
                $0["post_processor"] = template(front: ["<|end|>"])
            }
            var tables = try openModel(at: folder.path).tokenizer
            #expect(tables.bosToken == 256 && tables.addsBOS && !tables.namesBOS)
            try folder.set("bos_token", #""<|end|>""#, in: "tokenizer_config.json")
            tables = try openModel(at: folder.path).tokenizer
            #expect(tables.bosToken == 256 && tables.addsBOS && tables.namesBOS)
            try folder.set("bos_token", #""ab""#, in: "tokenizer_config.json")
            #expect(error(folder).contains("post_processor"))
        }
    }

    @Test func aTokenAfterTextsIsNoted() throws {
        try withMiniFolder { folder in
            try folder.edit("tokenizer.json") {
                $0["post_processor"] = template(front: [], back: ["<|end|>"])
            }
            let source = try openModel(at: folder.path)
            #expect(source.notes.count == 1 && source.notes[0].contains("<|end|>"))
        }
    }

    // MARK: Templates

    @Test func templatesAreFoundInEveryPlaceAndForm() throws {
        try withMiniFolder { folder in
            func template() throws -> String? { try openModel(at: folder.path).chatTemplate }
            #expect(try template() == nil)
            try folder.set("chat_template", #""a""#, in: "chat_template.json")
            #expect(try template() == "a")
            try folder.set(
                "chat_template", #"{"tool_use": "x", "default": "b"}"#, in: "chat_template.json")
            #expect(try template() == "b")
            let named = #"[{"name": "x", "template": "y"}, {"name": "default", "template": "c"}]"#
            try folder.set("chat_template", named, in: "tokenizer_config.json")
            #expect(try template() == "c")
            try Data("d".utf8).write(to: folder.appending(path: "chat_template.jinja"))
            #expect(try template() == "d")
        }
    }
}
