// The block formats of GGUF: each function takes one block apart. The layouts are ggml's.
public import TesseraWeightFile

extension SourceType {
    init?(ggml code: UInt32) {
        switch code {
        case 0: self = .f32
        case 1: self = .f16
        case 2: self = .q4_0
        case 3: self = .q4_1
        case 6: self = .q5_0
        case 7: self = .q5_1
        case 8: self = .q8_0
        case 10: self = .q2_K
        case 11: self = .q3_K
        case 12: self = .q4_K
        case 13: self = .q5_K
        case 14: self = .q6_K
        case 16: self = .iq2_xxs
        case 17: self = .iq2_xs
        case 18: self = .iq3_xxs
        case 19: self = .iq1_s
        case 20: self = .iq4_nl
        case 21: self = .iq3_s
        case 22: self = .iq2_s
        case 23: self = .iq4_xs
        case 29: self = .iq1_m
        case 30: self = .bf16
        case 34: self = .tq1_0
        case 35: self = .tq2_0
        case 39: self = .mxfp4
        default: return nil
        }
    }

    /// Values of one block.
    var blockElements: Int {
        switch self {
        case .f32, .f16, .bf16, .f8_e4m3, .synthetic: 1
        case .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .iq4_nl, .mxfp4: 32
        case .q2_K, .q3_K, .q4_K, .q5_K, .q6_K, .iq4_xs, .iq3_xxs, .iq3_s, .iq2_xxs, .iq2_xs,
            .iq2_s, .iq1_s, .iq1_m, .tq1_0, .tq2_0:
            256
        }
    }

    /// Bytes of one block.
    var blockBytes: Int {
        switch self {
        case .f32: 4
        case .f16, .bf16: 2
        case .f8_e4m3: 1
        case .q4_0: 18
        case .q4_1: 20
        case .q5_0: 22
        case .q5_1: 24
        case .q8_0: 34
        case .q2_K: 84
        case .q3_K: 110
        case .q4_K: 144
        case .q5_K: 176
        case .q6_K: 210
        case .iq4_nl: 18
        case .iq4_xs: 136
        case .iq3_xxs: 98
        case .iq3_s: 110
        case .iq2_xxs, .tq2_0: 66
        case .iq2_xs: 74
        case .iq2_s: 82
        case .iq1_s: 50
        case .iq1_m: 56
        case .mxfp4: 17
        case .tq1_0: 54
        case .synthetic: 0
        }
    }

    /// The encoding of a weight file that holds its codes as they are; nil for floats, and for IQ2_XS and IQ2_S,
    /// which have too many steps per group of 32.
    public var codeEncoding: TensorEncoding? {
        switch self {
        case .f32, .f16, .bf16, .f8_e4m3, .iq2_xs, .iq2_s, .synthetic: nil
        case .q4_0: .int4
        case .q4_1: .int4Affine
        case .q5_0: .int5
        case .q5_1: .int5Affine
        case .q8_0: .int8
        case .q2_K: .int2Nested
        case .q3_K: .int3Nested
        case .q4_K: .int4Nested
        case .q5_K: .int5Nested
        case .q6_K, .iq3_xxs, .iq1_m: .int6Nested
        case .iq4_nl, .iq4_xs, .iq2_xxs: .int8
        case .iq3_s, .iq1_s: .int5Nested
        case .mxfp4: .int5
        case .tq1_0, .tq2_0: .int2Nested
        }
    }

    /// Whether scales are rounded to half precision where codes are kept: they are products of a number in half
    /// precision and an integer.
    public var roundsScales: Bool { self == .iq4_xs || self == .iq2_xxs }

    /// Whether its codes choose from a list of values.
    private var hasCodebook: Bool {
        switch self {
        case .iq4_nl, .iq4_xs, .iq3_xxs, .iq3_s, .iq2_xxs, .iq2_xs, .iq2_s, .iq1_s, .iq1_m, .mxfp4,
            .tq1_0, .tq2_0:
            true
        default: false
        }
    }

    /// The offset of its codes.
    private var offset: Float {
        switch self {
        case .q4_0: 8
        case .q5_0: 16
        case .q8_0: 128
        case .q3_K: 4
        case .q6_K: 32
        default: 0
        }
    }

    fileprivate var hasMinimums: Bool {
        switch codeEncoding {
        case .int4Affine, .int5Affine, .int2Nested, .int4Nested, .int5Nested: true
        default: false
        }
    }

    fileprivate var isNested: Bool {
        switch codeEncoding {
        case .int2Nested, .int3Nested, .int4Nested, .int5Nested, .int6Nested: true
        default: false
        }
    }

