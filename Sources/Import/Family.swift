internal import TesseraWeightFile

/// The properties that all models of a family share, in every file format: a family is a mapping of
/// names and numbers.
struct Family {
    var norms = LayerSpec.Norms.before
    var queryKeyNorm = LayerSpec.QueryKeyNorm.none
    var activation = LayerSpec.Activation.silu
    /// q, k and v have biases whatever the settings say.
    var hasBias = false
    /// llama.cpp's converter puts the rows of q and k in interleaved order.
    var isInterleaved = false
    /// Norms multiply by 1 + w; GGUF files have it folded.
    var addsOneToNorms = false
    /// Embeddings are multiplied by the root of their width.
    var scalesEmbedding = false
    /// q, k and v are one matrix, gate and up another.
    var isFused = false
    /// Rotary base where the settings name none.
    var theta: Double = 10_000
    /// Sliding layers have a rotary table of their own, never stretched;
    var hasSlidingRope = false
    /// its base, where the settings name none; nil: that of the other layers.
    var slidingTheta: Double?
    /// Only a part of each head may be rotated.
    var rotatesParts = false
    /// Long contexts may have a rotary table of their own.
    var hasLongRope = false
    /// Which layers see a window, where the settings do not list them.
    var window = Window.none
    /// Epsilon of the norms where the settings name none.
    var eps = 1e-6
    /// Sizes of config.json that may be left out.
    var usualSizes: [String: Int] = [:]
    /// Names of settings in config.json that most families cannot follow, and that this one does.
    var settings: Set<String> = []

    /// Which layers see only the newest positions.
    enum Window: Equatable {
        /// No layer, whatever the settings name.
        case none
        /// All layers; `usual` positions where the settings name no window.
        case all(usual: Int? = nil)
        /// The layers that the settings name, if they say that the window is used (Qwen).
        case ifUsed
        /// Each layer whose number, from 1, is not a multiple of this.
        case allButEvery(Int)
    }

    /// By `model_type` of config.json, with `_` for `-`.
    static let huggingFace: [String: Family] = [
        "llama": .init(), "smollm2": .init(), "stable_diffcoder": .init(),
        "mistral": .init(window: .all(usual: 4096)),
        "ministral3": .init(window: .all(), eps: 1e-5),
        "nemotron_labs_diffusion": .init(window: .all()),
        "qwen2": qwen2, "fast_dllm_v2": qwen2, "qwen3": qwen3, "sdar": qwen3,
        "gemma3_text": gemma3, "gemma3": gemma3, "smollm3": smollm3, "granite": granite,
        "olmo3": olmo3, "phi3": phi3,
    ]

    /// By `general.architecture` of a GGUF file.
    static let gguf: [String: Family] = [
        "llama": .init(isInterleaved: true, window: .all()),
        "mistral3": .init(isInterleaved: true, window: .all()),
        "qwen2": .init(hasBias: true, window: .all()),
        "qwen3": .init(queryKeyNorm: .perHead, window: .all()),
        "gemma3": gemma3, "smollm3": smollm3, "granite": granite, "olmo2": olmo3, "phi3": phi3,
    ]

    private static let qwen2 = Family(hasBias: true, window: .ifUsed)
    private static let qwen3 = Family(queryKeyNorm: .perHead, window: .ifUsed)

    private static let gemma3 = Family(
        norms: .both, queryKeyNorm: .perHead, activation: .geluTanh, addsOneToNorms: true,
        scalesEmbedding: true, theta: 1_000_000, hasSlidingRope: true, slidingTheta: 10_000,
        window: .allButEvery(6),
        usualSizes: [
            "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
            "vocab_size": 262_208, "max_position_embeddings": 131_072,
        ],
        settings: ["query_pre_attn_scalar", "rope_local_base_freq", "sliding_window_pattern"])
    private static let smollm3 = Family(
        isInterleaved: true, theta: 2_000_000, window: .ifUsed,
        settings: ["no_rope_layers", "no_rope_layer_interval"])
    private static let granite = Family(
        isInterleaved: true,
        settings: [
            "attention_multiplier", "embedding_multiplier", "logits_scaling", "residual_multiplier",
        ])
    private static let olmo3 = Family(
        norms: .after, queryKeyNorm: .wholeProjection, theta: 500_000, hasSlidingRope: true,
        window: .allButEvery(4), eps: 1e-5)
    private static let phi3 = Family(
        isFused: true, rotatesParts: true, hasLongRope: true, window: .all(), eps: 1e-5,
        settings: ["partial_rotary_factor"])

    /// Positions turn nothing in some layers (SmolLM3).
    var skipsRotation: Bool { settings.contains("no_rope_layers") }
    /// Embeddings, sums, attention and logits have factors (Granite).
    var hasMultipliers: Bool { settings.contains("residual_multiplier") }

    /// Families that run, for advice.
    static let known =
        "Llama, Mistral, Qwen2, Qwen3, Gemma 3, SmolLM3, Granite, OLMo 3, Phi 4 mini or SBD"
}

/// The properties that differ from layer to layer, collected before layers are made.
struct LayerPlan {
    /// The properties that all layers share.
    var spec = LayerSpec()
    /// Positions that a query of sliding layers sees.
    var window = 0
    /// By layer.
    var isSliding: [Bool]
    /// By layer: false where positions turn nothing.
    var isRotated: [Bool]
    /// One table, or two where long contexts have one of their own.
    var rotary: [RotaryTable] = []
    /// The rotary table of sliding layers, where they have another one.
    var slidingRotary: RotaryTable?

    init(layers: Int) {
        isSliding = Array(repeating: false, count: layers)
        isRotated = Array(repeating: true, count: layers)
    }

    /// Makes the layers and rotary tables of `config`, whose sizes are known.
    func apply(to config: inout ModelConfig) {
        var tables = rotary
        func index(of table: RotaryTable) -> Int {
            if let found = tables.firstIndex(of: table), table.longestContext == 0 { return found }
            tables.append(table)
            return tables.count - 1
        }
        let idle = RotaryTable(Array(repeating: 0, count: config.headDim / 2))
        config.layers = isSliding.indices.map { layer in
            var spec = spec
            // A window of all positions is none.
            if isSliding[layer], window < config.maxPositions { spec.window = window }
            if isSliding[layer], let slidingRotary { spec.rotary = index(of: slidingRotary) }
            if !isRotated[layer] { spec.rotary = index(of: idle) }
            return spec
        }
        config.rotaryTables = tables
    }
}

extension ModelConfig {
    /// 1 / sqrt(headDim), the usual factor on products of queries and keys.
    var usualAttentionScale: Float { 1 / Float(headDim).squareRoot() }

    /// The residual stream is divided by the factor of the layers' sums: norms then see the same values.
    mutating func fold(residualMultiplier: Double) {
        precondition(layers.allSatisfy { $0.queryKeyNorm == .none && $0.norms == .before })
        embeddingScale = Float(Double(embeddingScale) / residualMultiplier)
        rmsNormEps = Float(Double(rmsNormEps) / (residualMultiplier * residualMultiplier))
    }
}
