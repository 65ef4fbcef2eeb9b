internal import WeightFile

/// A GGUF file's metadata as a model configuration.
struct GGUFSettings {
    private let gguf: GGUFFile
    private let architecture: String

    /// Architectures whose q and k rows llama.cpp's converter permutes.
    private static let permutedArchitectures: Set<String> = ["llama", "mistral3"]
    private static let architectures: Set<String> = ["llama", "qwen2", "qwen3", "mistral3"]

    init(_ gguf: GGUFFile) throws(ImportError) {
        self.gguf = gguf
        guard let architecture = gguf.string("general.architecture") else {
            throw .missingSetting(path: gguf.file.path, name: "general.architecture")
        }
        guard Self.architectures.contains(architecture) else {
            throw .unsupported(
                path: gguf.file.path, what: "architecture '\(architecture)'",
                advice: "choose a Llama, Qwen2, Qwen3 or Ministral 3 model")
        }
        self.architecture = architecture
        if let experts = gguf.integer(key("expert_count")), experts > 0 {
            throw .unsupported(
                path: gguf.file.path, what: "a mixture of \(experts) experts",
                advice: "choose a dense model")
        }
    }

    var permuted: Bool { Self.permutedArchitectures.contains(architecture) }

    func modelConfig() throws(ImportError) -> ModelConfig {
        var config = ModelConfig()
        config.name = (gguf.string("general.name") ?? "").prefixed(80)
        config.modelType = architecture
        config.hiddenSize = try size("embedding_length")
        config.intermediateSize = try size("feed_forward_length")
        config.layerCount = try size("block_count")
        config.headCount = try size("attention.head_count")
        config.kvHeadCount =
            try optionalSize("attention.head_count_kv") ?? config.headCount
        config.headDim =
            try optionalSize("attention.key_length") ?? config.hiddenSize / config.headCount
        config.maxPositions = try size("context_length")
        let embedding = gguf.tensors.first { $0.name == "token_embd.weight" }
        guard let embedding, embedding.shape.count == 2 else {
            throw .missingTensor(path: gguf.file.path, name: "token_embd.weight")
        }
        config.vocabularySize = embedding.shape[1]
        try config.checkShape(path: gguf.file.path)
        if let window = try optionalSize("attention.sliding_window") {
            // Full attention equals windowed attention up to the window.
            config.maxPositions = min(config.maxPositions, window)
        }
        guard let eps = gguf.double(key("attention.layer_norm_rms_epsilon")) else {
            throw missing("attention.layer_norm_rms_epsilon")
        }
        config.rmsNormEps = Float(eps)
        config.tieWordEmbeddings = !has("output.weight")
        config.attentionBias = has("blk.0.attn_q.bias")
        config.queryKeyNorm = has("blk.0.attn_q_norm.weight")
        try setRope(&config)
        return config
    }

    // MARK: RoPE

    private func setRope(_ config: inout ModelConfig) throws(ImportError) {
        if let rotated = gguf.integer(key("rope.dimension_count")), rotated != config.headDim {
            throw .unsupported(
                path: gguf.file.path, what: "rotating \(rotated) of \(config.headDim) dimensions",
                advice: "choose another model")
        }
        let theta = try positive("rope.freq_base") ?? 10_000
        let oldFactor = try positive("rope.scale_linear")
        let factor = try positive("rope.scaling.factor") ?? oldFactor ?? 1
        let original =
            try positive("rope.scaling.original_context_length") ?? Double(config.maxPositions)
        guard theta > 1 else { throw missing("rope.freq_base") }
        guard (1...0x1p30).contains(original) else {
            throw missing("rope.scaling.original_context_length")
        }
        let kind = gguf.string(key("rope.scaling.type")) ?? (factor == 1 ? "none" : "linear")
        var scaling = RopeScaling.none
        switch kind {
        case "none": break
        case "linear": scaling = .linear(factor: factor)
        case "yarn":
            scaling = .yarn(
                factor: factor, betaFast: try positive("rope.scaling.yarn_beta_fast") ?? 32,
                betaSlow: try positive("rope.scaling.yarn_beta_slow") ?? 1,
                original: original, truncate: true)
            config.ropeAttentionFactor = Float(try attentionFactor(factor))
        default:
            throw .unsupported(
                path: gguf.file.path, what: "RoPE scaling '\(kind)'",
                advice: "choose a model with llama3, linear, YaRN or no scaling")
        }
        config.ropeInverseFrequencies = scaling.inverseFrequencies(
            theta: theta, headDim: config.headDim)
        if let beta = gguf.double(key("attention.temperature_scale")), beta > 0 {
            config.queryScaling = .init(
                beta: Float(beta), originalMaxPositions: Int(original))
        }
    }

    /// `yarn_log_multiplier` is config.json's mscale_all_dim, with an mscale of 1.
    private func attentionFactor(_ factor: Double) throws(ImportError) -> Double {
        if let given = try positive("rope.scaling.yarn_attn_factor") { return given }
        let scale = RopeScaling.yarnScale(factor: factor)
        guard let all = gguf.double(key("rope.scaling.yarn_log_multiplier")), all != 0 else {
            return scale
        }
        return scale / RopeScaling.yarnScale(factor: factor, all)
    }

    /// A finite number above 0, or nil where there is none.
    private func positive(_ name: String) throws(ImportError) -> Double? {
        guard let value = gguf.double(key(name)) else { return nil }
        guard value > 0, value.isFinite else { throw missing(name) }
        return value
    }

    // MARK: Lookup

    private func key(_ name: String) -> String { architecture + "." + name }

    private func has(_ tensor: String) -> Bool { gguf.tensors.contains { $0.name == tensor } }

    private func missing(_ name: String) -> ImportError {
        .missingSetting(path: gguf.file.path, name: key(name))
    }

    private func size(_ name: String) throws(ImportError) -> Int {
        guard let value = try optionalSize(name) else { throw missing(name) }
        return value
    }

    private func optionalSize(_ name: String) throws(ImportError) -> Int? {
        guard let value = gguf.integer(key(name)) else { return nil }
        guard value > 0, value <= 1 << 30 else { throw missing(name) }
        return value
    }
}
