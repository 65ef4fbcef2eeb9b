internal import Reporting
internal import WeightFile

/// config.json as a model configuration.
struct HuggingFaceConfig {
    /// The whole file.
    let root: Settings
    /// The decoder's settings: the root, or `text_config` of a multimodal model.
    let text: Settings
    private let modelType: String
    /// A key of `families`, or the model type itself.
    private let family: String

    /// What distinguishes the blocks of the model types that run.
    private struct Family {
        /// q, k and v have biases whatever the settings say.
        var bias = false
        var queryKeyNorm = false
        var window = Window.never
    }

    /// When `sliding_window` counts in transformers.
    private enum Window { case never, always, ifUsed }

    private static let families: [String: Family] = [
        "llama": .init(), "smollm2": .init(), "stable_diffcoder": .init(),
        "mistral": .init(window: .always), "ministral3": .init(window: .always),
        "nemotron_labs_diffusion": .init(window: .always),
        "qwen2": .init(bias: true, window: .ifUsed),
        "fast_dllm_v2": .init(bias: true, window: .ifUsed),
        "qwen3": .init(queryKeyNorm: true, window: .ifUsed),
        "sdar": .init(queryKeyNorm: true, window: .ifUsed),
    ]

    init(_ root: Settings) throws(ImportError) {
        self.root = root
        text = try root.object("text_config") ?? root
        let (inner, outer) = (try text.string("model_type"), try root.string("model_type"))
        modelType = inner ?? outer ?? ""
        family = try Self.family(modelType, root)
    }

    func modelConfig() throws(ImportError) -> ModelConfig {
        guard let traits = Self.families[family] else {
            throw .unsupported(
                path: root.path, what: "model_type '\(modelType.printable)'",
                advice: "choose a Llama, Mistral, Ministral 3, Qwen2, Qwen3 or SBD model")
        }
        try refuseOtherBlocks()
        var config = ModelConfig()
        config.modelType = modelType.lowercased().prefixed(31)
        config.hiddenSize = try size("hidden_size")
        config.intermediateSize = try size("intermediate_size")
        config.layerCount = try size("num_hidden_layers")
        config.headCount = try size("num_attention_heads")
        config.kvHeadCount = try text.size("num_key_value_heads") ?? config.headCount
        config.headDim = try text.size("head_dim") ?? config.hiddenSize / config.headCount
        config.vocabularySize = try size("vocab_size")
        let trainedLength = try size("max_position_embeddings")
        let window = try slidingWindow(traits.window, layers: config.layerCount)
        // Full attention equals windowed attention up to the window.
        config.maxPositions = min(trainedLength, window ?? trainedLength)
        try config.checkShape(path: root.path)
        config.rmsNormEps = Float(
            try text.double("rms_norm_eps") ?? (family == "ministral3" ? 1e-5 : 1e-6))
        let biases = try text.bool("attention_bias") ?? false
        config.attentionBias = traits.bias || biases
        config.queryKeyNorm = traits.queryKeyNorm
        // transformers has a stretched table of its own for a Ministral 3 that names none.
        if family == "ministral3",
            ["rope_parameters", "rope_scaling", "rope_theta"].allSatisfy({ text.value($0) == nil })
        {
            throw .missingSetting(path: root.path, name: "rope_parameters")
        }
        try HuggingFaceRope(text, trainedLength: trainedLength).set(in: &config)
        config.blockDecoding = try blockDecoding()
        return config
    }

    /// Whether the decoder is all of the model: no `text_config` beside other parts, and no class of which
    /// only the decoder is known.
    var isWholeModel: Bool { text === root && family != "nemotron_labs_diffusion" }

    /// `tie_word_embeddings`, nil where the file does not say.
    func tied() throws(ImportError) -> Bool? {
        let (inner, outer) = (
            try text.bool("tie_word_embeddings"), try root.bool("tie_word_embeddings")
        )
        return inner ?? outer
    }

    /// Ids of `eos_token_id`, of the decoder's settings and of the whole model's.
    func endTokens() throws(ImportError) -> [Int] {
        let ids = try text.tokenIDs("eos_token_id")
        return text === root ? ids : ids + (try root.tokenIDs("eos_token_id"))
    }

    // MARK: Family

    /// Block-diffusion checkpoints go by several names, and some only by the name of their class.
    private static func family(_ modelType: String, _ root: Settings) throws(ImportError) -> String
    {
        let classes = (try root.array("architectures") ?? []).compactMap {
            $0.string?.lowercased()
        }
        if classes.contains(where: { $0.hasPrefix("stablediffcoder") }) {
            return "stable_diffcoder"
        }
        let type = String(modelType.lowercased().map { $0 == "-" ? "_" : $0 })
        if type.hasPrefix("nemotron_labs_diffusion") { return "nemotron_labs_diffusion" }
        if type.hasPrefix("fast_dllm") { return "fast_dllm_v2" }
        if type.contains("diffcoder") { return "stable_diffcoder" }
        return type
    }

