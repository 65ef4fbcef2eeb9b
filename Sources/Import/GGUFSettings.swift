internal import TesseraReporting
internal import TesseraWeightFile

/// A GGUF file's metadata as a model configuration.
struct GGUFSettings {
    private let gguf: GGUFFile
    private let metadata: Settings
    private let path: String
    private let architecture: String

    private let family: Family

    init(_ gguf: GGUFFile) throws(ImportError) {
        self.gguf = gguf
        metadata = gguf.metadata
        path = gguf.file.path
        architecture = try metadata.required(
            "general.architecture", try metadata.string("general.architecture"))
        guard let family = Family.gguf[architecture] else {
            throw .unsupported(
                path: path, what: "architecture '\(architecture.printable)'",
                advice: "choose a \(Family.known) model")
        }
        self.family = family
        if let experts = try metadata.int(key("expert_count")), experts > 0 {
            throw .unsupported(
                path: path, what: "a mixture of \(experts) experts",
                advice: "choose a dense model")
        }
    }

    /// The configuration, and how the weights are stored.
    func model() throws(ImportError) -> (ModelConfig, StoredForm) {
        var config = ModelConfig()
        config.name = (try metadata.string("general.name") ?? "").prefixed(80)
        config.modelType = architecture
        config.hiddenSize = try size("embedding_length")
        config.intermediateSize = try size("feed_forward_length")
        let layers = try size("block_count")
        config.headCount = try size("attention.head_count")
        config.kvHeadCount =
            try optionalSize("attention.head_count_kv") ?? config.headCount
        config.headDim =
            try optionalSize("attention.key_length") ?? config.hiddenSize / config.headCount
        config.maxPositions = try size("context_length")
        let embedding = gguf.tensors.first { $0.name == "token_embd.weight" }
        guard let embedding, embedding.shape.count == 2 else {
            throw .missingTensor(path: path, name: "token_embd.weight")
        }
        config.vocabularySize = embedding.shape[1]
        try config.checkShape(layers: layers, path: path)
        let eps = key("attention.layer_norm_rms_epsilon")
        config.rmsNormEps = Float(try metadata.required(eps, try metadata.double(eps)))
        config.tieWordEmbeddings = !has("output.weight")
        var plan = try plan(layers: layers, config)
        let rope = try GGUFRope(gguf, architecture: architecture, config, family).read()
        (plan.rotary, plan.slidingRotary) = (rope.tables, rope.sliding)
        config.queryScaling = rope.queryScaling
        plan.apply(to: &config)
        var form = try fold(into: &config)
        form.rotated = rope.rotated
        try finish(config)
        return (config, form)
    }

    // MARK: Layers

    /// The layers without their rotary tables.
    private func plan(layers: Int, _ config: ModelConfig) throws(ImportError) -> LayerPlan {
        var plan = LayerPlan(layers: layers)
        plan.spec.attentionBias = family.hasBias || has("blk.0.attn_q.bias")
        plan.spec.norms = family.norms
        plan.spec.queryKeyNorm = family.queryKeyNorm
        plan.spec.activation = family.activation
        plan.spec.attentionScale = try attentionScale(config, layers: layers)
        if family.skipsRotation { plan.isRotated = (1...layers).map { $0 % 4 != 0 } }
        if let window = try window() {
            plan.window = window
            plan.isSliding = try slidingLayers(layers)
        }
        return plan
    }

    /// Positions that sliding layers see; nil if there are no such layers, which some files express by 0. In
    /// families without such layers the key is refused.
    private func window() throws(ImportError) -> Int? {
        let name = key("attention.sliding_window")
        switch family.window {
        case .none, .ifUsed: return nil
        case .all, .allButEvery:
            return try metadata.value(name)?.int == 0 ? nil : metadata.sizeForAll(name)
        }
    }

    private func attentionScale(
        _ config: ModelConfig, layers: Int
    ) throws(ImportError) -> Float {
        if family.hasMultipliers {
            return Float(try metadata.multiplier(key("attention.scale")))
        }
        // Gemma 3 27B, which llama.cpp knows by its layers, scales by the residual stream's share of a head.
        if architecture == "gemma3", layers == 62 {
            return 1 / Float(config.hiddenSize / config.headCount).squareRoot()
        }
        return config.usualAttentionScale
    }

    /// Which layers see a window, by `sliding_window_pattern`, or else as the family has it.
    private func slidingLayers(_ layers: Int) throws(ImportError) -> [Bool] {
        let name = key("attention.sliding_window_pattern")
        if let list = metadata.value(name)?.array {
            let flags = list.compactMap { flag in
                flag.bool ?? (flag.int == 0 ? false : flag.int == 1 ? true : nil)
            }
            guard flags.count == layers, list.count == layers else {
                throw metadata.wrong(name, "true or false for each of \(layers) layers")
            }
            return flags
        }
        let period = try metadata.size(name)
        switch family.window {
        case .allButEvery(let usual): return (1...layers).map { $0 % (period ?? usual) != 0 }
        default: return (1...layers).map { period == nil || $0 % (period ?? 1) != 0 }
        }
    }

    /// Folds settings that the format does not have into the configuration and the weights.
    private func fold(into config: inout ModelConfig) throws(ImportError) -> StoredForm {
        var form = StoredForm()
        form.isFused = family.isFused
        form.isInterleaved = family.isInterleaved
        if family.scalesEmbedding { config.embeddingScale = Float(config.hiddenSize).squareRoot() }
        guard family.hasMultipliers else { return form }
        config.embeddingScale = Float(try metadata.multiplier(key("embedding_scale")))
        form.finalNormFactor = Float(1 / (try metadata.multiplier(key("logit_scale"))))
        config.fold(residualMultiplier: try metadata.multiplier(key("residual_scale")))
        return form
    }

    /// Refuses settings of this architecture that nothing above reads, unless they are off: 0 or false.
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

    // MARK: Lookup

    private func key(_ name: String) -> String { architecture + "." + name }

    private func has(_ tensor: String) -> Bool { gguf.tensors.contains { $0.name == tensor } }

    private func size(_ name: String) throws(ImportError) -> Int {
        try metadata.required(key(name), try optionalSize(name))
    }

    private func optionalSize(_ name: String) throws(ImportError) -> Int? {
        try metadata.sizeForAll(key(name))
    }
}

extension Settings {
    /// One number, or a list with the same number for each layer.
    func sizeForAll(_ name: String) throws(ImportError) -> Int? {
        guard let list = value(name)?.array else { return try size(name) }
        let sizes = Set(list.map(\.int))
        guard sizes.count == 1, let size = sizes.first ?? nil, (1...1 << 30).contains(size) else {
            throw wrong(name, "one number, or the same for each layer")
        }
        return size
    }
}
