internal import Kernels
internal import WeightFile

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Angles of the positions of one pass. Computed in double precision, since positions grow without
/// bound; once per pass, for all layers.
final class RotaryEmbedding {
    /// `[tokens, headDim / 2]`, times the attention factor.
    let cosines: Buffer<Float>
    let sines: Buffer<Float>
    /// `[tokens]`: 1 + beta ln(1 + floor(position / original)); nil where the model has none.
    let queryFactors: Buffer<Float>?
    private let inverseFrequencies: [Double]
    private let attentionFactor: Double
    private let queryScaling: ModelConfig.QueryScaling?

    /// - Parameter capacity: Tokens.
    init(_ config: ModelConfig, capacity: Int) {
        inverseFrequencies = config.ropeInverseFrequencies
        attentionFactor = Double(config.ropeAttentionFactor)
        queryScaling = config.queryScaling
        cosines = Buffer(count: capacity * inverseFrequencies.count)
        sines = Buffer(count: capacity * inverseFrequencies.count)
        queryFactors = config.queryScaling == nil ? nil : Buffer(count: capacity)
    }

    /// Sets the angles of one token.
    func set(_ token: Int, position: Int) {
        let base = token * inverseFrequencies.count
        for index in inverseFrequencies.indices {
            let angle = Double(position) * inverseFrequencies[index]
            cosines[base + index] = Float(cos(angle) * attentionFactor)
            sines[base + index] = Float(sin(angle) * attentionFactor)
        }
        if let queryScaling, let queryFactors {
            let turns = position / queryScaling.originalMaxPositions
            queryFactors[token] = 1 + queryScaling.beta * Float(log(Double(1 + turns)))
        }
    }

    /// What is done to keys.
    func keyRotation(norm: Buffer<Float>?, eps: Float) -> Rotation {
        Rotation(cosines: cosines, sines: sines, norm: norm, eps: eps)
    }

    /// What is done to queries.
    func queryRotation(norm: Buffer<Float>?, eps: Float) -> Rotation {
        Rotation(cosines: cosines, sines: sines, norm: norm, eps: eps, factors: queryFactors)
    }
}