    /// Decodes `count` values that begin at `bytes[start]` into `output[outputStart...]`.
    func decode(
        _ bytes: [UInt8], from start: Int, count: Int, into output: inout [Float],
        at outputStart: Int
    ) {
        if hasCodebook {
            var block = CodebookBlock()
            for first in stride(from: 0, to: count, by: blockElements) {
                block.read(self, bytes, start + first / blockElements * blockBytes)
                block.write(to: &output, at: outputStart + first, count: blockElements)
            }
            return
        }
        guard codeEncoding == nil else {
            var blocks = SourceBlocks(self, values: count)
            unpack(bytes, from: start, count: count, into: &blocks, at: 0)
            for group in 0..<count / 32 {
                decode(blocks, group: group, &output, outputStart + 32 * group)
            }
            return
        }
        for index in 0..<count {
            let (source, target) = (start + index * blockBytes, outputStart + index)
            switch self {
            case .f16: output[target] = Float(half(bytes, source))
            case .bf16: output[target] = Float(bitPattern: UInt32(word(bytes, source)) << 16)
            case .f8_e4m3: output[target] = EightBitFloat.values[Int(bytes[source])]
            default: output[target] = Float(bitPattern: long(bytes, source))
            }
        }
    }

    /// Values of a group of 32.
    private func decode(_ blocks: SourceBlocks, group: Int, _ y: inout [Float], _ o: Int) {
        for part in 0..<2 {
            let (scale, minimum) = scaling(blocks, group: group, part: part)
            for j in 16 * part..<16 * part + 16 {
                y[o + j] = scale * (Float(blocks.codes[32 * group + j]) - offset) + minimum
            }
        }
    }

    /// Scale and minimum of 16 columns of a group: value = scale (code - offset) + minimum.
    private func scaling(
        _ blocks: SourceBlocks, group: Int, part: Int
    ) -> (scale: Float, minimum: Float) {
        guard isNested else {
            return (
                Float(blocks.scales[group]), hasMinimums ? Float(blocks.minimums[group]) : 0
            )
        }
        let factor = Float(blocks.scales[group / 8])
        let own = blocks.integers[2 * group + part]
        guard hasMinimums else { return (factor * Float(Int8(bitPattern: own)), 0) }
        let less = -Float(blocks.minimums[group / 8])
        guard self != .q2_K else { return (factor * Float(own & 15), less * Float(own >> 4)) }
        return (
            factor * Float(blocks.integers[2 * group]),
            less * Float(blocks.integers[2 * group + 1])
        )
    }

    /// Takes blocks of `count` values apart that begin at `bytes[start]`; the first is value `target` of `blocks`.
    func unpack(
        _ bytes: [UInt8], from start: Int, count: Int, into blocks: inout SourceBlocks,
        at target: Int
    ) {
        if hasCodebook, let codeEncoding {
            var block = CodebookBlock()
            for first in stride(from: 0, to: count, by: blockElements) {
                block.read(self, bytes, start + first / blockElements * blockBytes)
                block.write(
                    to: &blocks, at: target + first, count: blockElements, as: codeEncoding)
            }
            return
        }
        for block in 0..<count / blockElements {
            unpackBlock(
                bytes, start + block * blockBytes, &blocks, target + block * blockElements)
        }
    }

    @inline(__always)
    private func unpackBlock(_ b: [UInt8], _ i: Int, _ s: inout SourceBlocks, _ o: Int) {
        switch self {
        case .q4_0, .q4_1, .q5_0, .q5_1, .q8_0:
            s.scales[o / 32] = half(b, i)
            if hasMinimums { s.minimums[o / 32] = half(b, i + 2) }
            let codes = i + (hasMinimums ? 4 : 2)
            switch self {
            case .q4_0, .q4_1: unpackNibbles(b, codes, &s, o)
            case .q5_0, .q5_1: unpackFives(b, codes, &s, o)
            default: for j in 0..<32 { s.codes[o + j] = b[codes + j] ^ 0x80 }  // plus 128
            }
        case .q2_K: unpackQ2K(b, i, &s, o)
        case .q3_K: unpackQ3K(b, i, &s, o)
        case .q4_K: unpackQ45K(b, i, &s, o, fifthBit: false)
        case .q5_K: unpackQ45K(b, i, &s, o, fifthBit: true)
        case .q6_K: unpackQ6K(b, i, &s, o)
        default: break
        }
    }
}

extension SourceBlocks {
    /// Room for `count` values of a type that has an encoding for its codes.
    init(_ type: SourceType, values count: Int) {
        let isNested = type.isNested
        let numbers = [Float16](repeating: 0, count: count / (isNested ? 256 : 32))
        self.init(
            codes: Array(repeating: 0, count: count), scales: numbers,
            minimums: type.hasMinimums ? numbers : [],
            integers: Array(repeating: 0, count: isNested ? count / 16 : 0))
    }
}

@inline(__always)
func word(_ b: [UInt8], _ i: Int) -> UInt16 { UInt16(b[i]) | UInt16(b[i + 1]) << 8 }

