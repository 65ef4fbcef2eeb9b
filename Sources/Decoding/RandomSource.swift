#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Random numbers that are a function of (seed, position, token) and of nothing else.
///
/// A token at a position gets the same noise for every caller and in any order: next-token decoding,
/// a draft, and its verification. So a draft that is sampled like its verification agrees as often
/// as the two distributions overlap, and verified text equals unverified text token for token.
public struct RandomSource: Sendable, Equatable {
    public let seed: UInt64

    public init(seed: UInt64) { self.seed = seed }

    /// The seed of one of several sequences, below 2^53 so that every JSON reader keeps it. Sequence 0 has
    /// `seed` itself.
    static func seed(_ seed: UInt64, sequence index: Int) -> UInt64 {
        guard index != 0 else { return seed }
        return mix(seed &+ 0xA24B_AED4_963E_E407 &* UInt64(truncatingIfNeeded: index)) >> 11
    }

    /// Start of the stream of one position of the sequence.
    func stream(position: Int) -> UInt64 {
        Self.mix(seed &+ 0x9E37_79B9_7F4A_7C15 &* (UInt64(truncatingIfNeeded: position) &+ 1))
    }

    /// 64 random bits of one token; `stream` is that of its position.
    @inline(__always)
    static func bits(_ stream: UInt64, token: Int) -> UInt64 {
        mix(stream &+ 0xD1B5_4A32_D192_ED03 &* (UInt64(truncatingIfNeeded: token) &+ 1))
    }

    /// A bijection of 64 bits in which every input bit reaches every output bit.
    @inline(__always)
    private static func mix(_ value: UInt64) -> UInt64 {
        var x = value
        x = (x ^ (x >> 30)) &* 0xBF58_476D_1CE4_E5B9
        x = (x ^ (x >> 27)) &* 0x94D0_49BB_1331_11EB
        return x ^ (x >> 31)
    }

    /// Gumbel noise -ln(-ln(1 - v)) with v = (bits + 1/2) / 2^53 of the upper 53 bits.
    static func gumbel(_ bits: UInt64) -> Double {
        let v = (Double(bits >> 11) + 0.5) * 0x1p-53
        return -log(-log1p(-v))
    }

    /// An upper bound of ``gumbel(_:)`` that costs a few integer operations: with v >= 2^-(z + 1),
    /// where z counts the leading zeros, -ln(1 - v) >= v, so the noise is <= -ln v.
    @inline(__always)
    static func gumbelBound(_ bits: UInt64) -> Float {
        Float(min(bits.leadingZeroBitCount, 54) + 1) * 0.693_147_2 + 1e-5
    }
}
