internal import TesseraKernels
internal import TesseraWeightFile

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Angles of the positions of one pass, for each rotary table. Computed in double precision, since
/// positions grow without bound; once per pass, for all layers.
final class RotaryEmbedding {
    /// `[tokens, headDim / 2]` of each table, times its attention factor.
    private let cosines: [Buffer<Float>]
    private let sines: [Buffer<Float>]
    /// `[tokens]`: 1 + beta ln(1 + floor(position / original)); nil if the model has none.
    private let queryFactors: Buffer<Float>?
    private let tables: [RotaryTable]
    private let queryScaling: ModelConfig.QueryScaling?

    /// - Parameter capacity: Tokens.
    init(_ config: ModelConfig, capacity: Int) {
        tables = config.rotaryTables
        queryScaling = config.queryScaling
        let count = capacity * config.headDim / 2
        cosines = tables.map { _ in Buffer(count: count) }
        sines = tables.map { _ in Buffer(count: count) }
        queryFactors = config.queryScaling == nil ? nil : Buffer(count: capacity)
    }

    /// Sets the angles of one token.
    func set(_ token: Int, position: Int) {
        for table in tables.indices { set(token, position: position, table: table) }
        if let queryScaling, let queryFactors {
            let turns = position / queryScaling.originalMaxPositions
            queryFactors[token] = 1 + queryScaling.beta * Float(log(Double(1 + turns)))
        }
    }

    private func set(_ token: Int, position: Int, table: Int) {
        let attentionFactor = Double(tables[table].attentionFactor)
        let count = tables[table].inverseFrequencies.count
        for index in 0..<count {
            let frequency = tables[table].inverseFrequencies[index]
            // A pair that is not turned is left as it is.
            let (angle, factor) =
                frequency == 0 ? (0, 1) : (Double(position) * frequency, attentionFactor)
            cosines[table][token * count + index] = Float(cos(angle) * factor)
            sines[table][token * count + index] = Float(sin(angle) * factor)
        }
    }

    /// The rotation of keys.
    func keyRotation(table: Int, norm: Buffer<Float>?, eps: Float) -> Rotation {
        Rotation(cosines: cosines[table], sines: sines[table], norm: norm, eps: eps)
    }

    /// The rotation of queries.
    func queryRotation(table: Int, norm: Buffer<Float>?, eps: Float) -> Rotation {
        Rotation(
            cosines: cosines[table], sines: sines[table], norm: norm, eps: eps,
            factors: queryFactors)
    }
}
