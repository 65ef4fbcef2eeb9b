internal import Reporting
internal import WeightFile

/// A model in a Hugging Face folder: config.json, safetensors (one file or shards with an index),
/// tokenizer.json and, where present, tokenizer_config.json, generation_config.json and
/// chat_template.jinja.
final class HuggingFaceModel: TensorSource {
    let config: ModelConfig
    let tokenizer: TokenizerTables
    let chatTemplate: String?
    let origin: String
    let tensors: [SourceTensor]
    let sourceBytes: Int
    private let folder: String
    private let stored: [String: (file: SourceFile, tensor: SafetensorsFile.Tensor)]

    init(folder: String) throws(ImportError) {
        self.folder = folder
        guard let json = try SourceFile.json(folder + "/config.json") else {
            throw .notFound(path: folder, wanted: "config.json in this folder")
        }
        let found = try Self.openShards(folder)
        let names = WeightNames(found.keys)
        let settings = HuggingFaceConfig(path: folder + "/config.json", json: json)
        var config = try settings.modelConfig()
        config.name = Self.name(of: folder, json)
        // Some checkpoints say "tied" and store the head all the same; the weights decide.
        config.tieWordEmbeddings = names.head(in: found.keys) == nil
        let generation = try SourceFile.json(folder + "/generation_config.json")
        settings.setSampling(&config, generation)
        let text = try HuggingFaceTokenizer(folder: folder)
        tokenizer = try text.tables(
            vocabularySize: config.vocabularySize, config: json, generation: generation)
        chatTemplate = text.chatTemplate
        self.config = config
        origin = "Hugging Face: \(config.name)"

        var tensors: [SourceTensor] = []
        var stored: [String: (file: SourceFile, tensor: SafetensorsFile.Tensor)] = [:]
        for (name, rows, columns) in config.requiredTensors {
            let theirs = names.stored(name)
            guard let entry = found[theirs], entry.tensor.type != .synthetic else {
                throw .missingTensor(path: folder, name: theirs)
            }
            let expected = rows == 1 ? [columns] : [rows, columns]
            guard entry.tensor.shape == expected || entry.tensor.shape == [rows, columns] else {
                throw .wrongShape(
                    path: entry.file.path, name: theirs, shape: entry.tensor.shape,
                    expected: expected)
            }
            tensors.append(
                SourceTensor(name: name, rows: rows, columns: columns, type: entry.tensor.type))
            stored[name] = entry
        }
        self.tensors = tensors
        self.stored = stored
        sourceBytes = stored.values.reduce(0) { $0 + $1.tensor.byteCount }
    }

    func read(
        _ tensor: SourceTensor, rows: Range<Int>, into output: inout [Float]
    ) throws(ImportError) {
        guard let entry = stored[tensor.name] else {
            throw .missingTensor(path: folder, name: tensor.name)
        }
        precondition(rows.lowerBound >= 0 && rows.upperBound <= tensor.rows, "\(rows)")
        let rowBytes = tensor.columns * tensor.type.blockBytes
        var bytes: [UInt8] = []
        try entry.file.read(
            at: entry.tensor.offset + rows.lowerBound * rowBytes, count: rows.count * rowBytes,
            into: &bytes)
        tensor.type.decode(
            bytes, from: 0, count: rows.count * tensor.columns, into: &output, at: 0)
    }

    func readBlocks(
        _ tensor: SourceTensor, rows: Range<Int>
    ) throws(ImportError) -> SourceBlocks? { nil }

    private static func name(of folder: String, _ config: JSONValue) -> String {
        if let named = config["_name_or_path"]?.string, !named.isEmpty {
            return String(named.split(separator: "/").last ?? "").prefixed(80)
        }
        return String(folder.split(separator: "/").last ?? "model").prefixed(80)
    }

    /// Every tensor of the folder by its stored name.
    private static func openShards(
        _ folder: String
    ) throws(ImportError) -> [String: (file: SourceFile, tensor: SafetensorsFile.Tensor)] {
        var shards: [String] = ["model.safetensors"]
        let index = folder + "/model.safetensors.index.json"
        if let map = try SourceFile.json(index)?["weight_map"]?.members {
            shards = Set(map.compactMap { $0.value.string }).sorted()
            for shard in shards where shard.contains("/") || shard.isEmpty {
                throw .malformed(path: index, offset: 0, reason: "a shard named '\(shard)'")
            }
        }
        var found: [String: (file: SourceFile, tensor: SafetensorsFile.Tensor)] = [:]
        for shard in shards {
            guard fileKind(folder + "/" + shard) == .file else {
                throw .notFound(path: folder, wanted: shard)
            }
            let opened = try SafetensorsFile(path: folder + "/" + shard)
            for (name, tensor) in opened.tensors {
                guard found.updateValue((opened.file, tensor), forKey: name) == nil else {
                    throw .malformed(
                        path: folder + "/" + shard, offset: 8,
                        reason: "'\(name)' is in another shard too")
                }
            }
        }
        return found
    }
}

/// How a checkpoint spells the names of the format's tensors.
struct WeightNames {
    private let prefix: String

    /// Nemotron-Labs-Diffusion keeps its decoder under `encoder.`, multimodal checkpoints under
    /// `model.language_model.` or `language_model.model.`.
    init(_ names: some Sequence<String>) {
        let prefixes = ["model.", "encoder.", "model.language_model.", "language_model.model.", ""]
        let all = Set(names)
        prefix = prefixes.first { all.contains($0 + "embed_tokens.weight") } ?? "model."
    }

    func stored(_ name: String) -> String {
        if name == "lm_head.weight" { return headName }
        return prefix + name.dropFirst("model.".count)
    }

    private var headName: String {
        prefix == "encoder." ? "diffusion_head.weight" : "lm_head.weight"
    }

    /// Stored name of the output head, if there is one.
    func head(in names: some Sequence<String>) -> String? {
        names.first { $0 == headName }
    }
}

extension String {
    /// At most `count` bytes of UTF-8, whole characters.
    func prefixed(_ count: Int) -> String {
        var text = self
        while text.utf8.count > count { text.removeLast() }
        return text
    }
}
