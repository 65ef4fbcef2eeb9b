internal import TesseraWeightFile

/// Configurations of real models, and of tiny ones for tests and first looks.
extension SyntheticModel {
    private static func shape(
        hidden: Int, inner: Int, layers: Int, heads: Int, kvHeads: Int, headDim: Int,
        vocabulary: Int, positions: Int, scaling: RopeScaling = .none, theta: Double
    ) -> ModelConfig {
        var config = ModelConfig()
        config.hiddenSize = hidden
        config.intermediateSize = inner
        config.headCount = heads
        config.kvHeadCount = kvHeads
        config.headDim = headDim
        config.vocabularySize = vocabulary
        config.maxPositions = positions
        config.rotaryTables = [scaling.table(theta: theta, rotated: headDim, headDim: headDim)]
        var layer = LayerSpec()
        layer.attentionScale = config.usualAttentionScale
        config.layers = Array(repeating: layer, count: layers)
        return config
    }

    static func llama31() -> ModelConfig {
        var config = shape(
            hidden: 4096, inner: 14336, layers: 32, heads: 32, kvHeads: 8, headDim: 128,
            vocabulary: 128_256, positions: 131_072,
            scaling: .llama3(factor: 8, low: 1, high: 4, original: 8192), theta: 500_000)
        config.modelType = "llama"
        return config
    }

    static func qwen3() -> ModelConfig {
        var config = shape(
            hidden: 4096, inner: 12288, layers: 36, heads: 32, kvHeads: 8, headDim: 128,
            vocabulary: 151_936, positions: 40_960, theta: 1_000_000)
        config.modelType = "qwen3"
        config.rmsNormEps = 1e-6
        config.inEachLayer { $0.queryKeyNorm = .perHead }
        return config
    }

    /// Ministral 3 8B with a mask token.
    static func nemotron() -> ModelConfig {
        var config = shape(
            hidden: 4096, inner: 14336, layers: 34, heads: 32, kvHeads: 8, headDim: 128,
            vocabulary: 131_072, positions: 262_144,
            scaling: .yarn(factor: 16, betaFast: 32, betaSlow: 1, original: 16384, truncate: true),
            theta: 1_000_000)
        config.modelType = "nemotron_labs_diffusion"
        config.queryScaling = .init(beta: 0.1, originalMaxPositions: 16384)
        config.blockDecoding = .init(maskToken: 100, blockSize: 32, confidenceThreshold: 0.9)
        return config
    }

    static func smollm2() -> ModelConfig {
        var config = shape(
            hidden: 576, inner: 1536, layers: 30, heads: 9, kvHeads: 3, headDim: 64,
            vocabulary: 49_152, positions: 8192, theta: 100_000)
        config.modelType = "llama"
        config.tieWordEmbeddings = true
        return config
    }

    /// For tests and first looks: 1 MB.
    static func tiny() -> ModelConfig {
        var config = shape(
            hidden: 64, inner: 160, layers: 2, heads: 4, kvHeads: 2, headDim: 16,
            vocabulary: 512, positions: 2048, theta: 10_000)
        config.modelType = "llama"
        config.blockDecoding = .init(maskToken: 511, blockSize: 16)
        return config
    }

    private static func tinyShape(_ type: String, vocabulary: Int) -> ModelConfig {
        var config = shape(
            hidden: 64, inner: 96, layers: 2, heads: 4, kvHeads: 2, headDim: 32,
            vocabulary: vocabulary, positions: 2048, theta: 10_000)
        config.modelType = type
        return config
    }

    /// Biases on q, k and v; tied.
    static func tinyQwen2() -> ModelConfig {
        var config = tinyShape("qwen2", vocabulary: 512)
        config.inEachLayer { $0.attentionBias = true }
        config.tieWordEmbeddings = true
        return config
    }

    /// Norms of query and key heads, and heads wider together than the residual stream.
    static func tinyQwen3() -> ModelConfig {
        var config = tinyShape("qwen3", vocabulary: 512)
        config.inEachLayer { $0.queryKeyNorm = .perHead }
        return config
    }

    /// YaRN, position-dependent query scale, masked positions.
    static func tinyMinistral3() -> ModelConfig {
        var config = tinyShape("ministral3", vocabulary: 600)
        let scaling = RopeScaling.yarn(
            factor: 16, betaFast: 32, betaSlow: 1, original: 128, truncate: true)
        config.rotaryTables = [scaling.table(theta: 10_000, rotated: 32, headDim: 32)]
        config.queryScaling = .init(beta: 0.1, originalMaxPositions: 128)
        config.blockDecoding = .init(maskToken: 100, blockSize: 8, confidenceThreshold: 0.9)
        return config
    }
}

extension ModelConfig {
    fileprivate mutating func inEachLayer(_ change: (inout LayerSpec) -> Void) {
        for index in layers.indices { change(&layers[index]) }
    }
}
