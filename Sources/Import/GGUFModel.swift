internal import WeightFile

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
    private let path: String
    private let stored: [String: GGUFFile.Tensor]
    /// The rows of q and k are stored in interleaved order: llama.cpp's llama graph rotates pairs
    /// (2j, 2j + 1) where Hugging Face rotates (j, j + headDim / 2).
    private let permuted: Bool

    /// - Parameter parts: Paths of all files of the model, in order; one for a model in one file.
    init(parts: [String]) throws(ImportError) {
        let gguf = try GGUFFile(parts: parts)
        let path = gguf.file.path
        self.path = path
        let settings = try GGUFSettings(gguf)
        var config = try settings.modelConfig()
        permuted = settings.permuted
        if let frequencies = try gguf.frequencyDivisors(count: config.headDim / 2) {
            for (index, divisor) in frequencies.enumerated() {
                config.ropeInverseFrequencies[index] /= Double(divisor)
            }
        }
        try config.checkNumbers(path: path)
        self.config = config
        let title = try gguf.metadata.string("general.name") ?? ""
        origin = "GGUF" + (title.isEmpty ? "" : ": \(title)")

        let byName = Dictionary(uniqueKeysWithValues: gguf.tensors.map { ($0.name, $0) })
        guard config.layerCount <= byName.count else {
            throw .missingTensor(path: path, name: "blk.\(byName.count) and on")
        }
        let stored = try Self.assign(byName, config, path)
        try TensorNames.refuseOthers(
            byName.keys, layers: config.layerCount, used: stored.keys, path)
        tensors = config.requiredTensors.compactMap { name, rows, columns in
            stored[name].map {
                SourceTensor(name: name, rows: rows, columns: columns, type: $0.type)
            }
        }
        self.stored = stored
        sourceBytes = stored.values.reduce(0) { $0 + $1.byteCount }
        fingerprint = SourceFile.fingerprint(gguf.tensors.map(\.file))
        tokenizer = try gguf.tokenizerTables(vocabularySize: config.vocabularySize)
        notes = try gguf.tokenizerNotes()
        chatTemplate = try gguf.metadata.string("tokenizer.chat_template")
    }

    /// The stored tensor for each one that the configuration demands, by our name.
    private static func assign(
        _ found: [String: GGUFFile.Tensor], _ config: ModelConfig, _ path: String
    ) throws(ImportError) -> [String: GGUFFile.Tensor] {
        var stored: [String: GGUFFile.Tensor] = [:]
        for (name, rows, columns) in config.requiredTensors {
            let theirs = TensorNames.gguf(name)
            guard let tensor = found[theirs] else {
                throw .missingTensor(path: path, name: theirs)
            }
            // Trailing dimensions of 1 say nothing.
            let expected = rows == 1 ? [columns] : [columns, rows]
            guard tensor.shape == expected || tensor.shape == [columns, rows] else {
                throw .wrongShape(
                    path: path, name: theirs, shape: tensor.shape, expected: expected)
            }
            stored[name] = tensor
        }
        return stored
    }

    func read(
        _ tensor: SourceTensor, rows: Range<Int>, into output: inout [Float]
    ) throws(ImportError) {
        try visit(tensor, rows) { bytes, start, row in
            tensor.type.decode(
                bytes, from: start, count: tensor.columns, into: &output,
                at: row * tensor.columns)
        }
        // A bias is one row whose elements are permuted as the rows of its matrix are.
        if permuted, tensor.name.hasSuffix(".bias"), let heads = permutedHeads(tensor) {
            let source = output
            for index in 0..<tensor.columns {
                output[index] = source[permutedRow(index, rows: tensor.columns, heads: heads)]
            }
        }
    }

    func readBlocks(
        _ tensor: SourceTensor, rows: Range<Int>
    ) throws(ImportError) -> SourceBlocks? {
        guard tensor.type.codeEncoding != nil else { return nil }
        var result = SourceBlocks(tensor.type, values: rows.count * tensor.columns)
        try visit(tensor, rows) { bytes, start, row in
            tensor.type.unpack(
                bytes, from: start, count: tensor.columns, into: &result, at: row * tensor.columns)
        }
        return result
    }

    /// Calls `body` with the stored bytes of each row, its offset in them, and its index in `rows`.
    private func visit(
        _ tensor: SourceTensor, _ rows: Range<Int>, _ body: ([UInt8], Int, Int) -> Void
    ) throws(ImportError) {
        guard let source = stored[tensor.name] else {
            throw .missingTensor(path: path, name: tensor.name)
        }
        precondition(rows.lowerBound >= 0 && rows.upperBound <= tensor.rows, "\(rows)")
        let rowBytes = tensor.columns / tensor.type.blockElements * tensor.type.blockBytes
        var bytes: [UInt8] = []
        guard permuted, tensor.rows > 1, let heads = permutedHeads(tensor) else {
            try source.file.read(
                at: source.offset + rows.lowerBound * rowBytes, count: rows.count * rowBytes,
                into: &bytes)
            for row in 0..<rows.count { body(bytes, row * rowBytes, row) }
            return
        }
        for (index, row) in rows.enumerated() {
            let from = permutedRow(row, rows: tensor.rows, heads: heads)
            try source.file.read(at: source.offset + from * rowBytes, count: rowBytes, into: &bytes)
            body(bytes, 0, index)
        }
    }

    private func permutedHeads(_ tensor: SourceTensor) -> Int? {
        if tensor.name.contains("self_attn.q_proj") { return config.headCount }
        if tensor.name.contains("self_attn.k_proj") { return config.kvHeadCount }
        return nil
    }

    /// Where Hugging Face's row h D + t D/2 + j is stored: at h D + 2 j + t.
    private func permutedRow(_ row: Int, rows: Int, heads: Int) -> Int {
        let headRows = rows / heads
        let (head, within) = row.quotientAndRemainder(dividingBy: headRows)
        let (t, j) = within.quotientAndRemainder(dividingBy: headRows / 2)
        return head * headRows + 2 * j + t
    }
}

extension GGUFFile {
    /// `rope_freqs.weight`: what each rotary frequency is divided by (llama3 scaling).
    func frequencyDivisors(count: Int) throws(ImportError) -> [Float]? {
        guard let tensor = tensors.first(where: { $0.name == "rope_freqs.weight" }) else {
            return nil
        }
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
                path: file.path, offset: tensor.offset, reason: "impossible rope_freqs")
        }
        return values
    }
}
