internal import Reporting
internal import WeightFile

/// The RoPE settings of config.json, in the spellings of all transformers versions: `rope_theta`
/// beside `rope_scaling`, or both in `rope_parameters`.
struct HuggingFaceRope {
    private let text: Settings
    /// `max_position_embeddings`, which a sliding window does not change.
    private let trainedLength: Int

    init(_ text: Settings, trainedLength: Int) {
        self.text = text
        self.trainedLength = trainedLength
    }

    /// Sets frequencies, attention factor and query scaling.
    ///
    /// - Precondition: `config` has passed `checkShape`.
    func set(in config: inout ModelConfig) throws(ImportError) {
        let scaling = try self.scaling()
        let theta = try self.theta(scaling)
        let original = try self.original(scaling)
        var rope = RopeScaling.none
        let (new, old) = (try scaling?.string("rope_type"), try scaling?.string("type"))
        let type = new ?? old ?? "default"
        switch (type, scaling) {
        case ("default", _), ("none", _): break
        case ("linear", let scaling?): rope = .linear(factor: try number("factor", scaling))
        case ("llama3", let scaling?):
            rope = .llama3(
                factor: try number("factor", scaling),
                low: try number("low_freq_factor", scaling),
                high: try number("high_freq_factor", scaling), original: original)
        case ("yarn", let scaling?):
            let factor = try scaling.positive("factor") ?? Double(trainedLength) / original
            rope = .yarn(
                factor: factor, betaFast: try scaling.positive("beta_fast") ?? 32,
                betaSlow: try scaling.positive("beta_slow") ?? 1, original: original,
                truncate: try scaling.bool("truncate") ?? true)
            config.ropeAttentionFactor = Float(try attentionFactor(scaling, factor: factor))
        default:
            throw .unsupported(
                path: text.path, what: "RoPE scaling '\(type.printable)'",
                advice: "choose a model with llama3, linear, YaRN or no scaling")
        }
        config.ropeInverseFrequencies = rope.inverseFrequencies(
            theta: theta, headDim: config.headDim)
        let betas = (
            try scaling?.double("llama_4_scaling_beta"), try text.double("llama_4_scaling_beta")
        )
        if let beta = betas.0 ?? betas.1, beta > 0 {
            config.queryScaling = .init(
                beta: Float(beta), originalMaxPositions: Int(original))
        }
        try finish(scaling)
    }

    /// The object that counts. Where both are there it is `rope_scaling`, as in transformers: that is
    /// what a user adds to stretch a model.
    private func scaling() throws(ImportError) -> Settings? {
        let parameters = try text.object("rope_parameters")
        guard let scaling = try text.object("rope_scaling"), !scaling.names.isEmpty else {
            return parameters
        }
        // transformers would take 10000 here, which nobody means.
        if parameters?.value("rope_theta") != nil, scaling.value("rope_theta") == nil,
            text.value("rope_theta") == nil
        {
            throw .unsupported(
                path: text.path, what: "rope_scaling without the rope_theta of rope_parameters",
                advice: "put rope_theta into rope_scaling")
        }
        return scaling
    }

    private func theta(_ scaling: Settings?) throws(ImportError) -> Double {
        let place = scaling?.value("rope_theta") == nil ? text : scaling ?? text
        guard let theta = try place.positive("rope_theta") else { return 10_000 }
        guard theta > 1 else { throw place.wrong("rope_theta", "a number above 1") }
        return theta
    }

    /// Positions before stretching.
    private func original(_ scaling: Settings?) throws(ImportError) -> Double {
        let name = "original_max_position_embeddings"
        let (inner, outer) = (try scaling?.size(name), try text.size(name))
        if let inner, let outer, inner != outer {
            throw text.wrong(name, "\(inner), as in the RoPE settings")
        }
        return Double(inner ?? outer ?? trainedLength)
    }

    private func number(_ name: String, _ scaling: Settings) throws(ImportError) -> Double {
        try scaling.required(name, try scaling.positive(name))
    }

    private func attentionFactor(
        _ scaling: Settings, factor: Double
    ) throws(ImportError) -> Double {
        let given = try scaling.positive("attention_factor")
        let mscale = try scaling.double("mscale") ?? 0
        let mscaleAll = try scaling.double("mscale_all_dim") ?? 0
        if let given { return given }
        if mscale != 0, mscaleAll != 0 {
            return RopeScaling.yarnScale(factor: factor, mscale)
                / RopeScaling.yarnScale(factor: factor, mscaleAll)
        }
        return RopeScaling.yarnScale(factor: factor)
    }

    /// Refuses what no rule above reads, such as settings by type of layer.
    private func finish(_ scaling: Settings?) throws(ImportError) {
        guard let scaling else { return }
        if let part = try scaling.double("partial_rotary_factor"), part != 1 {
            throw scaling.unsupported("partial_rotary_factor")
        }
        scaling.ignore("finetuned", "max_position_embeddings")
        try scaling.finish()
    }
}
