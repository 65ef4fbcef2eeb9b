import Foundation
import Testing
import TesseraWeightFile

@testable import TesseraImport

/// GGUF files in parts; settings and tensors that are refused.
struct GGUFTests {
    private func withFolder(_ body: (URL) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory
            .appending(path: "tessera-gguf-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(folder)
    }

    private func name(_ part: Int) -> String { "mini-0000\(part)-of-00003.gguf" }

    /// The first part holds the metadata and no tensor, as llama.cpp's tool may write it.
    private func writeParts(to folder: URL) throws {
        let whole = try MiniGGUF.mini()
        for part in 0..<3 {
            var file = MiniGGUF()
            if part == 0 { file.fields = whole.fields }
            file.set("split.no", .u16(UInt16(part)))
            file.set("split.count", .u16(3))
            file.set("split.tensors.count", .i32(Int32(whole.tensors.count)))
            let half = whole.tensors.count / 2
            if part == 1 { file.tensors = Array(whole.tensors[..<half]) }
            if part == 2 { file.tensors = Array(whole.tensors[half...]) }
            try file.write(to: folder.appending(path: name(part + 1)))
        }
    }

    private func description(_ file: MiniGGUF) throws -> String {
        var text = ""
        try withFolder { folder in
            let path = folder.appending(path: "model.gguf")
            try file.write(to: path)
            let error = #expect(throws: ImportError.self) { try openModel(at: path.path) }
            text = error?.description ?? ""
        }
        return text
    }

    @Test func anyPartOrTheFolderOpensTheModel() throws {
        let whole = try openModel(at: resources.appending(path: "mini.gguf").path)
        try withFolder { folder in
            try writeParts(to: folder)
            for place in [name(1), name(2), name(3), ""] {
                let source = try openModel(at: folder.appending(path: place).path)
                #expect(source.config == whole.config)
                #expect(source.tokenizer == whole.tokenizer)
                for tensor in whole.tensors {
                    #expect(
                        try values(of: tensor, in: source) == values(of: tensor, in: whole),
                        "\(tensor.name)")
                }
                let vocabulary = try VocabularySource(path: folder.appending(path: place).path)
                #expect(vocabulary.tokenizer.tokens == whole.tokenizer.tokens)
            }
        }
    }

    @Test func aPartThatIsMissingOrMisplacedIsNamed() throws {
        try withFolder { folder in
            try writeParts(to: folder)
            let last = folder.appending(path: name(3))
            try FileManager.default.removeItem(at: last)
            var error = #expect(throws: ImportError.self) { try openModel(at: folder.path) }
            #expect(error?.description.contains(name(3)) == true)
            #expect(error?.description.contains("part 3 of 3") == true)
            try FileManager.default.copyItem(at: folder.appending(path: name(2)), to: last)
            error = #expect(throws: ImportError.self) { try openModel(at: folder.path) }
            #expect(error?.description.contains("part 2 of 3") == true)
        }
    }

    @Test func aFolderOfOneGGUFFileIsAModelAndOneOfTwoIsNot() throws {
        try withFolder { folder in
            let file = try MiniGGUF.mini()
            try file.write(to: folder.appending(path: "a.gguf"))
            #expect(try openModel(at: folder.path).tensors.count == 14)
            try file.write(to: folder.appending(path: "b.gguf"))
            let error = #expect(throws: ImportError.self) { try openModel(at: folder.path) }
            #expect(error?.description.contains("2 GGUF files") == true)
        }
    }

    @Test(arguments: [
        "output.bias", "output_norm.bias", "token_embd_norm.weight", "rope_factors_long.weight",
        "blk.0.attn_output.bias",
    ])
    func otherTensorsAreRefused(name: String) throws {
        var file = try MiniGGUF.mini()
        file.tensors.append((name, MiniTensor(shape: [32], values: Array(repeating: 1, count: 32))))
        #expect(try description(file).contains("'\(name)'"))
    }

    private static let wrong: [(name: String, value: MiniGGUF.Value)] = [
        ("qwen2.attention.head_count_kv", .integers([1, 2])),
        ("qwen2.context_length", .string("64")), ("qwen2.rope.freq_base", .bool(true)),
        ("qwen2.logit_scale", .f32(2)), ("qwen2.final_logit_softcapping", .f32(30)),
        ("qwen2.rope.scaling.type", .u32(1)), ("qwen2.attention.value_length", .u32(8)),
        ("qwen2.rope.scaling.alpha", .f32(1000)), ("general.name", .u32(1)),
        ("tokenizer.ggml.bos_token_id", .string("1")),
        ("qwen2.rope.scaling.attn_factor", .f32(1.2)),
        ("qwen2.rope.scaling.yarn_ext_factor", .f32(1)),
        ("tokenizer.ggml.add_eos_token", .u32(1)), ("tokenizer.ggml.add_bos_token", .u32(1)),
        ("tokenizer.ggml.merges", .integers([1])),
        ("general.note", .nested),
    ]

