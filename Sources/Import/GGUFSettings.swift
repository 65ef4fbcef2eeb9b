internal import Reporting
internal import WeightFile

/// A GGUF file's metadata as a model configuration.
struct GGUFSettings {
    private let gguf: GGUFFile
    private let metadata: Settings
    private let path: String
    private let architecture: String

    /// Architectures whose q and k rows llama.cpp's converter permutes.
    private static let permutedArchitectures: Set<String> = ["llama", "mistral3"]
    private static let architectures: Set<String> = ["llama", "qwen2", "qwen3", "mistral3"]

    init(_ gguf: GGUFFile) throws(ImportError) {
        self.gguf = gguf
        metadata = gguf.metadata
        path = gguf.file.path
        architecture = try metadata.required(
            "general.architecture", try metadata.string("general.architecture"))
        guard Self.architectures.contains(architecture) else {
            throw .unsupported(
                path: path, what: "architecture '\(architecture.printable)'",
                advice: "choose a Llama, Qwen2, Qwen3 or Ministral 3 model")
        }
        if let experts = try metadata.int(key("expert_count")), experts > 0 {
            throw .unsupported(
                path: path, what: "a mixture of \(experts) experts",
                advice: "choose a dense model")
        }
    }

    var permuted: Bool { Self.permutedArchitectures.contains(architecture) }

    func modelConfig() throws(ImportError) -> ModelConfig {
        var config = ModelConfig()
        config.name = (try metadata.string("general.name") ?? "").prefixed(80)
        config.modelType = architecture
        config.hiddenSize = try size("embedding_length")
        config.intermediateSize = try size("feed_forward_length")
        config.layerCount = try size("block_count")
        config.headCount = try size("attention.head_count")
        config.kvHeadCount =
            try optionalSize("attention.head_count_kv") ?? config.headCount
        config.headDim =
            try optionalSize("attention.key_length") ?? config.hiddenSize / config.headCount
        let trainedLength = try size("context_length")
        // Full attention equals windowed attention up to the window.
        config.maxPositions = min(
            trainedLength, try optionalSize("attention.sliding_window") ?? trainedLength)
        let embedding = gguf.tensors.first { $0.name == "token_embd.weight" }
        guard let embedding, embedding.shape.count == 2 else {
            throw .missingTensor(path: path, name: "token_embd.weight")
        }
        config.vocabularySize = embedding.shape[1]
        try config.checkShape(path: path)
        let eps = key("attention.layer_norm_rms_epsilon")
        config.rmsNormEps = Float(try metadata.required(eps, try metadata.double(eps)))
        config.tieWordEmbeddings = !has("output.weight")
        config.attentionBias = has("blk.0.attn_q.bias")
        config.queryKeyNorm = has("blk.0.attn_q_norm.weight")
        try setRope(&config, trainedLength: trainedLength)
        try finish(config)
        return config
    }

    /// Refuses settings of this architecture that nothing above reads, unless they are 0 or false, which
    /// is off.
    private func finish(_ config: ModelConfig) throws(ImportError) {
        let width = key("attention.value_length")
        if let value = try optionalSize("attention.value_length"), value != config.headDim {
            throw metadata.wrong(width, "\(config.headDim), as the keys have")
        }
        for name in ["vocab_size", "tensor_data_layout", "rope.scaling.finetuned", "pooling_type"] {
            metadata.ignore(key(name))
        }
        let prefix = key("")
        try metadata.finish { name, value in
            name.hasPrefix(prefix) && value.double != 0 && value.bool != false
        }
    }

    // MARK: RoPE

    private func setRope(
        _ config: inout ModelConfig, trainedLength: Int
    ) throws(ImportError) {
        if let rotated = try optionalSize("rope.dimension_count"), rotated != config.headDim {
            throw .unsupported(
                path: path, what: "rotating \(rotated) of \(config.headDim) dimensions",
                advice: "choose another model")
        }
        let theta = try positive("rope.freq_base") ?? 10_000
        let oldFactor = try positive("rope.scale_linear")
        let factor = try positive("rope.scaling.factor") ?? oldFactor ?? 1
        let original =
            try optionalSize("rope.scaling.original_context_length") ?? trainedLength
        guard theta > 1 else {
            throw metadata.wrong(key("rope.freq_base"), "a number above 1")
        }
        let kind =
            try metadata.string(key("rope.scaling.type")) ?? (factor == 1 ? "none" : "linear")
        try checkFactors(isYaRN: kind == "yarn")
        var scaling = RopeScaling.none
        switch kind {
        case "none": break
        case "linear": scaling = .linear(factor: factor)
        case "yarn":
            scaling = .yarn(
                factor: factor, betaFast: try positive("rope.scaling.yarn_beta_fast") ?? 32,
                betaSlow: try positive("rope.scaling.yarn_beta_slow") ?? 1,
                original: Double(original), truncate: true)
            config.ropeAttentionFactor = Float(try attentionFactor(factor))
        default:
            throw .unsupported(
                path: path, what: "RoPE scaling '\(kind.printable)'",
                advice: "choose a model with llama3, linear, YaRN or no scaling")
        }
        config.ropeInverseFrequencies = scaling.inverseFrequencies(
            theta: theta, headDim: config.headDim)
        if let beta = try metadata.double(key("attention.temperature_scale")), beta > 0 {
            config.queryScaling = .init(beta: Float(beta), originalMaxPositions: original)
        }
        let length = key("attention.temperature_length")
        if let value = try metadata.int(length), value != original, value != 0 {
            throw metadata.unsupported(length)
        }
    }

    /// Refuses factors other than those that change nothing: 1 for attention; for YaRN's share in the frequencies 1
    /// with YaRN and 0 without. A negative share is one that is not set.
    private func checkFactors(isYaRN: Bool) throws(ImportError) {
        let attention = key("rope.scaling.attn_factor")
        if let value = try metadata.double(attention), value != 1 {
            throw metadata.unsupported(attention)
        }
        let share = key("rope.scaling.yarn_ext_factor")
        if let value = try metadata.double(share), !(value < 0), value != (isYaRN ? 1 : 0) {
            throw metadata.unsupported(share)
        }
    }

    /// `yarn_log_multiplier` is config.json's mscale_all_dim, with an mscale of 1.
    private func attentionFactor(_ factor: Double) throws(ImportError) -> Double {
        if let given = try positive("rope.scaling.yarn_attn_factor") { return given }
        let scale = RopeScaling.yarnScale(factor: factor)
        let all = key("rope.scaling.yarn_log_multiplier")
        guard let multiplier = try metadata.double(all), multiplier != 0 else { return scale }
        return scale / RopeScaling.yarnScale(factor: factor, multiplier)
    }

    /// A finite number above 0, or nil where there is none.
    private func positive(_ name: String) throws(ImportError) -> Double? {
        try metadata.positive(key(name))
    }

    // MARK: Lookup

    private func key(_ name: String) -> String { architecture + "." + name }

    private func has(_ tensor: String) -> Bool { gguf.tensors.contains { $0.name == tensor } }

    private func size(_ name: String) throws(ImportError) -> Int {
        try metadata.required(key(name), try optionalSize(name))
    }

    /// One number, or a list with the same number for each layer.
    private func optionalSize(_ name: String) throws(ImportError) -> Int? {
        guard let list = metadata.value(key(name))?.array else {
            return try metadata.size(key(name))
        }
        let sizes = Set(list.map(\.int))
        guard sizes.count == 1, let size = sizes.first ?? nil, (1...1 << 30).contains(size) else {
            throw metadata.wrong(key(name), "one number, or the same for each layer")
        }
        return size
    }
}
