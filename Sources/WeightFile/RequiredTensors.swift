// Which tensors a model of a given configuration consists of. Formats/TSR.md §8.3.
extension ModelConfig {
    /// Name and shape of each tensor the model needs, in execution order. Vectors are `[1, n]`.
    ///
    /// Biases follow their matrices; `lm_head.weight` is absent where the embedding serves as head.
    public var requiredTensors: [(name: String, rows: Int, columns: Int)] {
        var tensors = [("model.embed_tokens.weight", vocabularySize, hiddenSize)]
        for layer in 0..<layerCount { tensors += layerTensors("model.layers.\(layer).") }
        tensors.append(("model.norm.weight", 1, hiddenSize))
        if !tieWordEmbeddings { tensors.append(("lm_head.weight", vocabularySize, hiddenSize)) }
        return tensors
    }

    private func layerTensors(_ prefix: String) -> [(String, Int, Int)] {
        let (queries, keys) = (headCount * headDim, kvHeadCount * headDim)
        let attention = prefix + "self_attn."
        var tensors = [(prefix + "input_layernorm.weight", 1, hiddenSize)]
        for (name, rows) in [("q_proj", queries), ("k_proj", keys), ("v_proj", keys)] {
            tensors.append((attention + name + ".weight", rows, hiddenSize))
            if attentionBias { tensors.append((attention + name + ".bias", 1, rows)) }
        }
        if queryKeyNorm {
            tensors.append((attention + "q_norm.weight", 1, headDim))
            tensors.append((attention + "k_norm.weight", 1, headDim))
        }
        return tensors + [
            (attention + "o_proj.weight", hiddenSize, queries),
            (prefix + "post_attention_layernorm.weight", 1, hiddenSize),
            (prefix + "mlp.gate_proj.weight", intermediateSize, hiddenSize),
            (prefix + "mlp.up_proj.weight", intermediateSize, hiddenSize),
            (prefix + "mlp.down_proj.weight", hiddenSize, intermediateSize),
        ]
    }
}

/// Rule 33: the tensors that the configuration demands are there, in the right shape, and a head
/// only where the embedding is not the head. Further tensors may be present and are ignored.
func checkTensorSet(
    _ tensors: [TensorRecord], index: [String: Int], config: ModelConfig, directory: Range<Int>
) throws(Violation) {
    // Cheap bound first: a damaged layer count must not build a list of millions of names.
    guard config.layerCount <= tensors.count else {
        throw Violation(
            .tensorSet, at: directory.lowerBound, found: "\(tensors.count) tensors",
            expected: "those of \(config.layerCount) layers")
    }
    for (name, rows, columns) in config.requiredTensors {
        guard let position = index[name] else {
            throw Violation(
                .tensorSet, at: directory.lowerBound, tensor: name, found: "no such tensor",
                expected: "[\(rows), \(columns)]")
        }
        let tensor = tensors[position]
        let offset = directory.lowerBound + position * TensorDirectory.recordBytes
        guard tensor.rows == rows, tensor.columns == columns else {
            throw Violation(
                .tensorSet, at: offset + 8, tensor: name,
                found: "[\(tensor.rows), \(tensor.columns)]", expected: "[\(rows), \(columns)]")
        }
        // Norms and biases are used as they are, whatever the model's size.
        guard tensor.encoding == .f32 || !isVector(name) else {
            throw Violation(
                .tensorSet, at: offset + 24, tensor: name, found: tensor.encoding, expected: "f32")
        }
    }
    if config.tieWordEmbeddings, let position = index["lm_head.weight"] {
        throw Violation(
            .tensorSet, at: directory.lowerBound + position * TensorDirectory.recordBytes,
            tensor: "lm_head.weight", found: "a head", expected: "none: the embedding is the head")
    }
}

/// Whether `name` is a norm's weight or a bias.
private func isVector(_ name: String) -> Bool {
    name.hasSuffix("norm.weight") || name.hasSuffix(".bias")
}
