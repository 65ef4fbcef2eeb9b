internal import ArgumentParser
internal import TesseraReporting
internal import TesseraWeightFile

struct InspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Shows what a .tsr weight file holds.",
        discussion: """
            Opening checks everything except the weights themselves; `tessera verify` checks those.

            Examples:
              tessera inspect model.tsr
              tessera inspect model.tsr --json --tensors
            """)

    @Argument(help: "The .tsr file.", completion: .file(extensions: ["tsr"]))
    var file: String

    @Flag(help: "List every tensor.")
    var tensors = false

    @Flag(help: "Print a JSON object.")
    var json = false

    func run() async throws {
        try await reportingErrors {
            let summary = FileSummary(try WeightFile(path: file))
            Terminal.write(
                json ? summary.json(tensors: tensors).text + "\n" : summary.text(tensors: tensors))
        }
    }
}

/// The facts that `inspect` shows of a file.
struct FileSummary {
    private let file: WeightFile
    private let config: ModelConfig

    init(_ file: WeightFile) {
        self.file = file
        config = file.config
    }

    /// Tensors that share an encoding and the way it is stored.
    private struct Share {
        var encoding: TensorEncoding
        var storage: StorageClass
        var tensors = 0
        var weights = 0
        var bytes = 0
        var bitsPerWeight: Double { Double(bytes) * 8 / Double(max(1, weights)) }
    }

    /// One entry per way of storing in use, and all of them together.
    private var shares: (parts: [Share], bytes: Int, weights: Int) {
        var parts: [Share] = []
        for tensor in file.tensors {
            let known = parts.firstIndex {
                ($0.encoding, $0.storage) == (tensor.encoding, tensor.storage)
            }
            let index = known ?? parts.endIndex
            if known == nil {
                parts.append(Share(encoding: tensor.encoding, storage: tensor.storage))
            }
            parts[index].tensors += 1
            parts[index].weights += tensor.rows * tensor.columns
            parts[index].bytes += tensor.byteCount
        }
        parts.sort {
            ($0.encoding.rawValue, $0.storage.rawValue)
                < ($1.encoding.rawValue, $1.storage.rawValue)
        }
        return (parts, parts.reduce(0) { $0 + $1.bytes }, parts.reduce(0) { $0 + $1.weights })
    }

