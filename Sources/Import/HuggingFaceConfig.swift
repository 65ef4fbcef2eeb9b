internal import TesseraReporting
internal import TesseraWeightFile

/// config.json as a model configuration.
struct HuggingFaceConfig {
    /// The whole file.
    let root: Settings
    /// The decoder's settings: the root, or `text_config` of a multimodal model.
    let text: Settings
    private let modelType: String
    /// A key of `families`, or the model type itself.
    private let family: String

    init(_ root: Settings) throws(ImportError) {
        self.root = root
        text = try root.object("text_config") ?? root
        let (inner, outer) = (try text.string("model_type"), try root.string("model_type"))
        modelType = inner ?? outer ?? ""
        family = try Self.family(modelType, root)
    }

    /// The configuration, and how the weights are stored.
    func model() throws(ImportError) -> (ModelConfig, StoredForm) {
        guard let traits = Family.huggingFace[family] else {
            throw .unsupported(
                path: root.path, what: "model_type '\(modelType.printable)'",
                advice: "choose a \(Family.known) model")
        }
        let blocks = HuggingFaceBlocks(text, root: root, traits)
        try blocks.refuseOthers()
        var config = ModelConfig()
        config.modelType = modelType.lowercased().prefixed(31)
        config.hiddenSize = try size("hidden_size")
        config.intermediateSize = try size("intermediate_size")
        let layers = try size("num_hidden_layers")
        config.headCount = try size("num_attention_heads", traits.usualSizes)
        config.kvHeadCount =
            try text.size("num_key_value_heads") ?? traits.usualSizes["num_key_value_heads"]
            ?? config.headCount
        config.headDim =
            try text.size("head_dim") ?? traits.usualSizes["head_dim"]
            ?? config.hiddenSize / config.headCount
        config.vocabularySize = try size("vocab_size", traits.usualSizes)
        config.maxPositions = try size("max_position_embeddings", traits.usualSizes)
        try config.checkShape(layers: layers, path: root.path)
        config.rmsNormEps = Float(try text.double("rms_norm_eps") ?? traits.eps)
        // transformers has a stretched table of its own for a Ministral 3 that names none.
        if family == "ministral3",
            ["rope_parameters", "rope_scaling", "rope_theta"].allSatisfy({ text.value($0) == nil })
        {
            throw .missingSetting(path: root.path, name: "rope_parameters")
        }
        let rope = try HuggingFaceRope(text, config, traits).read()
        config.queryScaling = rope.queryScaling
        var plan = try blocks.plan(layers: layers, config)
        (plan.rotary, plan.slidingRotary) = (rope.tables, rope.sliding)
        plan.apply(to: &config)
        config.blockDecoding = try blockDecoding()
        var form = try blocks.fold(into: &config)
        form.rotated = rope.rotated
        return (config, form)
    }

    /// Whether the decoder is all of the model: no `text_config` next to other parts, and no class whose other
    /// parts are not known.
    var isWholeModel: Bool { text === root && family != "nemotron_labs_diffusion" }

    /// `tie_word_embeddings`, nil if the file does not say.
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

    /// The first of these numbers that exists.
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

    private func size(
        _ name: String, _ usual: [String: Int] = [:]
    ) throws(ImportError) -> Int {
        try text.required(name, try text.size(name) ?? usual[name])
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
