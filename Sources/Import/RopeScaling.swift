internal import TesseraWeightFile

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// How a model stretches its rotary frequencies. Names are those of `rope_scaling` in config.json;
/// the arithmetic is that of Hugging Face's `modeling_rope_utils`.
enum RopeScaling: Equatable {
    case none
    case linear(factor: Double)
    case llama3(factor: Double, low: Double, high: Double, original: Double)
    /// LongRoPE: a divisor for each frequency.
    case divided([Double])
    case yarn(
        factor: Double, betaFast: Double, betaSlow: Double, original: Double, truncate: Bool)

    /// The table of heads whose first `rotated` dimensions are turned.
    func table(
        theta: Double, rotated: Int, headDim: Int, attentionFactor: Double = 1
    ) -> RotaryTable {
        let idle = Array(repeating: 0.0, count: (headDim - rotated) / 2)
        return RotaryTable(
            inverseFrequencies(theta: theta, headDim: rotated) + idle,
            attentionFactor: Float(attentionFactor))
    }

    /// `headDim / 2` angles per position, in radians.
    func inverseFrequencies(theta: Double, headDim: Int) -> [Double] {
        let plain = (0..<headDim / 2).map { pow(theta, -2 * Double($0) / Double(headDim)) }
        switch self {
        case .none: return plain
        case .linear(let factor): return plain.map { $0 / factor }
        case .divided(let divisors): return zip(plain, divisors).map { $0 / $1 }
        case .llama3(let factor, let low, let high, let original):
            return plain.map { frequency in
                let wavelength = 2 * Double.pi / frequency
                if wavelength < original / high { return frequency }
                if wavelength > original / low { return frequency / factor }
                let smooth = (original / wavelength - low) / (high - low)
                return (1 - smooth) * frequency / factor + smooth * frequency
            }
        case .yarn(let factor, let betaFast, let betaSlow, let original, let truncate):
            func dimension(rotations: Double) -> Double {
                Double(headDim) * log(original / (rotations * 2 * Double.pi)) / (2 * log(theta))
            }
            var low = dimension(rotations: betaFast)
            var high = dimension(rotations: betaSlow)
            if truncate { (low, high) = (low.rounded(.down), high.rounded(.up)) }
            low = max(low, 0)
            high = min(high, Double(headDim - 1))
            if low == high { high += 0.001 }
            return plain.enumerated().map { index, frequency in
                let ramp = min(max((Double(index) - low) / (high - low), 0), 1)
                return frequency / factor * ramp + frequency * (1 - ramp)
            }
        }
    }

    /// YaRN's factor on cos and sin: 0.1 m ln(factor) + 1.
    static func yarnScale(factor: Double, _ mscale: Double = 1) -> Double {
        factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1
    }

    /// LongRoPE's factor on cos and sin.
    static func longRopeScale(factor: Double, original: Double) -> Double {
        factor <= 1 ? 1 : (1 + log(factor) / log(original)).squareRoot()
    }
}

/// The rotation settings of a source.
struct RopeSettings {
    /// Tables of all layers, or of those that see everything; two where long contexts have a table of their own.
    var tables: [RotaryTable]
    /// The table of sliding layers, where they have another one.
    var sliding: RotaryTable?
    /// Dimensions of a head that are rotated.
    var rotated: Int
    var queryScaling: ModelConfig.QueryScaling?
}
