internal import TesseraWeightFile

// The bounds of a weight file's configuration (Formats/TSR.md §5), applied before anything is sized
// by a source's numbers, so that a damaged file is an error and not a demand for memory; and what the
// kernels have room for, so that nothing is converted that cannot run.
extension ModelConfig {
    /// Refuses widths, counts and numbers that no model has.
    ///
    /// - Parameters:
    ///   - layers: How many there will be.
    ///   - path: Path of the file that has the numbers.
    func checkShape(layers: Int, path: String) throws(ImportError) {
        let width = 1...1 << 20
        let bounds: [(name: String, value: Int, range: ClosedRange<Int>)] = [
            ("hidden_size", hiddenSize, width), ("intermediate_size", intermediateSize, width),
            ("num_hidden_layers", layers, 1...4096),
            ("num_attention_heads", headCount, 1...4096),
            ("num_key_value_heads", kvHeadCount, 1...max(1, headCount)),
            ("head_dim", headDim, 2...Self.largestHeadDim),
            ("vocab_size", vocabularySize, 1...1 << 22),
            ("max_position_embeddings", maxPositions, 1...1 << 30),
        ]
        for (name, value, range) in bounds where !range.contains(value) {
            throw .impossibleSetting(
                path: path, name: name, value: "\(value)",
                expected: "\(range.lowerBound)...\(range.upperBound)")
        }
        guard headDim % 2 == 0 else {
            throw .impossibleSetting(
                path: path, name: "head_dim", value: "\(headDim)", expected: "an even number")
        }
        guard headCount % kvHeadCount == 0 else {
            throw .impossibleSetting(
                path: path, name: "num_key_value_heads", value: "\(kvHeadCount)",
                expected: "a divisor of \(headCount) heads")
        }
        guard hasRunnableHeads else {
            throw .impossibleSetting(
                path: path, name: "num_key_value_heads", value: "\(kvHeadCount)",
                expected: "one for \(Self.largestHeadGroup) of the \(headCount) heads at least")
        }
    }

    /// Refuses factors, frequencies and block settings out of range.
    func checkNumbers(path: String) throws(ImportError) {
        let tiny = Float.leastNormalMagnitude
        var bounds: [(name: String, value: Float, range: ClosedRange<Float>)] = [
            ("rms_norm_eps", rmsNormEps, tiny...1),
            ("embedding_multiplier", embeddingScale, tiny...65536),
        ]
        if let scaling = queryScaling {
            bounds.append(("llama_4_scaling_beta", scaling.beta, 0...1000))
            bounds.append(
                (
                    "original_max_position_embeddings", Float(scaling.originalMaxPositions),
                    1...0x1p30
                ))
        }
        if let block = blockDecoding {
            let ids = 0...Float(vocabularySize - 1)
            bounds.append(("mask_token_id", Float(block.maskToken), ids))
            bounds.append(("block_size", Float(block.blockSize), 1...64))
        }
        for table in rotaryTables {
            bounds.append(("rope attention_factor", table.attentionFactor, tiny...1000))
            bounds.append(
                ("original_max_position_embeddings", Float(table.longestContext), 0...0x1p30))
        }
        for layer in layers {
            bounds.append(("attention_multiplier", layer.attentionScale, tiny...1000))
            bounds.append(("sliding_window", Float(layer.window), 0...0x1p30))
        }
        for (name, value, range) in bounds where !range.contains(value) {
            throw .impossibleSetting(
                path: path, name: name, value: "\(value)",
                expected: "\(range.lowerBound)...\(range.upperBound)")
        }
        for frequency in rotaryTables.flatMap(\.inverseFrequencies)
        where !(0...1000).contains(frequency) {
            throw .impossibleSetting(
                path: path, name: "RoPE frequency", value: "\(frequency)", expected: "0...1000")
        }
    }
}
