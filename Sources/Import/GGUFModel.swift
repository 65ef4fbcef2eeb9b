internal import TesseraWeightFile

/// A model in a GGUF file.
final class GGUFModel: TensorSource {
    let config: ModelConfig
    let tokenizer: TokenizerTables
    let chatTemplate: String?
    let origin: String
    let tensors: [SourceTensor]
    let sourceBytes: Int
    let fingerprint: String
    let notes: [String]
    private let stored: StoredTensors

    /// - Parameter parts: Paths of all files of the model, in order; one for a model in one file.
    init(parts: [String]) throws(ImportError) {
        let gguf = try GGUFFile(parts: parts)
        let path = gguf.file.path
        let (config, form) = try GGUFSettings(gguf).model()
        try config.checkNumbers(path: path)
        self.config = config
        let title = try gguf.metadata.string("general.name") ?? ""
        origin = "GGUF" + (title.isEmpty ? "" : ": \(title)")

        let byName = Dictionary(uniqueKeysWithValues: gguf.tensors.map { ($0.name, $0) })
        guard config.layerCount <= byName.count else {
            throw .missingTensor(path: path, name: "blk.\(byName.count) and on")
        }
        func place(_ tensor: ModelTensor) -> StoredForm.Place {
            let layer = "blk.\(tensor.layer ?? 0)."
            return form.place(
                of: tensor, in: config, name: tensor.ggufName,
                fused: (layer + "attn_qkv.weight", layer + TensorRole.up.ggufName))
        }
        stored = try StoredTensors(config, form, place: place) {
            name, rows, columns throws(ImportError) in
            guard let tensor = byName[name] else { throw .missingTensor(path: path, name: name) }
            // Trailing dimensions of 1 say nothing.
            let expected = rows == 1 ? [columns] : [columns, rows]
            guard tensor.shape == expected || tensor.shape == [columns, rows] else {
                throw .wrongShape(
                    path: path, name: name, shape: tensor.shape, expected: expected)
            }
            return StoredTensors.Part(file: tensor.file, offset: tensor.offset, type: tensor.type)
        }
        try gguf.refuseOthers(than: config.tensors.map { place($0).name }, config)
        tensors = stored.list
        sourceBytes = stored.byteCount
        fingerprint = SourceFile.fingerprint(gguf.tensors.map(\.file))
        tokenizer = try gguf.tokenizerTables(vocabularySize: config.vocabularySize)
        notes = try gguf.tokenizerNotes()
        chatTemplate = try gguf.metadata.string("tokenizer.chat_template")
    }

    func read(
        _ tensor: SourceTensor, rows: Range<Int>, into output: inout [Float]
    ) throws(ImportError) {
        try stored.read(tensor, rows: rows, into: &output)
    }

    func readBlocks(
        _ tensor: SourceTensor, rows: Range<Int>
    ) throws(ImportError) -> SourceBlocks? {
        try stored.readBlocks(tensor, rows: rows)
    }
}

extension GGUFFile {
    /// Refuses weights that have no place in the model: without them the model would compute something else.
    fileprivate func refuseOthers(
        than used: [String], _ config: ModelConfig
    ) throws(ImportError) {
        // RoPE frequencies are part of the configuration.
        let known = Set(used).union(["rope_freqs.weight"]).union(
            Family.gguf[config.modelType]?.hasLongRope == true
                ? ["rope_factors_long.weight", "rope_factors_short.weight"] : [])
        for name in tensors.map(\.name).sorted() where !known.contains(name) {
            // Layers after the last one, such as multi-token prediction, have no part in decoding.
            let parts = name.split(separator: ".")
            if parts.count > 1, parts[0] == "blk", let number = Int(parts[1]),
                number >= config.layerCount
            {
                continue
            }
            throw .noPlace(path: file.path, tensor: name, family: config.modelType)
        }
    }

    /// What each rotary frequency is divided by; nil if there is no such tensor.
    func frequencyDivisors(_ name: String, count: Int) throws(ImportError) -> [Float]? {
        guard let tensor = tensors.first(where: { $0.name == name }) else { return nil }
        guard tensor.shape == [count], tensor.type == .f32 else {
            throw .wrongShape(
                path: file.path, name: tensor.name, shape: tensor.shape, expected: [count])
        }
        var bytes: [UInt8] = []
        try tensor.file.read(at: tensor.offset, count: tensor.byteCount, into: &bytes)
        var values = [Float](repeating: 0, count: count)
        tensor.type.decode(bytes, from: 0, count: count, into: &values, at: 0)
        guard values.allSatisfy({ $0.isFinite && $0 > 0 }) else {
            throw .malformed(
                path: file.path, offset: tensor.offset, reason: "impossible \(name)")
        }
        return values
    }
}
