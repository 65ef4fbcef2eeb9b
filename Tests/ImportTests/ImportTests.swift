import Foundation
import Testing
import TesseraWeightFile

@testable import TesseraImport

/// Made by Tools/oracle/make_import_cases.py.
let resources = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Resources")

struct ImportTests {
    /// Random blocks of a type, and their values by the gguf package.
    struct Blocks {
        var type: SourceType
        var bytes: [UInt8]
        var values: [Float]
    }

    static func blocks() throws -> [Blocks] {
        let bytes = [UInt8](try Data(contentsOf: resources.appending(path: "blocks.bin")))
        var at = 0
        func u32() -> Int {
            defer { at += 4 }
            return (0..<4).reduce(0) { $0 | Int(bytes[at + $1]) << (8 * $1) }
        }
        var all: [Blocks] = []
        while at < bytes.count {
            let length = Int(bytes[at])
            let name = String(decoding: bytes[at + 1..<at + 1 + length], as: UTF8.self)
            at += 1 + length
            let (size, count) = (u32(), u32())
            let raw = Array(bytes[at..<at + size])
            at += size
            let expected = (0..<count).map { _ in Float(bitPattern: UInt32(u32())) }
            let type = try #require(
                SourceType(rawValue: name.lowercased().replacingOccurrences(of: "_k", with: "_K")))
            all.append(Blocks(type: type, bytes: raw, values: expected))
        }
        return all
    }

    /// Bit for bit where one rounding is done or none, and within two roundings where a product is added to a product.
    @Test func blocksOfEveryTypeDecodeAsGGUFSays() throws {
        let all = try Self.blocks()
        #expect(Set(all.map(\.type)).count == 25)
        for blocks in all {
            let (type, expected) = (blocks.type, blocks.values)
            let count = expected.count
            #expect(blocks.bytes.count == count / type.blockElements * type.blockBytes)
            let isSum = [.q4_1, .q5_1, .q2_K, .q4_K, .q5_K].contains(type)
            var got = [Float](repeating: .nan, count: count)
            type.decode(blocks.bytes, from: 0, count: count, into: &got, at: 0)
            let largest = expected.map(abs).max() ?? 0
            for index in 0..<count {
                let bound = max(abs(expected[index]), largest * 0x1p-7) * 0x1p-22
                #expect(
                    abs(got[index] - expected[index]) <= (isSum ? bound : 0), "\(type) [\(index)]")
            }
        }
    }

    /// The values of a source's codes, by the definition of their encoding, are the source's values.
    @Test func codesOfEveryTypeAreWorthTheSame() throws {
        for blocks in try Self.blocks() {
            guard let encoding = blocks.type.codeEncoding else { continue }
            let expected = blocks.values
            var kept = SourceBlocks(blocks.type, values: expected.count)
            blocks.type.unpack(
                blocks.bytes, from: 0, count: expected.count, into: &kept, at: 0)
            // Scales that are no halves are rounded, and every such group is counted.
            if blocks.type.roundsScales { #expect(kept.rounding.groups > 8) }
            let allowed: Float = kept.rounding.groups > 0 ? 0x1p-11 : 0x1p-22
            let largest = expected.map(abs).filter { $0 < 0x1p24 }.max() ?? 0
            var squaredError = 0.0
            for index in expected.indices {
                let value = Self.value(index, of: kept, encoding)
                // Random scales may be beyond half precision; such files are refused.
                guard value.isFinite else { continue }
                // Or below its normal numbers.
                let bound = max(0x1p-4, abs(expected[index]), largest * 0x1p-7) * allowed
                #expect(abs(value - expected[index]) <= bound, "\(blocks.type) [\(index)]")
                squaredError += Double(value - expected[index]) * Double(value - expected[index])
            }
            if kept.rounding.groups > 0, kept.rounding.squaredError.isFinite {
                #expect(
                    abs(squaredError / kept.rounding.squaredError - 1) < 1e-3, "\(blocks.type)")
            }
        }
    }

    /// Formats/TSR.md, Values.
    private static func value(
        _ index: Int, of blocks: SourceBlocks, _ encoding: TensorEncoding
    ) -> Float {
        let code = Float(blocks.codes[index])
        func integer(_ part: Int) -> UInt8 { blocks.integers[index / 32 * 2 + part] }
        let own = index % 32 / 16
        let scale = Float(blocks.scales[index / (blocks.integers.isEmpty ? 32 : 256)])
        let minimum =
            blocks.minimums.isEmpty
            ? 0 : Float(blocks.minimums[index / (blocks.integers.isEmpty ? 32 : 256)])
        func signed() -> Float { Float(Int8(bitPattern: integer(own))) }
        return switch encoding {
        case .int8: scale * (code - 128)
        case .int4: scale * (code - 8)
        case .int5: scale * (code - 16)
        case .int4Affine, .int5Affine: scale * code + minimum
        case .int2Nested:
            scale * Float(integer(own) & 15) * code - minimum * Float(integer(own) >> 4)
        case .int3Nested: scale * signed() * (code - 4)
        case .int6Nested: scale * signed() * (code - 32)
        case .int4Nested, .int5Nested:
            scale * Float(integer(0)) * code - minimum * Float(integer(1))
        case .f32, .f16: .nan
        }
    }

    /// The same model as GGUF and as two shards of F32, F16 and BF16.
    @Test func aFolderAndAGGUFFileOfOneModelAreTheSame() throws {
        let folder = try openModel(at: resources.appending(path: "mini").path)
        let gguf = try openModel(at: resources.appending(path: "mini.gguf").path)
        var (a, b) = (folder.config, gguf.config)
        (a.name, b.name, a.modelType, b.modelType) = ("", "", "", "")
        #expect(a == b)
        #expect(folder.tensors.map(\.name) == gguf.tensors.map(\.name))
        #expect(Set(folder.tensors.map(\.type)) == [.f32, .f16, .bf16])
        for (one, other) in zip(folder.tensors, gguf.tensors) {
            #expect((one.rows, one.columns) == (other.rows, other.columns))
            #expect(try values(of: one, in: folder) == values(of: other, in: gguf), "\(one.name)")
        }
        #expect(Array(folder.tokenizer.tokens) == Array(gguf.tokenizer.tokens))
        #expect(folder.tokenizer.merges == gguf.tokenizer.merges)
        #expect(folder.tokenizer.eosTokens == gguf.tokenizer.eosTokens)
    }

    /// Rows come alone as they come together, and the same at every reading.
    @Test(arguments: ["mini", "mini.gguf", "synthetic:tiny", "synthetic:tiny-qwen3"])
    func rowsReadAloneAreRowsReadTogether(name: String) throws {
        let path = name.contains(":") ? name : resources.appending(path: name).path
        let source = try openModel(at: path)
        let again = try openModel(at: path)
        for tensor in source.tensors {
            let all = try values(of: tensor, in: source)
            #expect(try values(of: tensor, in: again) == all)
            let row = tensor.rows / 2
            var alone = [Float](repeating: .nan, count: tensor.columns)
            try source.read(tensor, rows: row..<row + 1, into: &alone)
            #expect(alone == Array(all[row * tensor.columns..<(row + 1) * tensor.columns]))
        }
    }

    @Test func syntheticWeightsAreGaussianAndDiffer() throws {
        let source = try openModel(at: "synthetic:tiny")
        let tensors = source.tensors.filter { $0.rows > 1 }
        let samples = try tensors.map { try values(of: $0, in: source) }
        #expect(Set(samples.map { $0.prefix(8).map(\.bitPattern) }).count == samples.count)
        for sample in samples {
            let mean = sample.reduce(0) { $0 + Double($1) } / Double(sample.count)
            let variance =
                sample.reduce(0) { $0 + pow(Double($1) - mean, 2) } / Double(sample.count)
            let fourth = sample.reduce(0) { $0 + pow(Double($1) - mean, 4) } / Double(sample.count)
            #expect(abs(mean) < 5 * (variance / Double(sample.count)).squareRoot())
            #expect((2.5...3.3).contains(fourth / (variance * variance)), "kurtosis of a gaussian")
        }
    }

    /// The shapes of the public models.
    @Test(arguments: [
        ("llama-3.1-8b", 8_030_261_248), ("qwen3-8b", 8_190_735_360),
    ])
    func syntheticShapesHaveTheWeightsOfTheModels(name: String, weights: Int) throws {
        let source = try openModel(at: "synthetic:" + name)
        #expect(source.tensors.reduce(0) { $0 + $1.rows * $1.columns } == weights)
    }

    /// Every wrong folder gets an error that names the file and what is wrong.
    @Test(arguments: [
        ("config.json", "{}", "model_type"), ("config.json", "[", "config.json"),
        ("config.json", #"{"model_type": "gpt_neox"}"#, "gpt_neox"),
        ("tokenizer.json", "{}", "tokenizer.json"),
        ("model.safetensors.index.json", #"{"weight_map": {"a": "../b"}}"#, "../b"),
        ("model.safetensors.index.json", #"{"weight_map": {"a": "gone.safetensors"}}"#, "gone"),
        ("model-00001-of-00002.safetensors", "", "model-00001"),
        ("model-00002-of-00002.safetensors", nil, "model-00002"),
        ("config.json", nil, "config.json"), ("tokenizer.json", nil, "tokenizer.json"),
    ])
    func wrongFoldersAreNamed(file: String, text: String?, mentions: String) throws {
        try withMiniFolder { folder in
            let path = folder.appending(path: file)
            if let text {
                try Data(text.utf8).write(to: path)
            } else {
                try FileManager.default.removeItem(at: path)
            }
            let error = #expect(throws: ImportError.self) { try openModel(at: folder.path) }
            #expect(error?.description.contains(mentions) == true, "\(String(describing: error))")
        }
    }

    /// Numbers that no model has, in a configuration that is otherwise right.
    @Test(arguments: [
        ("hidden_size", "0"), ("hidden_size", "-32"), ("hidden_size", "1e300"),
        ("hidden_size", "9223372036854775807"), ("num_attention_heads", "4096"),
        ("num_key_value_heads", "3"), ("num_hidden_layers", "1000000000"), ("head_dim", "100000"),
        ("head_dim", "7"), ("vocab_size", "4000000000"), ("rope_theta", "0"),
        ("rope_theta", "\"x\""), ("rms_norm_eps", "-1"), ("max_position_embeddings", "0"),
        ("intermediate_size", "64"), ("num_hidden_layers", "2"), ("hidden_act", "\"gelu\""),
        ("rope_scaling", #"{"rope_type": "longrope"}"#),
        ("rope_scaling", #"{"rope_type": "llama3", "factor": 0}"#),
        ("quantization_config", #"{"quant_method": "gptq"}"#),
    ])
    func impossibleSettingsAreRefused(name: String, value: String) throws {
        try withMiniFolder { folder in
            let path = folder.appending(path: "config.json")
            let text = try String(contentsOf: path, encoding: .utf8)
            // The last of two members with one name counts.
            try Data((text.dropLast() + #", "\#(name)": \#(value)}"#).utf8).write(to: path)
            let error = #expect(throws: ImportError.self) { try openModel(at: folder.path) }
            #expect(error?.description.contains("mini") == true)
        }
    }
}

// MARK: - Helpers

func values(of tensor: SourceTensor, in source: any TensorSource) throws -> [Float] {
    var values = [Float](repeating: .nan, count: tensor.rows * tensor.columns)
    try source.read(tensor, rows: 0..<tensor.rows, into: &values)
    return values
}
