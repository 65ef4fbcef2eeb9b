internal import TesseraReporting
internal import TesseraWeightFile

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
    let notes: [String]
    let fingerprint: String
    private let stored: StoredTensors

    /// A tensor and the file that holds it.
    typealias StoredTensor = (file: SourceFile, tensor: SafetensorsFile.Tensor)

    init(folder: String) throws(ImportError) {
        let configPath = folder + "/config.json"
        guard let root = try Settings.file(configPath) else {
            throw .notFound(path: folder, wanted: "config.json in this folder")
        }
        guard try !HuggingFaceDrafter.isDrafter(root) else {
            throw .unsupported(
                path: folder, what: "a drafter without its target",
                advice: "name the target's weight file with --drafts-for TARGET.tsr")
        }
        let settings = try HuggingFaceConfig(root)
        let (read, form) = try settings.model()
        var config = read
        config.name = try Self.name(of: folder, root)
        let generation = try HuggingFaceGeneration(folder: folder)
        config.sampling = try generation.sampling()
        try config.checkNumbers(path: configPath)

        let found = try Self.openShards(folder)
        var names = WeightNames(found.keys)
        var notes = try generation.notes()
        config.tieWordEmbeddings = try Self.tie(
            try settings.tied(), found, &names, configPath, &notes)
        guard config.layerCount <= found.count else {
            throw .missingTensor(path: folder, name: "layers \(found.count) and on")
        }
        func place(_ tensor: ModelTensor) -> StoredForm.Place {
            let layer = "model.layers.\(tensor.layer ?? 0)."
            return form.place(
                of: tensor, in: config, name: names.stored(tensor.name),
                fused: (
                    names.stored(layer + "self_attn.qkv_proj.weight"),
                    names.stored(layer + "mlp.gate_up_proj.weight")
                ))
        }
        stored = try StoredTensors(config, form, place: place) {
            name, rows, columns throws(ImportError) in
            guard let entry = found[name] else { throw .missingTensor(path: folder, name: name) }
            var part = try Self.part(entry, named: name, rows: rows, columns: columns)
            if part.type == .f8_e4m3 {
                part.scales = try Self.scales(of: name, found, rows: rows, columns: columns)
            }
            return part
        }
        let used = config.tensors.map { place($0).name }
        try names.refuseOthers(
            found.keys, layers: config.layerCount,
            used: used + used.flatMap { Self.scaleNames(of: $0) },
            isWholeModel: settings.isWholeModel, family: config.modelType, folder)
        tensors = stored.list
        sourceBytes = stored.byteCount
        fingerprint = SourceFile.fingerprint(found.values.map(\.file))

        let text = try HuggingFaceTokenizer(folder: folder)
        tokenizer = try text.tables(
            vocabularySize: config.vocabularySize,
            endTokens: try generation.endTokens() + settings.endTokens())
        chatTemplate = try text.chatTemplate()
        self.config = config
        self.notes = try notes + text.notes()
        origin = "Hugging Face: \(config.name)"
    }

    /// Whether the embedding is the output head, as transformers decides it: a tied model that stores a
    /// head with other values keeps it, and one that stores only a head has that for its embedding. A
    /// model that says nothing is as it is stored.
    private static func tie(
        _ tied: Bool?, _ found: [String: StoredTensor], _ names: inout WeightNames,
        _ path: String, _ notes: inout [String]
    ) throws(ImportError) -> Bool {
        let head = found[names.head]
        guard let tied else { return head == nil }
        guard tied, let head else { return tied }
        guard let embedding = found[names.embedding] else {
            names.embedding = names.head
            return true
        }
        guard try !haveEqualValues(head, embedding) else { return true }
        notes.append(
            "\(path): tie_word_embeddings is true, but '\(names.head)' is not the embedding: the "
                + "stored head is kept, as in transformers")
        return false
    }

    private static func haveEqualValues(
        _ one: StoredTensor, _ other: StoredTensor
    ) throws(ImportError) -> Bool {
        guard let type = one.tensor.type, let otherType = other.tensor.type,
            one.tensor.shape == other.tensor.shape
        else { return false }
        let total = one.tensor.shape.reduce(1, *)
        let step = 1 << 18
        var (bytes, a, b): ([UInt8], [Float], [Float]) = ([], [], [])
        for start in stride(from: 0, to: total, by: step) {
            let count = min(step, total - start)
            for (stored, type, isFirst) in [(one, type, true), (other, otherType, false)] {
                let size = type.blockBytes
                try stored.file.read(
                    at: stored.tensor.offset + start * size, count: count * size, into: &bytes)
                var values = [Float](repeating: 0, count: count)
                type.decode(bytes, from: 0, count: count, into: &values, at: 0)
                if isFirst { a = values } else { b = values }
            }
            guard a == b else { return false }
        }
        return true
    }

    func read(
        _ tensor: SourceTensor, rows: Range<Int>, into output: inout [Float]
    ) throws(ImportError) {
        try stored.read(tensor, rows: rows, into: &output)
    }

    func readBlocks(
        _ tensor: SourceTensor, rows: Range<Int>
    ) throws(ImportError) -> SourceBlocks? { nil }

    // MARK: Opening

    static func name(of folder: String, _ config: Settings) throws(ImportError) -> String {
        if let named = try config.string("_name_or_path"), !named.isEmpty {
            return String(named.split(separator: "/").last ?? "").prefixed(80)
        }
        return String(folder.split(separator: "/").last ?? "model").prefixed(80)
    }

    /// Every tensor of the folder by its stored name.
    static func openShards(_ folder: String) throws(ImportError) -> [String: StoredTensor] {
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
                        path: path, offset: nil, reason: "'\(name)' is in another shard too")
                }
            }
        }
        return found
    }

    /// `model.safetensors`, or the files that the index names, or those that their names number.
    private static func shardNames(_ folder: String) throws(ImportError) -> [String] {
        let single = "model.safetensors"
        if fileKind(folder + "/" + single) == .file { return [single] }
        if let index = try Settings.file(folder + "/model.safetensors.index.json") {
            return try shardNames(index)
        }
        let names = try fileNames(in: folder)
        let shards = names.filter { $0.hasPrefix("model-") && $0.hasSuffix(".safetensors") }
        if let shard = shards.lazy.compactMap(ShardName.init).first { return shard.all }
        let endings = [".bin", ".pth", ".pt"]
        if let other = names.first(where: { endings.contains(where: $0.hasSuffix) }) {
            throw .unsupported(
                path: folder + "/" + other, what: "a checkpoint of PyTorch",
                advice: "choose or make one in safetensors")
        }
        return [single]
    }

    private static func shardNames(_ index: Settings) throws(ImportError) -> [String] {
        guard let map = try index.object("weight_map"), !map.names.isEmpty else {
            throw .missingSetting(path: index.path, name: "weight_map")
        }
        var shards: Set<String> = []
        for name in map.names {
            guard let shard = try map.string(name), !shard.contains("/"), !shard.isEmpty else {
                throw map.wrong(name, "the name of a file in this folder")
            }
            shards.insert(shard)
        }
        return shards.sorted()
    }

    /// Tensors that belong to a matrix of 8-bit floats: its scales, and one for activations, which are not
    /// rounded to such floats here.
    private static func scaleNames(of name: String) -> [String] {
        let stem = name.hasSuffix(".weight") ? name.dropLast(".weight".count) : name[...]
        return [name + "_scale_inv", name + "_scale", stem + ".input_scale"]
    }

    /// The factors of a matrix of 8-bit floats: one for all of it, one for each row, or one for each block; nil
    /// where its values are those that are stored.
    private static func scales(
        of name: String, _ found: [String: StoredTensor], rows: Int, columns: Int
    ) throws(ImportError) -> BlockScales? {
        for scaleName in scaleNames(of: name).prefix(2) {
            guard let (file, tensor) = found[scaleName] else { continue }
            guard let type = tensor.type, type != .f8_e4m3 else {
                throw .unsupported(
                    path: file.path, what: "tensor '\(scaleName)' of type \(tensor.dtype)",
                    advice: "choose a checkpoint in BF16, F16 or F32")
            }
            let (high, wide) =
                switch tensor.shape.count {
                case 0: (1, 1)
                case 1: (tensor.shape[0], 1)
                case 2: (tensor.shape[0], tensor.shape[1])
                default: (0, 0)
                }
            guard let blockRows = size(rows, high), let blockColumns = size(columns, wide) else {
                throw .wrongShape(
                    path: file.path, name: scaleName, shape: tensor.shape, expected: [rows, 1])
            }
            var bytes: [UInt8] = []
            try file.read(at: tensor.offset, count: high * wide * type.blockBytes, into: &bytes)
            var values = [Float](repeating: 0, count: high * wide)
            type.decode(bytes, from: 0, count: values.count, into: &values, at: 0)
            return BlockScales(rows: blockRows, columns: blockColumns, count: wide, values: values)
        }
        return nil
    }

    /// Values of a block where `count` blocks cover `total`: one each, all, or 128 and the last block cut.
    private static func size(_ total: Int, _ count: Int) -> Int? {
        count == 1 ? total : count == total ? 1 : count == (total + 127) / 128 ? 128 : nil
    }

    static func part(
        _ entry: StoredTensor, named name: String, rows: Int, columns: Int
    ) throws(ImportError) -> StoredTensors.Part {
        let (file, tensor) = entry
        guard let type = tensor.type else {
            throw .unsupported(
                path: file.path, what: "tensor '\(name)' of type \(tensor.dtype)",
                advice: "choose a checkpoint in BF16, F16 or F32")
        }
        let expected = rows == 1 ? [columns] : [rows, columns]
        guard tensor.shape == expected || tensor.shape == [rows, columns] else {
            throw .wrongShape(
                path: file.path, name: name, shape: tensor.shape, expected: expected)
        }
        return StoredTensors.Part(file: file, offset: tensor.offset, type: type)
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
