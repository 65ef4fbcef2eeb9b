/// The role of a tensor in a model, and everything that follows from it: the only list of a decoder's tensors.
/// Formats/TSR.md §8.3.
public enum TensorRole: CaseIterable, Hashable, Sendable {
    case embedding
    case attentionNorm, query, queryBias, key, keyBias, value, valueBias, queryNorm, keyNorm
    case attentionOutput, attentionOutputNorm
    case mlpNorm, gate, up, down, mlpOutputNorm
    case finalNorm, head
    /// Tensors of a block drafter: those that turn the target's residual streams into context, the factors of the
    /// logits that the previous token adds, and the head that tells chances.
    case fusion, fusionNorm, previousToken, nextToken, confidence, confidenceBias

    /// The multiplications of a pass, in order; those before `head` once per layer.
    public enum Product: CaseIterable, Hashable, Sendable {
        case queryKeyValue, attentionOutput, gateUp, down, head
    }

    /// The multiplication that the matrix takes part in; nil for vectors, for embeddings, and for matrices that a
    /// drafter has outside its layers.
    public var product: Product? {
        switch self {
        case .query, .key, .value: .queryKeyValue
        case .attentionOutput: .attentionOutput
        case .gate, .up: .gateUp
        case .down: .down
        case .head: .head
        default: nil
        }
    }

    /// Whether it is one row, which is used as it is for every size of model.
    public var isVector: Bool {
        switch self {
        case .embedding, .fusion, .previousToken, .nextToken: false
        default: product == nil
        }
    }

    public var isBias: Bool {
        switch self {
        case .queryBias, .keyBias, .valueBias, .confidence, .confidenceBias: true
        default: false
        }
    }

    public var isNorm: Bool { isVector && !isBias }

    /// What a relative squared error costs, in units of a gate projection's, when nothing is known of
    /// what the matrix multiplies. Divergence from the exact model grows in proportion to each matrix's
    /// relative squared error, whatever its size (arXiv 2411.17525); the factors are geometric means of
    /// what noise did to two trained models, SmolLM2-135M and one of 5 million weights, summed over layers.
    public var importance: Double {
        switch self {
        case .query, .key, .embedding: 2
        case .value: 3
        case .up: 1.5
        case .down: 4
        // Logits are its direct product.
        case .head: 50
        default: 1
        }
    }

    /// GGUF's name, in a layer without `blk.N.`.
    public var ggufName: String {
        switch self {
        case .embedding: "token_embd.weight"
        case .attentionNorm: "attn_norm.weight"
        case .query: "attn_q.weight"
        case .queryBias: "attn_q.bias"
        case .key: "attn_k.weight"
        case .keyBias: "attn_k.bias"
        case .value: "attn_v.weight"
        case .valueBias: "attn_v.bias"
        case .queryNorm: "attn_q_norm.weight"
        case .keyNorm: "attn_k_norm.weight"
        case .attentionOutput: "attn_output.weight"
        case .attentionOutputNorm: "post_attention_norm.weight"
        case .mlpNorm: "ffn_norm.weight"
        case .gate: "ffn_gate.weight"
        case .up: "ffn_up.weight"
        case .down: "ffn_down.weight"
        case .mlpOutputNorm: "post_ffw_norm.weight"
        case .finalNorm: "output_norm.weight"
        case .head: "output.weight"
        case .fusion: "fc.weight"
        case .fusionNorm: "hidden_norm.weight"
        case .previousToken: "markov_w1.weight"
        case .nextToken: "markov_w2.weight"
        case .confidence: "confidence.weight"
        case .confidenceBias: "confidence.bias"
        }
    }

    /// Hugging Face's name, in a layer without `model.layers.N.`.
    ///
    /// - Parameter norms: Norms of the layer: with four norms the one before the MLP has another name.
    func name(_ norms: LayerSpec.Norms) -> String {
        switch self {
        case .embedding: "model.embed_tokens.weight"
        case .attentionNorm: "input_layernorm.weight"
        case .query: "self_attn.q_proj.weight"
        case .queryBias: "self_attn.q_proj.bias"
        case .key: "self_attn.k_proj.weight"
        case .keyBias: "self_attn.k_proj.bias"
        case .value: "self_attn.v_proj.weight"
        case .valueBias: "self_attn.v_proj.bias"
        case .queryNorm: "self_attn.q_norm.weight"
        case .keyNorm: "self_attn.k_norm.weight"
        case .attentionOutput: "self_attn.o_proj.weight"
        case .attentionOutputNorm: "post_attention_layernorm.weight"
        case .mlpNorm:
            norms == .both ? "pre_feedforward_layernorm.weight" : "post_attention_layernorm.weight"
        case .gate: "mlp.gate_proj.weight"
        case .up: "mlp.up_proj.weight"
        case .down: "mlp.down_proj.weight"
        case .mlpOutputNorm: "post_feedforward_layernorm.weight"
        case .finalNorm: "model.norm.weight"
        case .head: "lm_head.weight"
        case .fusion: "fc.weight"
        case .fusionNorm: "hidden_norm.weight"
        case .previousToken: "markov_head.markov_w1.weight"
        case .nextToken: "markov_head.markov_w2.weight"
        case .confidence: "confidence_head.proj.weight"
        case .confidenceBias: "confidence_head.proj.bias"
        }
    }
}

