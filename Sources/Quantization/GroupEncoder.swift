/// Codes of one group of at most 32 weights: value ~ scale * (code - offset) + minimum.
struct EncodedGroup {
    var codes: InlineArray<32, UInt8>
    var scale: Float16
    var minimum: Float16
    /// Sum of squared differences over the group's weights.
    var squaredError: Float
}

/// Chooses scale and codes of a group by squared error. Each choice is made with the scale as it
/// will be stored, rounded to half precision.
enum GroupEncoder {
    /// Symmetric 8-bit codes 1...255 around 128, scale = largest / 127.
    static func int8(_ x: [Float], _ range: Range<Int>) -> EncodedGroup {
        var largest: Float = 0
        for index in range { largest = max(largest, abs(x[index])) }
        return symmetric(x, range, scale: Float16(largest / 127), offset: 128, low: 1, high: 255)
    }

    /// 4-bit codes 0...15 around 8. The scale is the best of a few near extreme / -8, each improved
    /// by least squares once its codes are known.
    ///
    /// - Parameter candidates: How many starting points are tried; more is slower and better.
    static func int4(_ x: [Float], _ range: Range<Int>, candidates: Int) -> EncodedGroup {
        var extreme: Float = 0
        for index in range where abs(x[index]) > abs(extreme) { extreme = x[index] }
        var best = symmetric(
            x, range, scale: Float16(extreme / -8), offset: 8, low: 0, high: 15)
        guard extreme != 0 else { return best }
        for step in 0..<candidates {
            let divisor = Self.divisors[step % Self.divisors.count]
            var start = symmetric(
                x, range, scale: Float16(extreme / divisor), offset: 8, low: 0, high: 15)
            if let refined = leastSquaresScale(x, range, start) {
                let again = symmetric(
                    x, range, scale: refined, offset: 8, low: 0, high: 15)
                if again.squaredError < start.squaredError { start = again }
            }
            if start.squaredError < best.squaredError { best = start }
        }
        return best
    }

    /// Where the extreme value is put: at -8, a little inside or outside of it, or at +7.
    private static let divisors: [Float] = [-8, -7.2, -8.8, 7.2, -6.4, -9.6]

    /// 4-bit codes 0...15 over [minimum, minimum + 15 scale], improved once by a least-squares line.
    static func int4Affine(_ x: [Float], _ range: Range<Int>, candidates: Int) -> EncodedGroup {
        var (low, high) = (x[range.lowerBound], x[range.lowerBound])
        for index in range {
            low = min(low, x[index])
            high = max(high, x[index])
        }
        var best = affine(x, range, scale: Float16((high - low) / 15), minimum: Float16(low))
        for _ in 0..<candidates {
            guard let line = leastSquaresLine(x, range, best) else { break }
            let again = affine(x, range, scale: line.scale, minimum: line.minimum)
            guard again.squaredError < best.squaredError else { break }
            best = again
        }
        return best
    }

    private static func symmetric(
        _ x: [Float], _ range: Range<Int>, scale: Float16, offset: Float, low: Float, high: Float
    ) -> EncodedGroup {
        var group = EncodedGroup(
            codes: .init(repeating: UInt8(offset)), scale: scale, minimum: 0, squaredError: 0)
        let wide = Float(scale)
        let inverse = wide == 0 ? 0 : 1 / wide
        for index in range {
            let code = min(max((x[index] * inverse).rounded(.toNearestOrEven) + offset, low), high)
            let difference = x[index] - wide * (code - offset)
            group.squaredError += difference * difference
            group.codes[index - range.lowerBound] = UInt8(code)
        }
        return group
    }

    private static func affine(
        _ x: [Float], _ range: Range<Int>, scale: Float16, minimum: Float16
    ) -> EncodedGroup {
        var group = EncodedGroup(
            codes: .init(repeating: 0), scale: scale, minimum: minimum, squaredError: 0)
        let (wide, base) = (Float(scale), Float(minimum))
        let inverse = wide == 0 ? 0 : 1 / wide
        for index in range {
            let code = min(max(((x[index] - base) * inverse).rounded(.toNearestOrEven), 0), 15)
            let difference = x[index] - (wide * code + base)
            group.squaredError += difference * difference
            group.codes[index - range.lowerBound] = UInt8(code)
        }
        return group
    }

    /// argmin over s of sum (x - s q)^2 for the group's codes q.
    private static func leastSquaresScale(
        _ x: [Float], _ range: Range<Int>, _ group: EncodedGroup
    ) -> Float16? {
        var (product, square): (Float, Float) = (0, 0)
        for index in range {
            let q = Float(group.codes[index - range.lowerBound]) - 8
            product += q * x[index]
            square += q * q
        }
        return square > 0 ? Float16(product / square) : nil
    }

    /// argmin over (s, m) of sum (x - s q - m)^2 for the group's codes q.
    private static func leastSquaresLine(
        _ x: [Float], _ range: Range<Int>, _ group: EncodedGroup
    ) -> (scale: Float16, minimum: Float16)? {
        var (sumQ, sumX, sumQX, sumQQ): (Float, Float, Float, Float) = (0, 0, 0, 0)
        for index in range {
            let q = Float(group.codes[index - range.lowerBound])
            sumQ += q
            sumX += x[index]
            sumQX += q * x[index]
            sumQQ += q * q
        }
        let count = Float(range.count)
        let determinant = count * sumQQ - sumQ * sumQ
        guard determinant > 0 else { return nil }
        let scale = (count * sumQX - sumQ * sumX) / determinant
        return (Float16(scale), Float16((sumX - scale * sumQ) / count))
    }
}
