internal import TesseraReporting

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Maps values to places in a drawing.
struct Axis {
    let lower: Double
    let upper: Double
    let isLogarithmic: Bool
    /// Places of the two ends; the second may be the smaller.
    let from: Double
    let to: Double

    /// - Parameters:
    ///   - values: All that is to be shown; widened to round numbers.
    ///   - isLogarithmic: Only with values above 0.
    init(_ values: [Double], isLogarithmic: Bool = false, from: Double, to: Double) {
        let finite = values.filter { $0.isFinite && (!isLogarithmic || $0 > 0) }
        var low = finite.min() ?? 1
        var high = finite.max() ?? 1
        if isLogarithmic {
            low *= 0.9
            high *= 1.1
        } else {
            low = min(0, low)
            high = high > low ? high + (high - low) * 0.05 : low + 1
        }
        self.isLogarithmic = isLogarithmic
        lower = low
        upper = high
        self.from = from
        self.to = to
    }

    /// Where `value` lies; values outside go to the nearer end.
    func place(_ value: Double) -> Double {
        let value = min(max(value, lower), upper)
        let share =
            isLogarithmic
            ? log(value / lower) / log(upper / lower) : (value - lower) / (upper - lower)
        return from + share * (to - from)
    }

    /// Round values to mark.
    var ticks: [Double] {
        let wide = isLogarithmic ? logarithmicTicks : []
        return wide.count >= 2 ? wide : linearTicks
    }

    private var linearTicks: [Double] {
        let raw = (upper - lower) / 5
        let power = pow(10, floor(log10(raw)))
        let step = ([1, 2, 5, 10].first { $0 * power >= raw } ?? 10) * power
        let first = (lower / step).rounded(.up)
        return stride(from: first, through: upper / step, by: 1).map { $0 * step }
    }

    private var logarithmicTicks: [Double] {
        var ticks: [Double] = []
        for exponent in Int(floor(log10(lower)))...Int(floor(log10(upper))) {
            for digit in [1.0, 2, 5] { ticks.append(digit * pow(10, Double(exponent))) }
        }
        return ticks.filter { $0 >= lower && $0 <= upper }
    }

    /// A tick as text, with as many digits as it needs.
    static func label(_ value: Double) -> String {
        let digits = [0, 1, 2, 3].first {
            let scale = pow(10, Double($0))
            return abs(value * scale - (value * scale).rounded()) < 1e-6
                * max(1, abs(value * scale))
        }
        return Format.fixed(value, digits ?? 4)
    }
}
