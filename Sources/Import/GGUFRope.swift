internal import TesseraReporting
internal import TesseraWeightFile

/// The RoPE settings of a GGUF file.
struct GGUFRope {
    private let gguf: GGUFFile
    private let metadata: Settings
    private let path: String
    private let architecture: String
    private let trainedLength: Int
    private let headDim: Int
    private let family: Family

    init(_ gguf: GGUFFile, architecture: String, _ config: ModelConfig, _ family: Family) {
        self.gguf = gguf
        self.architecture = architecture
        self.family = family
        metadata = gguf.metadata
        path = gguf.file.path
        trainedLength = config.maxPositions
        headDim = config.headDim
    }

    func read() throws(ImportError) -> RopeSettings {
        let rotated = try metadata.sizeForAll(key("rope.dimension_count")) ?? headDim
        guard rotated == headDim || family.rotatesParts && rotated < headDim && rotated % 2 == 0
        else {
            throw .unsupported(
                path: path, what: "rotating \(rotated) of \(headDim) dimensions",
                advice: "choose another model")
        }
        let original =
            try metadata.sizeForAll(key("rope.scaling.original_context_length")) ?? trainedLength
        let theta = try base("rope.freq_base") ?? family.theta
        if let tables = try longRope(theta: theta, rotated: rotated, original: original) {
            return RopeSettings(tables: tables, rotated: rotated)
        }
        var table = try table(theta: theta, rotated: rotated, original: original)
        if let divisors = try gguf.frequencyDivisors("rope_freqs.weight", count: rotated / 2) {
            for (index, divisor) in divisors.enumerated() {
                table.inverseFrequencies[index] /= Double(divisor)
            }
        }
        var result = RopeSettings(tables: [table], rotated: rotated)
        result.queryScaling = try queryScaling(original: original)
        if family.hasSlidingRope {
            let sliding = try base("rope.freq_base_swa") ?? family.slidingTheta ?? theta
            result.sliding = RopeScaling.none.table(
                theta: sliding, rotated: headDim, headDim: headDim)
        }
        return result
    }

    private func base(_ name: String) throws(ImportError) -> Double? {
        guard let theta = try positive(name) else { return nil }
        guard theta > 1 else { throw metadata.wrong(key(name), "a number above 1") }
        return theta
    }

    private func table(
        theta: Double, rotated: Int, original: Int
    ) throws(ImportError) -> RotaryTable {
        let oldFactor = try positive("rope.scale_linear")
        let factor = try positive("rope.scaling.factor") ?? oldFactor ?? 1
        let kind =
            try metadata.string(key("rope.scaling.type")) ?? (factor == 1 ? "none" : "linear")
        try checkFactors(isYaRN: kind == "yarn", usual: RopeScaling.yarnScale(factor: factor))
        var (scaling, attention) = (RopeScaling.none, 1.0)
        switch kind {
        case "none": break
        case "linear": scaling = .linear(factor: factor)
        case "yarn":
            scaling = .yarn(
                factor: factor, betaFast: try positive("rope.scaling.yarn_beta_fast") ?? 32,
                betaSlow: try positive("rope.scaling.yarn_beta_slow") ?? 1,
                original: Double(original), truncate: true)
            attention = try yarnFactor(factor)
        default:
            throw .unsupported(
                path: path, what: "RoPE scaling '\(kind.printable)'",
                advice: "choose a model with llama3, linear, YaRN or no scaling")
        }
        return scaling.table(
            theta: theta, rotated: rotated, headDim: headDim, attentionFactor: attention)
    }

    /// The tables of LongRoPE, whose divisors are tensors; nil if there are none.
    private func longRope(
        theta: Double, rotated: Int, original: Int
    ) throws(ImportError) -> [RotaryTable]? {
        guard family.hasLongRope,
            let short = try gguf.frequencyDivisors("rope_factors_short.weight", count: rotated / 2),
            let long = try gguf.frequencyDivisors("rope_factors_long.weight", count: rotated / 2)
        else { return nil }
        let factor = Double(trainedLength) / Double(original)
        let attention =
            try positive("rope.scaling.attn_factor")
            ?? RopeScaling.longRopeScale(factor: factor, original: Double(original))
        var tables = [short, long].map { divisors in
            RopeScaling.divided(divisors.map(Double.init)).table(
                theta: theta, rotated: rotated, headDim: headDim, attentionFactor: attention)
        }
        guard tables[0] != tables[1], trainedLength > original else { return [tables[0]] }
        tables[0].longestContext = original
        return tables
    }

    private func queryScaling(
        original: Int
    ) throws(ImportError) -> ModelConfig.QueryScaling? {
        let length = key("attention.temperature_length")
        if let value = try metadata.int(length), value != original, value != 0 {
            throw metadata.unsupported(length)
        }
        guard let beta = try metadata.double(key("attention.temperature_scale")), beta > 0 else {
            return nil
        }
        return .init(beta: Float(beta), originalMaxPositions: original)
    }

    /// Refuses factors that change something. These change nothing: 1 for attention, or YaRN's usual factor, which
    /// some converters write; a share of YaRN in the frequencies of 1 with YaRN and of 0 without. A negative share
    /// means that it is not set.
    private func checkFactors(isYaRN: Bool, usual: Double) throws(ImportError) {
        let attention = key("rope.scaling.attn_factor")
        if let value = try metadata.double(attention), value != 1,
            !isYaRN || abs(value - usual) > 1e-6 * usual
        {
            throw metadata.unsupported(attention)
        }
        let share = key("rope.scaling.yarn_ext_factor")
        if let value = try metadata.double(share), !(value < 0), value != (isYaRN ? 1 : 0) {
            throw metadata.unsupported(share)
        }
    }

    /// `yarn_log_multiplier` is config.json's mscale_all_dim, with an mscale of 1.
    private func yarnFactor(_ factor: Double) throws(ImportError) -> Double {
        if let given = try positive("rope.scaling.yarn_attn_factor") { return given }
        let scale = RopeScaling.yarnScale(factor: factor)
        let all = key("rope.scaling.yarn_log_multiplier")
        guard let multiplier = try metadata.double(all), multiplier != 0 else { return scale }
        return scale / RopeScaling.yarnScale(factor: factor, multiplier)
    }

    private func positive(_ name: String) throws(ImportError) -> Double? {
        try metadata.positive(key(name))
    }

    private func key(_ name: String) -> String { architecture + "." + name }
}