@inline(__always)
func long(_ b: [UInt8], _ i: Int) -> UInt32 {
    UInt32(word(b, i)) | UInt32(word(b, i + 2)) << 16
}

@inline(__always)
func half(_ b: [UInt8], _ i: Int) -> Float16 { Float16(bitPattern: word(b, i)) }

/// Low nibbles are values 0..<16, high nibbles 16..<32.
private func unpackNibbles(_ b: [UInt8], _ i: Int, _ s: inout SourceBlocks, _ o: Int) {
    for j in 0..<16 {
        s.codes[o + j] = b[i + j] & 15
        s.codes[o + j + 16] = b[i + j] >> 4
    }
}

/// Four bytes of fifth bits, then nibbles.
private func unpackFives(_ b: [UInt8], _ i: Int, _ s: inout SourceBlocks, _ o: Int) {
    unpackNibbles(b, i + 4, &s, o)
    for j in 0..<32 { s.codes[o + j] |= (b[i + j / 8] >> UInt8(j % 8) & 1) << 4 }
}

/// 16 bytes of 4-bit scales and minimums, 64 bytes of 2-bit codes, d, dmin.
private func unpackQ2K(_ b: [UInt8], _ i: Int, _ s: inout SourceBlocks, _ o: Int) {
    s.scales[o / 256] = half(b, i + 80)
    s.minimums[o / 256] = half(b, i + 82)
    for part in 0..<16 {  // 16 values each
        s.integers[o / 16 + part] = b[i + part]
        let shift = UInt8(part % 8 / 2 * 2)
        let codes = i + 16 + part / 8 * 32 + part % 2 * 16
        for j in 0..<16 { s.codes[o + part * 16 + j] = b[codes + j] >> shift & 3 }
    }
}

/// 32 bytes of high bits, 64 bytes of 2-bit codes, 12 bytes of 6-bit scales, d.
private func unpackQ3K(_ b: [UInt8], _ i: Int, _ s: inout SourceBlocks, _ o: Int) {
    s.scales[o / 256] = half(b, i + 108)
    for part in 0..<16 {
        let low = part < 8 ? b[i + 96 + part] & 15 : b[i + 96 + part - 8] >> 4
        let high = b[i + 104 + part % 4] >> UInt8(part / 4 * 2) & 3
        s.integers[o / 16 + part] = (low | high << 4) &- 32
        let shift = UInt8(part % 8 / 2 * 2)
        let codes = i + 32 + part / 8 * 32 + part % 2 * 16
        let bits = i + part % 2 * 16
        for j in 0..<16 {
            let third = b[bits + j] >> UInt8(part / 2) & 1
            s.codes[o + part * 16 + j] = b[codes + j] >> shift & 3 | third << 2
        }
    }
}

/// d, dmin, 12 bytes of 6-bit scales and minimums, (Q5_K: 32 bytes of fifth bits,) 128 of nibbles.
private func unpackQ45K(
    _ b: [UInt8], _ i: Int, _ s: inout SourceBlocks, _ o: Int, fifthBit: Bool
) {
    s.scales[o / 256] = half(b, i)
    s.minimums[o / 256] = half(b, i + 2)
    let codes = i + 16 + (fifthBit ? 32 : 0)
    for part in 0..<8 {  // 32 values each
        let (scale, minimum): (UInt8, UInt8)
        if part < 4 {
            (scale, minimum) = (b[i + 4 + part] & 63, b[i + 8 + part] & 63)
        } else {
            scale = b[i + 8 + part] & 15 | (b[i + part] >> 6) << 4
            minimum = b[i + 8 + part] >> 4 | (b[i + 4 + part] >> 6) << 4
        }
        s.integers[o / 16 + 2 * part] = scale
        s.integers[o / 16 + 2 * part + 1] = minimum
        for j in 0..<32 {
            let byte = b[codes + part / 2 * 32 + j]
            let fifth = fifthBit ? b[i + 16 + j] >> UInt8(part) & 1 : 0
            s.codes[o + part * 32 + j] = (part % 2 == 0 ? byte & 15 : byte >> 4) | fifth << 4
        }
    }
}

/// 128 bytes of low nibbles, 64 of high bit pairs, 16 signed scales, d.
private func unpackQ6K(_ b: [UInt8], _ i: Int, _ s: inout SourceBlocks, _ o: Int) {
    s.scales[o / 256] = half(b, i + 208)
    for part in 0..<16 { s.integers[o / 16 + part] = b[i + 192 + part] }
    for j in 0..<256 {
        let (part, at) = (j / 128, j % 128)
        let low = b[i + part * 64 + at % 64]
        let nibble = at < 64 ? low & 15 : low >> 4
        let high = b[i + 128 + part * 32 + at % 32] >> UInt8(at / 32 * 2) & 3
        s.codes[o + j] = nibble | high << 4
    }
}
