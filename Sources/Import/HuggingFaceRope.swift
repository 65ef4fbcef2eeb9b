internal import Reporting
internal import WeightFile

/// The RoPE settings of config.json, in the spellings of all transformers versions: `rope_theta`
/// beside `rope_scaling`, or both in `rope_parameters`.
struct HuggingFaceRope {
    private let path: String
    private let json: JSONValue
    private let scaling: JSONValue?

    init(_ config: HuggingFaceConfig) {
        path = config.path
        json = config.json
        scaling = json.present("rope_parameters") ?? json.present("rope_scaling")
    }

    /// Sets frequencies, attention factor and query scaling.
    ///
    /// - Precondition: `config` has passed `checkShape`.
    func set(in config: inout ModelConfig) throws(ImportError) {
        let given = scaling?.present("rope_theta") ?? json.present("rope_theta")
        guard let theta = given == nil ? 10_000 : given?.double, theta > 1, theta.isFinite else {
            throw .missingSetting(path: path, name: "rope_theta")
        }
        let original = self.original(config)
        guard (1...0x1p30).contains(original) else {
            throw .missingSetting(path: path, name: "original_max_position_embeddings")
        }
        var rope = RopeScaling.none
        switch scaling?["rope_type"]?.string ?? scaling?["type"]?.string ?? "default" {
        case "default", "none": break
        case "linear": rope = .linear(factor: try number("factor"))
        case "llama3":
            rope = .llama3(
                factor: try number("factor"), low: try number("low_freq_factor"),
                high: try number("high_freq_factor"), original: original)
        case "yarn":
            let factor =
                scaling?.present("factor") == nil
                ? Double(config.maxPositions) / original : try number("factor")
            rope = .yarn(
                factor: factor, betaFast: scaling?["beta_fast"]?.double ?? 32,
                betaSlow: scaling?["beta_slow"]?.double ?? 1, original: original,
                truncate: scaling?["truncate"]?.bool ?? true)
            config.ropeAttentionFactor = Float(attentionFactor(factor: factor))
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
                beta: Float(beta), originalMaxPositions: Int(original))
        }
    }

    private func number(_ name: String) throws(ImportError) -> Double {
        guard let value = scaling?[name]?.double, value > 0, value.isFinite else {
            throw .missingSetting(path: path, name: "rope_scaling.\(name)")
        }
        return value
    }

    private func original(_ config: ModelConfig) -> Double {
        scaling?["original_max_position_embeddings"]?.double
            ?? json["original_max_position_embeddings"]?.double
            ?? Double(config.maxPositions)
    }

    private func attentionFactor(factor: Double) -> Double {
        if let given = scaling?["attention_factor"]?.double { return given }
        let mscale = scaling?["mscale"]?.double ?? 0
        let mscaleAll = scaling?["mscale_all_dim"]?.double ?? 0
        if mscale != 0, mscaleAll != 0 {
            return RopeScaling.yarnScale(factor: factor, mscale)
                / RopeScaling.yarnScale(factor: factor, mscaleAll)
        }
        return RopeScaling.yarnScale(factor: factor)
    }
}
