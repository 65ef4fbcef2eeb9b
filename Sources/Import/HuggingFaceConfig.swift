internal import Reporting
internal import WeightFile

/// config.json as a model configuration.
struct HuggingFaceConfig {
    let path: String
    /// The whole file.
    let root: JSONValue
    /// The decoder's settings: the root, or `text_config` of a multimodal model.
    let json: JSONValue

    init(path: String, json: JSONValue) {
        self.path = path
        root = json
        self.json = json.present("text_config") ?? json
    }

    /// Model types that run, and what their blocks have.
    private static let modelTypes: [String: (bias: Bool, queryKeyNorm: Bool)] = [
        "llama": (false, false), "mistral": (false, false), "ministral3": (false, false),
        "smollm2": (false, false), "qwen2": (true, false), "qwen3": (false, true),
        "nemotron_labs_diffusion": (false, false), "fast_dllm_v2": (true, false),
        "sdar": (false, true), "stable_diffcoder": (false, false),
    ]

    func modelConfig() throws(ImportError) -> ModelConfig {
        let family = self.family
        guard let traits = Self.modelTypes[family] else {
            throw .unsupported(
                path: path, what: "model_type '\(modelType)'",
                advice: "choose a Llama, Mistral, Ministral 3, Qwen2, Qwen3 or SBD model")
        }
        try refuseOtherBlocks()
        var config = ModelConfig()
        config.modelType = modelType.prefixed(31)
        config.hiddenSize = try size("hidden_size")
        config.intermediateSize = try size("intermediate_size")
        config.layerCount = try size("num_hidden_layers")
        config.headCount = try size("num_attention_heads")
        config.kvHeadCount = try optionalSize("num_key_value_heads") ?? config.headCount
        config.headDim = try optionalSize("head_dim") ?? config.hiddenSize / config.headCount
        config.vocabularySize = try size("vocab_size")
        config.maxPositions = try size("max_position_embeddings")
        try config.checkShape(path: path)
        if let window = try slidingWindow() {
            // Full attention equals windowed attention up to the window.
            config.maxPositions = min(config.maxPositions, window)
        }
        config.rmsNormEps = Float(json["rms_norm_eps"]?.double ?? 1e-6)
        config.attentionBias = traits.bias || json["attention_bias"]?.bool == true
        config.queryKeyNorm = traits.queryKeyNorm
        try HuggingFaceRope(self).set(in: &config)
        config.blockDecoding = blockDecoding(family)
        return config
    }

    /// `tie_word_embeddings`, nil where the file does not say.
    var tied: Bool? { json["tie_word_embeddings"]?.bool ?? root["tie_word_embeddings"]?.bool }

    // MARK: Family

    private var modelType: String {
        (json["model_type"]?.string ?? root["model_type"]?.string ?? "").lowercased()
    }

    /// A key of `modelTypes`, or the model type itself. Block-diffusion checkpoints go by several
    /// names, and some only by the name of their class.
    private var family: String {
        let classes = (root["architectures"]?.array ?? []).compactMap { $0.string?.lowercased() }
        if classes.contains(where: { $0.hasPrefix("stablediffcoder") }) {
            return "stable_diffcoder"
        }
        let type = String(modelType.map { $0 == "-" ? "_" : $0 })
        if type.hasPrefix("nemotron_labs_diffusion") { return "nemotron_labs_diffusion" }
        if type.hasPrefix("fast_dllm") { return "fast_dllm_v2" }
        if type.contains("diffcoder") { return "stable_diffcoder" }
        return type
    }

    /// Settings that change what a block computes.
    private func refuseOtherBlocks() throws(ImportError) {
        if let act = json["hidden_act"]?.string, act != "silu" {
            throw unsupported("hidden_act '\(act)'")
        }
        if json["mlp_bias"]?.bool == true { throw unsupported("mlp_bias") }
        let rope = json.present("rope_parameters")
        let rotated = rope?["partial_rotary_factor"] ?? json["partial_rotary_factor"]
        if let part = rotated?.double, part != 1 {
            throw unsupported("rotating \(part) of each head (partial_rotary_factor)")
        }
        if let quantization = root.present("quantization_config")
            ?? json.present(
                "quantization_config")
        {
            let method = quantization["quant_method"]?.string ?? "unknown method"
            throw .unsupported(
                path: path, what: "a checkpoint that is quantized already (\(method))",
                advice: "choose the one in BF16, F16 or F32, or a GGUF file")
        }
    }

    private func unsupported(_ what: String) -> ImportError {
        .unsupported(path: path, what: what, advice: "choose another model")
    }

    /// Positions that a layer sees back, where some layers see only so many.
    private func slidingWindow() throws(ImportError) -> Int? {
        guard json["use_sliding_window"]?.bool != false else { return nil }
        return try optionalSize("sliding_window")
    }

    // MARK: Block decoding

    /// From the trainer's own `sbd` object, from the checkpoint's settings, or from what its family
    /// is known to use.
    private func blockDecoding(_ family: String) -> ModelConfig.BlockDecoding? {
        if let sbd = root["sbd"], let mask = sbd["mask_token_id"]?.int {
            return .init(maskToken: mask, blockSize: sbd["block_size"]?.int ?? 16)
        }
        let mask = root["mask_token_id"]?.int ?? json["mask_token_id"]?.int
        let block =
            root["block_size"]?.int ?? root["bd_size"]?.int ?? json["block_size"]?.int
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

    // MARK: Sampling

    /// generation_config.json: greedy unless it says do_sample.
    func setSampling(_ config: inout ModelConfig, _ generation: JSONValue?) {
        guard let generation, generation["do_sample"]?.bool == true else { return }
        config.sampling.temperature = Float(generation["temperature"]?.double ?? 1)
        config.sampling.topK = generation["top_k"]?.int ?? 0
        config.sampling.topP = Float(generation["top_p"]?.double ?? 1)
    }

    // MARK: Lookup

    private func size(_ name: String) throws(ImportError) -> Int {
        guard let value = try optionalSize(name) else {
            throw .missingSetting(path: path, name: name)
        }
        return value
    }

    private func optionalSize(_ name: String) throws(ImportError) -> Int? {
        guard let value = json.present(name) else { return nil }
        guard let size = value.int, size > 0, size <= 1 << 30 else {
            throw .missingSetting(path: path, name: name)
        }
        return size
    }
}

extension JSONValue {
    /// The member `name` of an object, unless it is null.
    func present(_ name: String) -> JSONValue? {
        guard let value = self[name], !value.isNull else { return nil }
        return value
    }
}
