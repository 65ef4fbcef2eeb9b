import Foundation
import TesseraWeightFile

@testable import TesseraImport

/// A copy of the smallest folder, in a place of its own whose name holds "mini".
func withMiniFolder(_ body: (URL) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory
        .appending(path: "tessera-mini-\(UUID().uuidString)")
    try FileManager.default.copyItem(at: resources.appending(path: "mini"), to: folder)
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(folder)
}

extension URL {
    /// Changes an object in a JSON file of this folder, which is made where it is missing.
    func edit(_ name: String, _ change: (inout [String: Any]) throws -> Void) throws {
        let path = appending(path: name)
        var object: [String: Any] = [:]
        if let data = try? Data(contentsOf: path) {
            object = try JSONSerialization.jsonObject(with: data) as? [String: Any] ?? [:]
        }
        try change(&object)
        try JSONSerialization.data(withJSONObject: object).write(to: path)
    }

    /// Sets one member of config.json to a JSON text.
    func set(_ name: String, _ json: String, in file: String = "config.json") throws {
        try edit(file) {
            $0[name] = try JSONSerialization.jsonObject(
                with: Data(json.utf8), options: .fragmentsAllowed)
        }
    }

    /// Stores all weights of this folder anew, in one file, after a change.
    func restore(_ change: (inout [String: MiniTensor]) -> Void) throws {
        let source = try openModel(at: path)
        var tensors: [String: MiniTensor] = [:]
        for tensor in source.tensors {
            tensors[tensor.name] = MiniTensor(
                shape: tensor.rows == 1 ? [tensor.columns] : [tensor.rows, tensor.columns],
                values: try values(of: tensor, in: source))
        }
        change(&tensors)
        try safetensors(tensors).write(to: appending(path: "model.safetensors"))
    }
}

struct MiniTensor {
    var shape: [Int]
    var values: [Float]

    var bytes: Data { values.reduce(into: Data()) { $0.append(little: $1.bitPattern) } }
}

func safetensors(_ tensors: [String: MiniTensor]) throws -> Data {
    var header: [String: Any] = [:]
    var data = Data()
    for (name, tensor) in tensors.sorted(by: { $0.key < $1.key }) {
        header[name] = [
            "dtype": "F32", "shape": tensor.shape,
            "data_offsets": [data.count, data.count + tensor.bytes.count],
        ]
        data += tensor.bytes
    }
    let text = try JSONSerialization.data(withJSONObject: header)
    var file = Data()
    file.append(little: UInt64(text.count))
    return file + text + data
}

extension Data {
    mutating func append(little value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }
}

/// A GGUF file to write.
struct MiniGGUF {
    enum Value {
        case u16(UInt16), u32(UInt32), i32(Int32), f32(Float), bool(Bool), string(String)
        case strings([String])
        case integers([Int32])
        /// A list of lists.
        case nested
    }

    var version: UInt32 = 3
    var fields: [(String, Value)] = []
    var tensors: [(String, MiniTensor)] = []

    /// The model of mini.gguf.
    static func mini() throws -> MiniGGUF {
        let source = try openModel(at: resources.appending(path: "mini.gguf").path)
        var file = MiniGGUF()
        file.fields = [
            ("general.architecture", .string("qwen2")), ("general.name", .string("mini")),
            ("qwen2.context_length", .u32(64)), ("qwen2.embedding_length", .u32(32)),
            ("qwen2.block_count", .u32(1)), ("qwen2.feed_forward_length", .u32(32)),
            ("qwen2.attention.head_count", .u32(2)), ("qwen2.attention.head_count_kv", .u32(1)),
            ("qwen2.attention.layer_norm_rms_epsilon", .f32(1e-5)),
            ("qwen2.rope.freq_base", .f32(10_000)), ("tokenizer.ggml.model", .string("gpt2")),
            ("tokenizer.ggml.pre", .string("qwen2")), ("tokenizer.ggml.eos_token_id", .u32(256)),
            ("tokenizer.ggml.tokens", .strings(byteTokens() + ["<|end|>", "ab"])),
            (
                "tokenizer.ggml.token_type",
                .integers([Int32](repeating: 1, count: 256) + [3, 1])
            ), ("tokenizer.ggml.merges", .strings(["a b"])),
        ]
        for (tensor, place) in zip(source.tensors, source.config.tensors) {
            let shape = tensor.rows == 1 ? [tensor.columns] : [tensor.columns, tensor.rows]
            let values = try values(of: tensor, in: source)
            file.tensors.append(
                (place.ggufName, MiniTensor(shape: shape, values: values)))
        }
        return file
    }

    /// GPT-2's printable stand-ins for the 256 bytes.
    private static func byteTokens() -> [String] {
        var next: UInt32 = 0x100
        return (0..<256).map { byte in
            let isPrinted =
                (33...126).contains(byte) || (161...172).contains(byte)
                || (174...255).contains(byte)
            defer { if !isPrinted { next += 1 } }
            return String(Character(Unicode.Scalar(isPrinted ? UInt32(byte) : next)!))
        }
    }

    mutating func set(_ name: String, _ value: Value) {
        fields.removeAll { $0.0 == name }
        fields.append((name, value))
    }

    func write(to url: URL) throws { try data().write(to: url) }

    private func data() -> Data {
        var file = Data("GGUF".utf8)
        file.append(little: version)
        file.append(little: UInt64(tensors.count))
        file.append(little: UInt64(fields.count))
        for (name, value) in fields {
            append(name, to: &file)
            append(value, to: &file)
        }
        var content = Data()
        for (name, tensor) in tensors {
            append(name, to: &file)
            file.append(little: UInt32(tensor.shape.count))
            for size in tensor.shape { file.append(little: UInt64(size)) }
            file.append(little: UInt32(0))
            file.append(little: UInt64(content.count))
            content += tensor.bytes
            content += Data(count: (32 - content.count % 32) % 32)
        }
        return file + Data(count: (32 - file.count % 32) % 32) + content
    }

    private func append(_ text: String, to file: inout Data) {
        file.append(little: UInt64(text.utf8.count))
        file += Data(text.utf8)
    }

    private func append(_ value: Value, to file: inout Data) {
        switch value {
        case .u16(let value):
            file.append(little: UInt32(2))
            file.append(little: value)
        case .u32(let value):
            file.append(little: UInt32(4))
            file.append(little: value)
        case .i32(let value):
            file.append(little: UInt32(5))
            file.append(little: value)
        case .f32(let value):
            file.append(little: UInt32(6))
            file.append(little: value.bitPattern)
        case .bool(let value):
            file.append(little: UInt32(7))
            file.append(value ? 1 : 0)
        case .string(let text):
            file.append(little: UInt32(8))
            append(text, to: &file)
        case .strings(let texts):
            for number in [9, 8] as [UInt32] { file.append(little: number) }
            file.append(little: UInt64(texts.count))
            for text in texts { append(text, to: &file) }
        case .integers(let values):
            for number in [9, 5] as [UInt32] { file.append(little: number) }
            file.append(little: UInt64(values.count))
            for value in values { file.append(little: value) }
        case .nested:
            for number in [9, 9] as [UInt32] { file.append(little: number) }
            file.append(little: UInt64(0))
        }
    }
}
