internal import TesseraReporting
internal import TesseraWeightFile

/// The RoPE settings of config.json, in the spellings of all transformers versions: `rope_theta`
/// next to `rope_scaling`, or both in `rope_parameters`, there by type of layer in some families.
struct HuggingFaceRope {
    private let text: Settings
    /// `max_position_embeddings`.
    private let trainedLength: Int
    private let headDim: Int
    private let family: Family

    /// - Precondition: `config` has passed `checkShape`.
    init(_ text: Settings, _ config: ModelConfig, _ family: Family) {
        self.text = text
        trainedLength = config.maxPositions
        headDim = config.headDim
        self.family = family
    }

    func read() throws(ImportError) -> RopeSettings {
        let scaling = try self.scaling()
        let sliding = try self.sliding()
        let original = try self.original(scaling)
        let rotated = try self.rotated(scaling)
        let tables = try tables(scaling, original: original, rotated: rotated)
        var result = RopeSettings(tables: tables, rotated: rotated)
        let betas = (
            try scaling?.double("llama_4_scaling_beta"), try text.double("llama_4_scaling_beta")
        )
        if let beta = betas.0 ?? betas.1, beta > 0 {
            result.queryScaling = .init(beta: Float(beta), originalMaxPositions: Int(original))
        }
        if family.hasSlidingRope {
            // OLMo 3 has one base for all layers.
            let theta = try self.theta(scaling)
            result.sliding = try slidingTable(sliding, theta: family.slidingTheta ?? theta)
        }
        try finish(scaling)
        try finish(sliding)
        return result
    }

    // MARK: Places

    /// The object that counts. Where both exist it is `rope_scaling`, as in transformers: users add it to stretch a
    /// model.
    private func scaling() throws(ImportError) -> Settings? {
        var parameters = try text.object("rope_parameters")
        if family.hasSlidingRope, let all = parameters, all.has("full_attention") {
            parameters = try all.object("full_attention")
        }
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

    /// Settings of sliding layers, in families where these have settings of their own.
    private func sliding() throws(ImportError) -> Settings? {
        guard family.hasSlidingRope, let parameters = try text.object("rope_parameters"),
            parameters.has("full_attention") || parameters.has("sliding_attention")
        else { return nil }
        let sliding = try parameters.object("sliding_attention")
        parameters.ignore("full_attention")
        try parameters.finish()
        return sliding
    }

    // MARK: Numbers

    private func theta(_ scaling: Settings?) throws(ImportError) -> Double {
        let place = scaling?.value("rope_theta") == nil ? text : scaling ?? text
        guard let theta = try place.positive("rope_theta") else { return family.theta }
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

    /// Dimensions of each head that are rotated.
    private func rotated(_ scaling: Settings?) throws(ImportError) -> Int {
        let name = "partial_rotary_factor"
        let (inner, outer) = (try scaling?.double(name), try text.double(name))
        let part = inner ?? outer ?? 1
        guard part != 1 else { return headDim }
        let place = inner == nil ? text : scaling ?? text
        guard family.rotatesParts else { throw place.unsupported(name) }
        let rotated = Int(Double(headDim) * min(max(part, 0), 1))
        guard rotated > 0, rotated % 2 == 0, part < 1 else {
            throw place.wrong(name, "a part of the head that is an even number of dimensions")
        }
        return rotated
    }

    private func number(_ name: String, _ scaling: Settings) throws(ImportError) -> Double {
        try scaling.required(name, try scaling.positive(name))
    }

    // MARK: Tables

    private func tables(
        _ scaling: Settings?, original: Double, rotated: Int
    ) throws(ImportError) -> [RotaryTable] {
        let theta = try self.theta(scaling)
        func table(_ rope: RopeScaling, _ factor: Double = 1) -> RotaryTable {
            rope.table(theta: theta, rotated: rotated, headDim: headDim, attentionFactor: factor)
        }
        let (new, old) = (try scaling?.string("rope_type"), try scaling?.string("type"))
        var type = new ?? old ?? "default"
        // Older names in files of Phi 3.
        if family.hasLongRope, type == "su" || type == "yarn" { type = "longrope" }
        switch (type, scaling) {
        case ("default", _), ("none", _): return [table(.none)]
        case ("linear", let scaling?):
            return [table(.linear(factor: try number("factor", scaling)))]
        case ("llama3", let scaling?):
            return [
                table(
                    .llama3(
                        factor: try number("factor", scaling),
                        low: try number("low_freq_factor", scaling),
                        high: try number("high_freq_factor", scaling), original: original))
            ]
        case ("yarn", let scaling?):
            let factor = try scaling.positive("factor") ?? Double(trainedLength) / original
            let rope = RopeScaling.yarn(
                factor: factor, betaFast: try scaling.positive("beta_fast") ?? 32,
                betaSlow: try scaling.positive("beta_slow") ?? 1, original: original,
                truncate: try scaling.bool("truncate") ?? true)
            return [table(rope, try yarnFactor(scaling, factor: factor))]
        case ("longrope", let scaling?) where family.hasLongRope:
            let factor = try scaling.positive("factor") ?? Double(trainedLength) / original
            let attention =
                try scaling.positive("attention_factor")
                ?? RopeScaling.longRopeScale(factor: factor, original: original)
            var short = table(.divided(try divisors("short_factor", scaling, rotated)), attention)
            let long = table(.divided(try divisors("long_factor", scaling, rotated)), attention)
            guard short != long, Double(trainedLength) > original else { return [short] }
            short.longestContext = Int(original)
            return [short, long]
        default:
            throw .unsupported(
                path: text.path, what: "RoPE scaling '\(type.printable)'",
                advice: "choose a model with llama3, linear, YaRN or no scaling")
        }
    }

    private func divisors(
        _ name: String, _ scaling: Settings, _ rotated: Int
    ) throws(ImportError) -> [Double] {
        let list = try scaling.required(name, try scaling.array(name))
        let divisors = list.compactMap(\.double).filter { $0 > 0 && $0.isFinite }
        guard divisors.count == rotated / 2, list.count == divisors.count else {
            throw scaling.wrong(name, "a list of \(rotated / 2) numbers above 0")
        }
        return divisors
    }

    private func yarnFactor(_ scaling: Settings, factor: Double) throws(ImportError) -> Double {
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

    /// Sliding layers are not stretched.
    private func slidingTable(
        _ sliding: Settings?, theta: Double
    ) throws(ImportError) -> RotaryTable {
        let type = try sliding?.string("rope_type") ?? "default"
        guard type == "default" else { throw (sliding ?? text).unsupported("rope_type") }
        let local = try text.positive("rope_local_base_freq")
        let given = try sliding?.positive("rope_theta") ?? local
        let base = given ?? theta
        guard base > 1 else { throw text.wrong("rope_local_base_freq", "a number above 1") }
        return RopeScaling.none.table(
            theta: base, rotated: headDim, headDim: headDim, attentionFactor: 1)
    }

    /// Refuses settings that no rule above reads, such as settings by type of layer.
    private func finish(_ scaling: Settings?) throws(ImportError) {
        scaling?.ignore("finetuned", "max_position_embeddings")
        try scaling?.finish()
    }
}