    @Test(arguments: wrong.indices)
    func wrongSettingsAreRefusedByName(index: Int) throws {
        let (name, value) = Self.wrong[index]
        var file = try MiniGGUF.mini()
        file.set(name, value)
        let text = try description(file)
        #expect(text.contains("'\(name)'") && !text.contains("download"), "\(text)")
    }

    @Test func namesOfPreTokenizersStandForPatterns() throws {
        let names = [
            ("gpt-4o", PreTokenizerPatterns.o200k), ("qwen35", PreTokenizerPatterns.qwen35),
        ]
        for (name, pattern) in names {
            try withFolder { folder in
                var file = try MiniGGUF.mini()
                file.set("tokenizer.ggml.pre", .string(name))
                let path = folder.appending(path: "model.gguf")
                try file.write(to: path)
                let tables = try VocabularySource(path: path.path).tokenizer
                #expect(tables.preTokenizer == .regex && tables.pattern == pattern)
                #expect(tables.normalizesNFC == (name == "qwen35"))
            }
        }
    }

    /// The same number for every layer, and settings that are switched off, change nothing.
    @Test func uniformAndNeutralSettingsAreUnderstood() throws {
        try withFolder { folder in
            var file = try MiniGGUF.mini()
            file.set("qwen2.attention.head_count_kv", .integers([1]))
            file.set("qwen2.expert_count", .u32(0))
            file.set("qwen2.vocab_size", .u32(258))
            file.set("qwen2.rope.scaling.finetuned", .bool(true))
            file.set("qwen2.rope.scaling.attn_factor", .f32(1))
            file.set("qwen2.rope.scaling.yarn_ext_factor", .f32(0))
            let path = folder.appending(path: "model.gguf")
            try file.write(to: path)
            let whole = try openModel(at: resources.appending(path: "mini.gguf").path)
            #expect(try openModel(at: path.path).config == whole.config)
        }
    }

    @Test func yarnTakesItsWholeShareOnly() throws {
        var file = try MiniGGUF.mini()
        file.set("qwen2.rope.scaling.type", .string("yarn"))
        file.set("qwen2.rope.scaling.factor", .f32(4))
        try withFolder { folder in
            let path = folder.appending(path: "model.gguf")
            try file.write(to: path)
            let plain = try openModel(at: path.path).config
            for value in [Float(1), -1] {
                file.set("qwen2.rope.scaling.yarn_ext_factor", .f32(value))
                file.set("qwen2.rope.scaling.attn_factor", .f32(1))
                try file.write(to: path)
                #expect(try openModel(at: path.path).config == plain)
            }
        }
        file.set("qwen2.rope.scaling.yarn_ext_factor", .f32(0))
        #expect(try description(file).contains("'qwen2.rope.scaling.yarn_ext_factor'"))
    }

    @Test func anEndTokenAfterEveryTextIsLeftOutWithANote() throws {
        var file = try MiniGGUF.mini()
        try withFolder { folder in
            let path = folder.appending(path: "model.gguf")
            for (adds, count) in [(false, 0), (true, 1)] {
                file.set("tokenizer.ggml.add_eos_token", .bool(adds))
                try file.write(to: path)
                let notes = try openModel(at: path.path).notes
                #expect(notes.count == count)
                #expect(
                    notes.allSatisfy { $0.contains("add_eos_token") && $0.contains("model.gguf") })
            }
        }
    }

    @Test func aWindowDoesNotStretchYaRN() throws {
        try withFolder { folder in
            var file = try MiniGGUF.mini()
            file.set("qwen2.rope.scaling.type", .string("yarn"))
            file.set("qwen2.rope.scaling.factor", .f32(4))
            let path = folder.appending(path: "model.gguf")
            try file.write(to: path)
            let without = try openModel(at: path.path).config
            file.set("qwen2.attention.sliding_window", .u32(16))
            try file.write(to: path)
            let with = try openModel(at: path.path).config
            #expect(with.layers.allSatisfy { $0.window == 16 } && with.maxPositions == 64)
            #expect(without.layers.allSatisfy { $0.window == 0 })
            #expect(with.rotaryTables == without.rotaryTables)
        }
    }

    @Test func foreignFilesAreNamed() throws {
        var file = try MiniGGUF.mini()
        file.version = UInt32(3).byteSwapped
        #expect(try description(file).contains("big-endian"))
        file.version = 7
        #expect(try description(file).contains("GGUF version 7"))
        #expect(ggmlTypeName(20) == "IQ4_NL" && ggmlTypeName(999) == "999")
    }
}
