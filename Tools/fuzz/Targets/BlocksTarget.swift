import TesseraImport

/// The types of tensors in GGUF: one tensor of a small Llama model comes from the input, whose first bytes
/// choose which one, with rows that are permuted or not, and its type. All others are a hole of zeros.
enum BlocksTarget {
    private static let folder = InputFolder("blocks")
    /// GGML's number of each type, its elements and its bytes per block.
    static let types = [
        (0, 1, 4), (1, 1, 2), (30, 1, 2), (2, 32, 18), (3, 32, 20), (6, 32, 22), (7, 32, 24),
        (8, 32, 34), (10, 256, 84), (11, 256, 110), (12, 256, 144), (13, 256, 176), (14, 256, 210),
        (16, 256, 66), (17, 256, 74), (18, 256, 98), (19, 256, 50), (20, 32, 18), (21, 256, 110),
        (22, 256, 82), (23, 256, 136), (29, 256, 56), (34, 256, 54), (35, 256, 66), (39, 32, 17),
    ]

    static func run(_ bytes: [UInt8]) {
        var input = InputBytes(bytes)
        let (number, elements, blockBytes) = input.choice(types)
        let name = input.choice(["blk.0.attn_q.weight", "blk.0.attn_v.weight"])
        var image = GGUFImage()
        let size = GGUFImage.rows * GGUFImage.columns / elements * blockBytes
        image.addTensors(first: name, type: number, size: size)
        let path = folder.write(
            image.bytes + input.rest.prefix(size), to: "model.gguf",
            size: image.bytes.count + image.dataBytes)
        SourceCheck.openModel(path)
    }
}

/// A GGUF file up to its data: a Llama model of one layer with two heads of four dimensions.
private struct GGUFImage {
    /// Shape of the query, key and value matrices.
    static let (rows, columns) = (8, 256)
    private(set) var bytes: [UInt8] = []
    private(set) var dataBytes = 0
    private let tokens = ["a", "b"]

    init() {
        bytes += Array("GGUF".utf8)
        append(UInt32(3))
        append(UInt64(11))  // tensors
        append(UInt64(12))  // settings
        text("general.architecture", "llama")
        text("tokenizer.ggml.model", "gpt2")
        text("tokenizer.ggml.pre", "llama-bpe")
        list("tokenizer.ggml.tokens", tokens)
        list("tokenizer.ggml.merges", [])
        number("llama.embedding_length", Self.columns)
        number("llama.feed_forward_length", Self.rows)
        number("llama.block_count", 1)
        number("llama.attention.head_count", 2)
        number("llama.attention.key_length", 4)
        number("llama.context_length", 64)
        key("llama.attention.layer_norm_rms_epsilon", type: 6)
        append(Float(1e-5).bitPattern)
    }

    /// Writes the directory.
    mutating func addTensors(first: String, type: Int, size: Int) {
        let (rows, columns) = (Self.rows, Self.columns)
        tensor(first, [columns, rows], type, size)
        let floats = [
            ("attn_q", [columns, rows]), ("attn_k", [columns, rows]), ("attn_v", [columns, rows]),
            ("attn_output", [rows, columns]), ("ffn_gate", [columns, rows]),
            ("ffn_up", [columns, rows]), ("ffn_down", [rows, columns]),
            ("attn_norm", [columns]), ("ffn_norm", [columns]),
        ].map { (name: "blk.0.\($0).weight", shape: $1) }
        let outside = [
            (name: "output_norm.weight", shape: [columns]),
            (name: "token_embd.weight", shape: [columns, tokens.count]),
        ]
        for (name, shape) in floats + outside where name != first {
            tensor(name, shape, 0, 4 * shape.reduce(1, *))
        }
        bytes += [UInt8](repeating: 0, count: (32 - bytes.count % 32) % 32)
    }

    private mutating func tensor(_ name: String, _ shape: [Int], _ type: Int, _ size: Int) {
        string(name)
        append(UInt32(shape.count))
        for dimension in shape { append(UInt64(dimension)) }
        append(UInt32(type))
        append(UInt64(dataBytes))
        dataBytes += (size + 31) / 32 * 32
    }

    private mutating func append(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
    }

    private mutating func string(_ text: String) {
        append(UInt64(text.utf8.count))
        bytes += Array(text.utf8)
    }

    private mutating func key(_ name: String, type: UInt32) {
        string(name)
        append(type)
    }

    private mutating func text(_ name: String, _ value: String) {
        key(name, type: 8)
        string(value)
    }

    private mutating func number(_ name: String, _ value: Int) {
        key(name, type: 4)
        append(UInt32(value))
    }

    private mutating func list(_ name: String, _ values: [String]) {
        key(name, type: 9)
        append(UInt32(8))
        append(UInt64(values.count))
        for value in values { string(value) }
    }
}
