/// The 64-bit xxHash of a byte string, as published by its author (xxHash specification, XXH64).
///
/// Not cryptographic: it finds damage, not forgery.
public enum XXH64 {
    private static let prime1: UInt64 = 0x9E37_79B1_85EB_CA87
    private static let prime2: UInt64 = 0xC2B2_AE3D_27D4_EB4F
    private static let prime3: UInt64 = 0x1656_67B1_9E37_79F9
    private static let prime4: UInt64 = 0x85EB_CA77_C2B2_AE63
    private static let prime5: UInt64 = 0x27D4_EB2F_1656_67C5

    /// The hash of `bytes`.
    public static func hash(_ bytes: RawSpan, seed: UInt64 = 0) -> UInt64 {
        let count = bytes.byteCount
        var offset = 0
        var hash: UInt64
        if count >= 32 {
            var (a, b) = (seed &+ prime1 &+ prime2, seed &+ prime2)
            var (c, d) = (seed, seed &- prime1)
            while count - offset >= 32 {
                let words = bytes.stripe(at: offset)
                (a, b) = (round(a, words.0), round(b, words.1))
                (c, d) = (round(c, words.2), round(d, words.3))
                offset += 32
            }
            hash = rotate(a, 1) &+ rotate(b, 7) &+ rotate(c, 12) &+ rotate(d, 18)
            hash = merge(merge(merge(merge(hash, a), b), c), d)
        } else {
            hash = seed &+ prime5
        }
        hash &+= UInt64(count)
        return avalanche(tail(of: bytes, from: offset, hash))
    }

    /// The hash of an array.
    public static func hash(_ bytes: [UInt8], seed: UInt64 = 0) -> UInt64 {
        hash(bytes.rawSpan, seed: seed)
    }

    /// Mixes in the last 0...31 bytes.
    private static func tail(of bytes: RawSpan, from start: Int, _ start64: UInt64) -> UInt64 {
        let count = bytes.byteCount
        var (hash, offset) = (start64, start)
        while count - offset >= 8 {
            hash = rotate(hash ^ round(0, bytes.u64(at: offset)), 27) &* prime1 &+ prime4
            offset += 8
        }
        if count - offset >= 4 {
            let word = UInt64(bytes.u32(at: offset)) &* prime1
            hash = rotate(hash ^ word, 23) &* prime2 &+ prime3
            offset += 4
        }
        while offset < count {
            hash = rotate(hash ^ UInt64(bytes.u8(at: offset)) &* prime5, 11) &* prime1
            offset += 1
        }
        return hash
    }

    @inline(__always)
    private static func rotate(_ x: UInt64, _ bits: UInt64) -> UInt64 {
        x &<< bits | x &>> (64 &- bits)
    }

    @inline(__always)
    private static func round(_ lane: UInt64, _ word: UInt64) -> UInt64 {
        rotate(lane &+ word &* prime2, 31) &* prime1
    }

    private static func merge(_ hash: UInt64, _ lane: UInt64) -> UInt64 {
        (hash ^ round(0, lane)) &* prime1 &+ prime4
    }

    private static func avalanche(_ value: UInt64) -> UInt64 {
        var hash = value
        hash = (hash ^ hash >> 33) &* prime2
        hash = (hash ^ hash >> 29) &* prime3
        return hash ^ hash >> 32
    }
}