/// A tensor that a model of some configuration consists of.
public struct ModelTensor: Hashable, Sendable {
    /// Hugging Face's.
    public let name: String
    /// 1 for a vector.
    public let rows: Int
    public let columns: Int
    public let role: TensorRole
    /// Nil outside the layers.
    public let layer: Int?

    /// GGUF's name.
    public var ggufName: String { (layer.map { "blk.\($0)." } ?? "") + role.ggufName }
}

extension ModelConfig {
    /// Each tensor the model needs, in execution order.
    ///
    /// Biases follow their matrices; the head is absent where the embedding serves as head. A drafter has no embedding.
    public var tensors: [ModelTensor] {
        let begin: [TensorRole] = drafter == nil ? [.embedding] : [.fusion, .fusionNorm]
        var tensors = begin.map { tensor($0) }
        for layer in layers.indices { tensors += self.tensors(ofLayer: layer) }
        tensors.append(tensor(.finalNorm))
        if !tieWordEmbeddings { tensors.append(tensor(.head)) }
        guard let drafter else { return tensors }
        if drafter.markovRank > 0 { tensors += [tensor(.previousToken), tensor(.nextToken)] }
        if drafter.confidence != .none {
            tensors += [tensor(.confidence), tensor(.confidenceBias)]
        }
        return tensors
    }

    /// The tensors of one layer.
    public func tensors(ofLayer index: Int) -> [ModelTensor] {
        let layer = layers[index]
        return TensorRole.allCases.compactMap { role in
            let isThere =
                switch role {
                case .embedding, .finalNorm, .head, .fusion, .fusionNorm, .previousToken,
                    .nextToken,
                    .confidence, .confidenceBias:
                    false
                case .queryBias, .keyBias, .valueBias: layer.attentionBias
                case .queryNorm, .keyNorm: layer.queryKeyNorm != .none
                case .attentionNorm, .mlpNorm: layer.norms.standBefore
                case .attentionOutputNorm, .mlpOutputNorm: layer.norms.standAfter
                default: true
                }
            return isThere ? tensor(role, layer: index) : nil
        }
    }

    /// Name of the matrix that gives logits.
    public var headName: String { tensor(tieWordEmbeddings ? .embedding : .head).name }

    public func tensor(_ role: TensorRole, layer index: Int? = nil) -> ModelTensor {
        let spec = index.map { layers[$0] }
        let (rows, columns) = shape(of: role, in: spec)
        let prefix = index.map { "model.layers.\($0)." } ?? ""
        return ModelTensor(
            name: prefix + role.name(spec?.norms ?? .before), rows: rows, columns: columns,
            role: role, layer: index)
    }

    private func shape(of role: TensorRole, in layer: LayerSpec?) -> (rows: Int, columns: Int) {
        let (queries, keys) = (headCount * headDim, kvHeadCount * headDim)
        let isWhole = layer?.queryKeyNorm == .wholeProjection
        return switch role {
        case .embedding: (vocabularySize, hiddenSize)
        case .head: (headRows, hiddenSize)
        case .fusion: (hiddenSize, hiddenSize * (drafter?.taps.count ?? 0))
        case .previousToken: (vocabularySize, drafter?.markovRank ?? 0)
        case .nextToken: (headRows, drafter?.markovRank ?? 0)
        case .confidence: (1, confidenceInputs)
        case .confidenceBias: (1, 1)
        case .query: (queries, hiddenSize)
        case .queryBias: (1, queries)
        case .key, .value: (keys, hiddenSize)
        case .keyBias, .valueBias: (1, keys)
        case .queryNorm: (1, isWhole ? queries : headDim)
        case .keyNorm: (1, isWhole ? keys : headDim)
        case .attentionOutput: (hiddenSize, queries)
        case .gate, .up: (intermediateSize, hiddenSize)
        case .down: (hiddenSize, intermediateSize)
        case .attentionNorm, .attentionOutputNorm, .mlpNorm, .mlpOutputNorm, .finalNorm,
            .fusionNorm:
            (1, hiddenSize)
        }
    }
}

extension TensorRole {
    /// The entry of the matrix with this name, in any layer; nil for vectors and for tensors that no model needs.
    public init?(matrix name: String) {
        var rest = name[...]
        if name.hasPrefix("model.layers.") {
            rest = rest.dropFirst("model.layers.".count).drop { $0 != "." }.dropFirst()
        }
        let role = Self.allCases.first { !$0.isVector && $0.name(.before) == rest }
        guard let role else { return nil }
        self = role
    }
}
