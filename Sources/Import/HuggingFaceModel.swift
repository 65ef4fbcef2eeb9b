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
    private let stored: [String: StoredTensor]

    /// A tensor and the file that holds it.
    private typealias StoredTensor = (file: SourceFile, tensor: SafetensorsFile.Tensor)

    init(folder: String) throws(ImportError) {
        self.folder = folder
        let configPath = folder + "/config.json"
        guard let json = try SourceFile.json(configPath) else {
            throw .notFound(path: folder, wanted: "config.json in this folder")
        }
        let settings = HuggingFaceConfig(path: configPath, json: json)
        var config = try settings.modelConfig()
        config.name = Self.name(of: folder, json)
        let generation = try SourceFile.json(folder + "/generation_config.json")
        settings.setSampling(&config, generation)
        try config.checkNumbers(path: configPath)

        let found = try Self.openShards(folder)
        let names = WeightNames(found.keys)
        // A tied model may store its head all the same; one that says nothing is as it is stored.
        config.tieWordEmbeddings = settings.tied ?? (found[names.head] == nil)
        guard config.layerCount <= found.count else {
            throw .missingTensor(path: folder, name: "layers \(found.count) and on")
        }
        let stored = try Self.assign(found, names, config, folder)
        try names.refuseOthers(found.keys, layers: config.layerCount, used: stored.keys, folder)
        self.stored = stored
        tensors = config.requiredTensors.compactMap { name, rows, columns in
            stored[name]?.tensor.type.map {
                SourceTensor(name: name, rows: rows, columns: columns, type: $0)
            }
        }
        sourceBytes = stored.values.reduce(0) { $0 + $1.tensor.byteCount }

        let text = try HuggingFaceTokenizer(folder: folder)
        tokenizer = try text.tables(
            vocabularySize: config.vocabularySize, config: settings.json, generation: generation)
        chatTemplate = text.chatTemplate
        self.config = config
        origin = "Hugging Face: \(config.name)"
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

    // MARK: Opening

    private static func name(of folder: String, _ config: JSONValue) -> String {
        if let named = config["_name_or_path"]?.string, !named.isEmpty {
            return String(named.split(separator: "/").last ?? "").prefixed(80)
        }
        return String(folder.split(separator: "/").last ?? "model").prefixed(80)
    }

    /// Every tensor of the folder by its stored name.
    private static func openShards(_ folder: String) throws(ImportError) -> [String: StoredTensor] {
        var found: [String: StoredTensor] = [:]
        for shard in try shardNames(folder) {
            let path = folder + "/" + shard
            guard fileKind(path) == .file else {
                throw .notFound(path: folder, wanted: shard + " in this folder")
            }
            let opened = try SafetensorsFile(path: path)
            for (name, tensor) in opened.tensors {
                guard found.updateValue((opened.file, tensor), forKey: name) == nil else {
                    throw .malformed(
                        path: path, offset: 8, reason: "'\(name)' is in another shard too")
                }
            }
        }
        return found
    }

    /// `model.safetensors`, or the files that the index names.
    private static func shardNames(_ folder: String) throws(ImportError) -> [String] {
        let single = "model.safetensors"
        let index = folder + "/model.safetensors.index.json"
        guard fileKind(folder + "/" + single) != .file, let json = try SourceFile.json(index)
        else { return [single] }
        let shards = Set((json["weight_map"]?.members ?? []).compactMap { $0.value.string })
        guard !shards.isEmpty else {
            throw .malformed(path: index, offset: 0, reason: "no weight_map")
        }
        for shard in shards where shard.contains("/") || shard.isEmpty {
            throw .malformed(path: index, offset: 0, reason: "a shard named '\(shard)'")
        }
        return shards.sorted()
    }

    /// The stored tensor for each one that the configuration demands, by our name.
    private static func assign(
        _ found: [String: StoredTensor], _ names: WeightNames, _ config: ModelConfig,
        _ folder: String
    ) throws(ImportError) -> [String: StoredTensor] {
        var stored: [String: StoredTensor] = [:]
        for (name, rows, columns) in config.requiredTensors {
            let theirs = names.stored(name)
            guard let entry = found[theirs] else {
                throw .missingTensor(path: folder, name: theirs)
            }
            guard entry.tensor.type != nil else {
                throw .unsupported(
                    path: entry.file.path, what: "tensor '\(theirs)' of type \(entry.tensor.dtype)",
                    advice: "choose a checkpoint in BF16, F16 or F32")
            }
            let expected = rows == 1 ? [columns] : [rows, columns]
            guard entry.tensor.shape == expected || entry.tensor.shape == [rows, columns] else {
                throw .wrongShape(
                    path: entry.file.path, name: theirs, shape: entry.tensor.shape,
                    expected: expected)
            }
            stored[name] = entry
        }
        return stored
    }
}

extension String {
    /// At most `count` bytes of UTF-8, whole characters.
    func prefixed(_ count: Int) -> String {
        var text = String(prefix(count))
        while text.utf8.count > count { text.removeLast() }
        return text
    }
}