    private var identity: String {
        let digits = String(file.identity, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    // MARK: Text

    /// Lines for people.
    func text(tensors listed: Bool) -> String {
        let (parts, bytes, weights) = shares
        let bits = Format.fixed(Double(bytes) * 8 / Double(max(1, weights)), 2)
        var lines = [
            "\(config.name.isEmpty ? file.path : config.name) (\(config.modelType))",
            "  source      \(file.source)",
            "  file        \(Format.bytes(file.fileBytes)), identity \(identity)",
            "  weights     \(Format.fixed(Double(weights) / 1e6, 1)) million, \(bits) bits each",
            "  shape       \(config.layerCount) layers, hidden \(config.hiddenSize), "
                + "intermediate \(config.intermediateSize), vocabulary \(config.vocabularySize)",
            "  attention   \(config.headCount) heads, \(config.kvHeadCount) key/value heads, "
                + "head \(config.headDim)" + (config.tieWordEmbeddings ? ", tied embeddings" : ""),
            "  positions   \(config.maxPositions)" + scalingNotes,
            "  tokenizer   " + tokenizerText,
            "  template    " + (file.chatTemplate.map { "\($0.utf8.count) bytes" } ?? "none"),
        ]
        lines.insert(contentsOf: LayerLines(config).lines, at: 6)
        if let drafter = config.drafter { lines += LayerLines.lines(drafter) }
        if let block = config.blockDecoding {
            lines.append(
                "  blocks      of \(block.blockSize), mask token \(block.maskToken)"
                    + (block.subBlockSize > 0 ? ", in parts of \(block.subBlockSize)" : "")
                    + (block.shiftedLogits ? ", shifted logits" : "")
                    + (block.bidirectionalCommit ? ", bidirectional commit" : ""))
        }
        for part in parts {
            lines.append(
                "  \(padded(encodingName(part.encoding, part.storage), 15))  \(part.tensors) tensors, "
                    + "\(Format.bytes(part.bytes)), \(Format.fixed(part.bitsPerWeight, 2)) bits")
        }
        if listed { lines += tensorLines }
        return lines.map { $0.printable + "\n" }.joined()
    }

    private var scalingNotes: String {
        (config.queryScaling.map { ", query scaling beta \($0.beta)" } ?? "")
            + (config.embeddingScale == 1 ? "" : ", embeddings times \(config.embeddingScale)")
    }

    private var tokenizerText: String {
        let tables = file.tokenizer
        guard !tables.tokens.isEmpty else { return "none" }
        let end = tables.eosTokens.map(String.init).joined(separator: ", ")
        return "\(tables.tokens.count) tokens, \(tables.merges.count) merges, "
            + "\(tables.preTokenizer), end of sequence: \(end.isEmpty ? "none" : end)"
    }

    private var tensorLines: [String] {
        let width = file.tensors.map(\.name.count).max() ?? 0
        return file.tensors.map {
            "  \(padded($0.name, width))  \(padded("\($0.rows) x \($0.columns)", 16))  "
                + "\(padded(encodingName($0.encoding, $0.storage), 15))  "
                + "\(Format.bytes($0.byteCount)) at \($0.offset)"
        }
    }

    private func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    // MARK: JSON

    /// An object for programs; sizes in bytes.
    func json(tensors listed: Bool) -> JSONOutput {
        let (parts, bytes, weights) = shares
        var members: [(String, JSONOutput)] = [
            ("schema_version", 2), ("path", .string(file.path)),
            ("file_bytes", .int(file.fileBytes)), ("metadata_bytes", .int(file.metadataBytes)),
            ("identity", .string(identity)), ("source", .string(file.source)),
            ("weights", .int(weights)), ("tensor_bytes", .int(bytes)),
            ("bits_per_weight", .number(Double(bytes) * 8 / Double(max(1, weights)))),
            ("config", configJSON), ("tokenizer", tokenizerJSON),
            ("chat_template", file.chatTemplate.map(JSONOutput.string) ?? .null),
            ("tensor_count", .int(file.tensors.count)),
            (
                "encodings",
                .array(
                    parts.map {
                        .object([
                            ("encoding", .string("\($0.encoding)")),
                            ("storage", .string("\($0.storage)")), ("tensors", .int($0.tensors)),
                            ("weights", .int($0.weights)), ("bytes", .int($0.bytes)),
                            ("bits_per_weight", .number($0.bitsPerWeight)),
                        ])
                    })
            ),
        ]
        if listed { members.append(("tensors", .array(file.tensors.map(tensorJSON)))) }
        return .object(members)
    }

    private func tensorJSON(_ tensor: TensorRecord) -> JSONOutput {
        .object([
            ("name", .string(tensor.name)), ("rows", .int(tensor.rows)),
            ("columns", .int(tensor.columns)), ("encoding", .string("\(tensor.encoding)")),
            ("storage", .string("\(tensor.storage)")), ("offset", .int(tensor.offset)),
            ("bytes", .int(tensor.byteCount)), ("tile_rows", .int(tensor.tileRows)),
            ("tiles", .int(tensor.tileCount)),
        ])
    }

    private var configJSON: JSONOutput {
        .object([
            ("name", .string(config.name)), ("model_type", .string(config.modelType)),
            ("hidden_size", .int(config.hiddenSize)),
            ("intermediate_size", .int(config.intermediateSize)),
            ("layer_count", .int(config.layerCount)), ("head_count", .int(config.headCount)),
            ("kv_head_count", .int(config.kvHeadCount)), ("head_dim", .int(config.headDim)),
            ("vocabulary_size", .int(config.vocabularySize)),
            ("max_positions", .int(config.maxPositions)),
            ("rms_norm_eps", .number(Double(config.rmsNormEps))),
            ("embedding_scale", .number(Double(config.embeddingScale))),
            ("rotary_tables", .array(config.rotaryTables.map(LayerLines.json))),
            ("layers", .array(config.layerRuns.map(LayerLines.json))),
            ("query_scaling", config.queryScaling.map(queryScalingJSON) ?? .null),
            ("tie_word_embeddings", .bool(config.tieWordEmbeddings)),
            ("drafter", config.drafter.map(LayerLines.json) ?? .null),
            ("block_decoding", config.blockDecoding.map(blockDecodingJSON) ?? .null),
            ("temperature", .number(Double(config.sampling.temperature))),
            ("top_k", .int(config.sampling.topK)),
            ("top_p", .number(Double(config.sampling.topP))),
        ])
    }

    private func queryScalingJSON(_ scaling: ModelConfig.QueryScaling) -> JSONOutput {
        .object([
            ("beta", .number(Double(scaling.beta))),
            ("original_max_positions", .int(scaling.originalMaxPositions)),
        ])
    }

    private func blockDecodingJSON(_ block: ModelConfig.BlockDecoding) -> JSONOutput {
        .object([
            ("mask_token", .int(block.maskToken)), ("block_size", .int(block.blockSize)),
            ("sub_block_size", .int(block.subBlockSize)),
            ("shifted_logits", .bool(block.shiftedLogits)),
            ("bidirectional_commit", .bool(block.bidirectionalCommit)),
            ("confidence_threshold", .number(Double(block.confidenceThreshold))),
        ])
    }

    private var tokenizerJSON: JSONOutput {
        let tables = file.tokenizer
        func id(_ token: Int?) -> JSONOutput { token.map(JSONOutput.int) ?? .null }
        return .object([
            ("tokens", .int(tables.tokens.count)), ("merges", .int(tables.merges.count)),
            ("pre_tokenizer", .string("\(tables.preTokenizer)")),
            ("pattern", .string(tables.pattern)), ("ignore_merges", .bool(tables.ignoreMerges)),
            ("normalizes_nfc", .bool(tables.normalizesNFC)), ("adds_bos", .bool(tables.addsBOS)),
            ("bos_token", id(tables.bosToken)), ("pad_token", id(tables.padToken)),
            ("unknown_token", id(tables.unknownToken)),
            ("eos_tokens", .array(tables.eosTokens.map(JSONOutput.int))),
        ])
    }
}
