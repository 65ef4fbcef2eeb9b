internal import Reporting
internal import WeightFile

/// config.json as a model configuration.
struct HuggingFaceConfig {
    private let path: String
    private let root: JSONValue
    /// The decoder's settings: the root, or `text_config` of a multimodal model.
    private let json: JSONValue

    init(path: String, json: JSONValue) {
        self.path = path
        root = json
        self.json = json["text_config"] ?? json
    }

    /// Model types that run as they are, and what their blocks have.
    private static let modelTypes: [String: (bias: Bool, queryKeyNorm: Bool)] = [
        "llama": (false, false), "mistral": (false, false), "ministral3": (false, false),
        "smollm2": (false, false), "qwen2": (true, false), "qwen3": (false, true),
        "nemotron_labs_diffusion": (false, false), "fast_dllm_qwen": (true, false),
        "fast_dllm_v2": (true, false), "sdar": (false, true), "stable_diffcoder": (false, false),
    ]

    func modelConfig() throws(ImportError) -> ModelConfig {
        let type = (json["model_type"]?.string ?? root["model_type"]?.string ?? "").lowercased()
        let family = Self.family(type)
        guard let traits = Self.modelTypes[family] else {
            throw .unsupported(
                path: path, what: "model_type '\(type)'",
                advice: "choose a Llama, Mistral, Ministral 3, Qwen2, Qwen3 or SBD model")
        }
        if let act = json["hidden_act"]?.string, act != "silu" {
            throw .unsupported(path: path, what: "hidden_act '\(act)'", advice: "choose another")
        }
        if json["mlp_bias"]?.bool == true {
            throw .unsupported(path: path, what: "mlp_bias", advice: "choose another model")
        }
        var config = ModelConfig()
        config.modelType = type.prefixed(31)
        config.hiddenSize = try size("hidden_size")
        config.intermediateSize = try size("intermediate_size")
        config.layerCount = try size("num_hidden_layers")
        config.headCount = try size("num_attention_heads")
        config.kvHeadCount = try optionalSize("num_key_value_heads") ?? config.headCount
        config.headDim =
            try optionalSize("head_dim") ?? config.hiddenSize / config.headCount
        config.vocabularySize = try size("vocab_size")
        config.maxPositions = try size("max_position_embeddings")
        config.rmsNormEps = Float(json["rms_norm_eps"]?.double ?? 1e-6)
        config.attentionBias = traits.bias || json["attention_bias"]?.bool == true
        config.queryKeyNorm = traits.queryKeyNorm
        try setRope(&config)
        config.blockDecoding = blockDecoding(family, config)
        return config
    }

    private static func family(_ type: String) -> String {
        let known = type.replacingDashes()
        if known.hasPrefix("nemotron_labs") || known.contains("nemotron_diffusion") {
            return "nemotron_labs_diffusion"
        }
        if known.hasPrefix("fast_dllm") { return "fast_dllm_v2" }
        if known.hasPrefix("sdar") { return "sdar" }
        if known.contains("diffcoder") { return "stable_diffcoder" }
        return known
    }

    // MARK: RoPE

    private func setRope(_ config: inout ModelConfig) throws(ImportError) {
        let scaling = json["rope_parameters"] ?? json["rope_scaling"]
        let theta = scaling?["rope_theta"]?.double ?? json["rope_theta"]?.double ?? 10_000
        guard theta > 1, theta.isFinite, config.headDim % 2 == 0 else {
            throw .missingSetting(path: path, name: "rope_theta")
        }
        func number(_ name: String) throws(ImportError) -> Double {
            guard let value = scaling?[name]?.double, value > 0, value.isFinite else {
                throw .missingSetting(path: path, name: "rope_scaling.\(name)")
            }
            return value
        }
        func original() -> Double {
            scaling?["original_max_position_embeddings"]?.double
                ?? json["original_max_position_embeddings"]?.double
                ?? Double(config.maxPositions)
        }
        var rope = RopeScaling.none
        switch scaling?["rope_type"]?.string ?? scaling?["type"]?.string ?? "default" {
        case "default": break
        case "linear": rope = .linear(factor: try number("factor"))
        case "llama3":
            rope = .llama3(
                factor: try number("factor"), low: try number("low_freq_factor"),
                high: try number("high_freq_factor"), original: original())
        case "yarn":
            let factor = try number("factor")
            rope = .yarn(
                factor: factor, betaFast: scaling?["beta_fast"]?.double ?? 32,
                betaSlow: scaling?["beta_slow"]?.double ?? 1, original: original(),
                truncate: scaling?["truncate"]?.bool ?? true)
            config.ropeAttentionFactor = Float(attentionFactor(scaling, factor: factor))
        case let other:
            throw .unsupported(
                path: path, what: "RoPE scaling '\(other)'",
                advice: "choose a model with llama3, linear, YaRN or no scaling")
        }
        config.ropeInverseFrequencies = rope.inverseFrequencies(
            theta: theta, headDim: config.headDim)
        let beta = scaling?["llama_4_scaling_beta"]?.double ?? json["llama_4_scaling_beta"]?.double
        if let beta, beta > 0 {
            config.queryScaling = .init(
                beta: Float(beta), originalMaxPositions: max(1, Int(original())))
        }
    }

    private func attentionFactor(_ scaling: JSONValue?, factor: Double) -> Double {
        if let given = scaling?["attention_factor"]?.double { return given }
        let mscale = scaling?["mscale"]?.double ?? 0
        let mscaleAll = scaling?["mscale_all_dim"]?.double ?? 0
        if mscale != 0, mscaleAll != 0 {
            return RopeScaling.yarnScale(factor: factor, mscale)
                / RopeScaling.yarnScale(factor: factor, mscaleAll)
        }
        return RopeScaling.yarnScale(factor: factor)
    }

    // MARK: Block decoding

    /// From the trainer's own `sbd` object, from the checkpoint's settings, or from what its family
    /// is known to use.
    private func blockDecoding(_ family: String, _ config: ModelConfig) -> ModelConfig
        .BlockDecoding?
    {
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
                maskToken: mask ?? 151_665, blockSize: block ?? 32, shiftedLogits: true,
                confidenceThreshold: 0.9)
        case "sdar":
            return .init(
                maskToken: mask ?? 151_669, blockSize: block ?? 4, bidirectionalCommit: true,
                confidenceThreshold: 0.9)
        case "stable_diffcoder":
            return mask.map {
                .init(
                    maskToken: $0, blockSize: block ?? 4, bidirectionalCommit: true,
                    confidenceThreshold: 0.9)
            }
        default:
            return nil
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
        guard let value = json[name], !value.isNull else { return nil }
        guard let size = value.int, size > 0, size <= 1 << 30 else {
            throw .missingSetting(path: path, name: name)
        }
        return size
    }
}

extension String {
    func replacingDashes() -> String { String(map { $0 == "-" ? "_" : $0 }) }
}
