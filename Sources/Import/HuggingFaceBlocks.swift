internal import TesseraReporting
internal import TesseraWeightFile

/// The layers of a model in config.json.
struct HuggingFaceBlocks {
    /// The decoder's settings, and those of the whole file.
    private let text: Settings
    private let root: Settings
    private let family: Family

    init(_ text: Settings, root: Settings, _ family: Family) {
        self.text = text
        self.root = root
        self.family = family
    }

    // MARK: Refusals

    /// Settings of blocks that compute something else, each with the number that changes nothing; a family
    /// may follow some of them.
    private static let others: [(name: String, neutral: Double?)] = [
        ("attention_multiplier", nil), ("attn_logit_softcapping", nil), ("clip_qkv", nil),
        ("embedding_multiplier", 1), ("final_logit_softcapping", nil), ("logit_scale", 1),
        ("logits_scaling", 1), ("mlp_bias", nil), ("no_rope_layer_interval", nil),
        ("no_rope_layers", nil), ("num_experts", 0), ("num_local_experts", 0),
        ("partial_rotary_factor", 1), ("qk_layernorm", nil), ("query_pre_attn_scalar", nil),
        ("residual_multiplier", 1), ("rope_interleave", nil), ("rope_interleaved", nil),
        ("rope_local_base_freq", nil), ("sliding_window_pattern", nil),
        ("use_bidirectional_attention", nil), ("use_qk_norm", nil),
    ]

    /// Refuses settings that change what a block computes and that the family does not follow.
    func refuseOthers() throws(ImportError) {
        for (name, neutral) in Self.others where !family.settings.contains(name) {
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
            // Their scales stand next to the weights.
            let isFloat = try quantization.string("format") == "float-quantized"
            if method == "fp8" || method == "compressed-tensors" && isFloat {
                let size = try quantization.array("weight_block_size")?.map(\.int)
                guard size == nil || size == [128, 128] else {
                    throw quantization.unsupported("weight_block_size")
                }
                continue
            }
            throw .unsupported(
                path: root.path,
                what: "a checkpoint that is quantized already (\(method.printable))",
                advice: "choose the one in BF16, F16, F32 or FP8, or a GGUF file")
        }
    }

    // MARK: Layers

    /// The layers without their rotary tables.
    func plan(layers: Int, _ config: ModelConfig) throws(ImportError) -> LayerPlan {
        var plan = LayerPlan(layers: layers)
        let biases = try text.bool("attention_bias") ?? false
        plan.spec.attentionBias = family.hasBias || biases
        plan.spec.norms = family.norms
        plan.spec.queryKeyNorm = family.queryKeyNorm
        plan.spec.activation = try activation()
        plan.spec.attentionScale = try attentionScale(config)
        plan.isRotated = try rotatedLayers(layers)
        if let window = try slidingWindow(&plan) {
            plan.window = window
        } else {
            plan.isSliding = Array(repeating: false, count: layers)
        }
        return plan
    }

    private func activation() throws(ImportError) -> LayerSpec.Activation {
        var found: LayerSpec.Activation?
        for name in ["hidden_act", "hidden_activation"] {
            switch try text.string(name) {
            case nil: continue
            case "silu", "swish": found = .silu
            case "gelu_pytorch_tanh": found = .geluTanh
            default: throw text.unsupported(name)
            }
        }
        return found ?? family.activation
    }

    private func attentionScale(_ config: ModelConfig) throws(ImportError) -> Float {
        if family.hasMultipliers {
            return Float(try text.multiplier("attention_multiplier"))
        }
        if family.settings.contains("query_pre_attn_scalar") {
            return Float(1 / (try text.positive("query_pre_attn_scalar") ?? 256).squareRoot())
        }
        return config.usualAttentionScale
    }

    /// The layers that rotate queries and keys.
    private func rotatedLayers(_ layers: Int) throws(ImportError) -> [Bool] {
        guard family.skipsRotation else { return Array(repeating: true, count: layers) }
        let interval = try text.size("no_rope_layer_interval") ?? 4
        guard let list = try text.array("no_rope_layers") else {
            return (1...layers).map { $0 % interval != 0 }
        }
        let flags = list.compactMap(\.int).filter { $0 == 0 || $0 == 1 }
        guard flags.count == layers, list.count == layers else {
            throw text.wrong("no_rope_layers", "0 or 1 for each of \(layers) layers")
        }
        return flags.map { $0 == 1 }
    }

    /// Marks the layers that see a window, and returns its positions; nil: no such layer.
    private func slidingWindow(_ plan: inout LayerPlan) throws(ImportError) -> Int? {
        let window = try text.size("sliding_window")
        let types = try text.array("layer_types")
        let layers = plan.isSliding.indices
        if let types, types.count != layers.count, family.window != .none {
            throw text.wrong("layer_types", "one for each of \(layers.count) layers")
        }
        let listed = types.map { $0.map { $0.string == "sliding_attention" } }
        switch family.window {
        case .none: return nil
        case .all(let usual):
            plan.isSliding = layers.map { _ in true }
            return text.has("sliding_window") ? window : usual
        case .ifUsed:
            guard try text.bool("use_sliding_window") == true else { return nil }
            let full = try text.int("max_window_layers") ?? 28
            plan.isSliding =
                listed
                ?? (family.skipsRotation ? plan.isRotated.map { !$0 } : layers.map { $0 >= full })
            return window ?? (text.has("sliding_window") ? nil : 4096)
        case .allButEvery(let usual):
            let period = try text.size("sliding_window_pattern") ?? usual
            plan.isSliding = listed ?? layers.map { ($0 + 1) % period != 0 }
            return window ?? (text.has("sliding_window") ? nil : 4096)
        }
    }

    // MARK: Folding

    /// Folds settings that the format does not have into the configuration and the weights.
    func fold(into config: inout ModelConfig) throws(ImportError) -> StoredForm {
        var form = StoredForm()
        form.isFused = family.isFused
        form.normOffset = family.addsOneToNorms ? 1 : 0
        if family.scalesEmbedding { config.embeddingScale = Float(config.hiddenSize).squareRoot() }
        guard family.hasMultipliers else { return form }
        config.embeddingScale = Float(try text.multiplier("embedding_multiplier"))
        form.finalNormFactor = Float(1 / (try text.multiplier("logits_scaling")))
        config.fold(residualMultiplier: try text.multiplier("residual_multiplier"))
        return form
    }
}