    // MARK: Blocks

    /// Settings of blocks that compute something else, each with the number that changes nothing.
    private static let otherBlocks: [(name: String, neutral: Double?)] = [
        ("attention_multiplier", nil), ("attn_logit_softcapping", nil), ("clip_qkv", nil),
        ("embedding_multiplier", 1), ("final_logit_softcapping", nil), ("logit_scale", 1),
        ("logits_scaling", 1), ("mlp_bias", nil), ("no_rope_layers", nil), ("num_experts", 0),
        ("num_local_experts", 0), ("partial_rotary_factor", 1), ("qk_layernorm", nil),
        ("query_pre_attn_scalar", nil), ("residual_multiplier", 1), ("rope_interleave", nil),
        ("rope_interleaved", nil), ("use_qk_norm", nil),
    ]

    /// Settings that change what a block computes.
    private func refuseOtherBlocks() throws(ImportError) {
        if let act = try text.string("hidden_act"), act != "silu", act != "swish" {
            throw text.unsupported("hidden_act")
        }
        for (name, neutral) in Self.otherBlocks {
            guard let value = text.value(name) else { continue }
            let isNeutral =
                value.bool == false || neutral.map { value.double == $0 } == true
                || value.array?.isEmpty == true
            guard isNeutral else { throw text.unsupported(name) }
        }
        for layer in try text.array("layer_types") ?? []
        where !["full_attention", "sliding_attention"].contains(layer.string) {
            throw text.wrong("layer_types", "'full_attention' or 'sliding_attention' in each place")
        }
        for place in [root, text] {
            guard let quantization = try place.object("quantization_config") else { continue }
            let method = try quantization.string("quant_method") ?? "unknown method"
            throw .unsupported(
                path: root.path,
                what: "a checkpoint that is quantized already (\(method.printable))",
                advice: "choose the one in BF16, F16 or F32, or a GGUF file")
        }
    }

    /// Positions that a layer sees back, where some layers see only so many.
    private func slidingWindow(_ rule: Window, layers: Int) throws(ImportError) -> Int? {
        let window = try text.size("sliding_window")
        switch rule {
        case .never: return nil
        // Mistral's window in transformers, where the file names none.
        case .always:
            return family == "mistral" && !text.has("sliding_window") ? 4096 : window
        case .ifUsed:
            guard try text.bool("use_sliding_window") == true else { return nil }
            if let types = try text.array("layer_types") {
                let slides = types.contains { $0.string == "sliding_attention" }
                return slides ? window ?? 4096 : nil
            }
            let full = try text.int("max_window_layers") ?? 28
            return full < layers ? window ?? (text.has("sliding_window") ? nil : 4096) : nil
        }
    }

    // MARK: Block decoding

    /// From the trainer's own `sbd` object, from the checkpoint's settings, or from what its family
    /// is known to use.
    private func blockDecoding() throws(ImportError) -> ModelConfig.BlockDecoding? {
        if let sbd = try root.object("sbd") {
            return .init(
                maskToken: try sbd.required("mask_token_id", try sbd.int("mask_token_id")),
                blockSize: try sbd.int("block_size") ?? 16)
        }
        let mask = try Self.first(["mask_token_id"], of: [root, text])
        let block = try Self.first(["block_size", "bd_size"], of: [root, text])
        switch family {
        case "nemotron_labs_diffusion":
            return .init(
                maskToken: mask ?? 100, blockSize: block ?? 32, confidenceThreshold: 0.9)
        case "fast_dllm_v2":
            return .init(
                maskToken: mask ?? 151_665, blockSize: block ?? 32,
                subBlockSize: min(8, block ?? 32), shiftedLogits: true, bidirectionalCommit: true,
                confidenceThreshold: 0.9)
        case "sdar":
            return .init(
                maskToken: mask ?? 151_669, blockSize: block ?? 4, bidirectionalCommit: true,
                confidenceThreshold: 0.9)
        case "stable_diffcoder":
            return .init(
                maskToken: mask ?? 5, blockSize: block ?? 4, bidirectionalCommit: true,
                confidenceThreshold: 0.95)
        default: return nil
        }
    }

    /// The first of these numbers that is there.
    private static func first(
        _ names: [String], of places: [Settings]
    ) throws(ImportError) -> Int? {
        for place in places {
            for name in names {
                if let value = try place.int(name) { return value }
            }
        }
        return nil
    }

    private func size(_ name: String) throws(ImportError) -> Int {
        try text.required(name, try text.size(name))
    }
}

extension Settings {
    /// One id or a list of ids; none where the member is missing.
    func tokenIDs(_ name: String) throws(ImportError) -> [Int] {
        guard let value = value(name) else { return [] }
        let ids = (value.array ?? [value]).map(\.int)
        let whole = ids.compactMap { $0 }
        guard whole.count == ids.count else {
            throw wrong(name, "a whole number, or a list of such")
        }
        return whole
    }
}
