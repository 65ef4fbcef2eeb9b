// The block formats of GGUF as values: each function decodes one block. The layouts are ggml's.

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
        case 30: self = .bf16
        default: return nil
        }
    }

    /// Values of one block.
    var blockElements: Int {
        switch self {
        case .f32, .f16, .bf16, .synthetic: 1
        case .q4_0, .q4_1, .q5_0, .q5_1, .q8_0: 32
        case .q2_K, .q3_K, .q4_K, .q5_K, .q6_K: 256
        }
    }

    /// Bytes of one block.
    var blockBytes: Int {
        switch self {
        case .f32: 4
        case .f16, .bf16: 2
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
        case .synthetic: 0
        }
    }

    /// Decodes `count` values that begin at `bytes[start]` into `output[outputStart...]`.
    func decode(
        _ bytes: [UInt8], from start: Int, count: Int, into output: inout [Float],
        at outputStart: Int
    ) {
        var source = start
        var target = outputStart
        for _ in 0..<count / blockElements {
            decodeBlock(bytes, source, &output, target)
            source += blockBytes
            target += blockElements
        }
    }

    @inline(__always)
    private func decodeBlock(_ b: [UInt8], _ i: Int, _ y: inout [Float], _ o: Int) {
        switch self {
        case .f32:
            let low = UInt32(word(b, i))
            y[o] = Float(bitPattern: low | UInt32(word(b, i + 2)) << 16)
        case .f16: y[o] = half(b, i)
        case .bf16: y[o] = Float(bitPattern: UInt32(word(b, i)) << 16)
        case .q4_0: decode4(b, i + 2, &y, o, scale: half(b, i), minimum: -8 * half(b, i))
        case .q4_1: decode4(b, i + 4, &y, o, scale: half(b, i), minimum: half(b, i + 2))
        case .q5_0: decode5(b, i + 2, &y, o, scale: half(b, i), offset: 16, minimum: 0)
        case .q5_1: decode5(b, i + 4, &y, o, scale: half(b, i), offset: 0, minimum: half(b, i + 2))
        case .q8_0:
            let scale = half(b, i)
            for j in 0..<32 { y[o + j] = scale * Float(Int8(bitPattern: b[i + 2 + j])) }
        case .q2_K: decodeQ2K(b, i, &y, o)
        case .q3_K: decodeQ3K(b, i, &y, o)
        case .q4_K: decodeQ45K(b, i, &y, o, fifthBit: false)
        case .q5_K: decodeQ45K(b, i, &y, o, fifthBit: true)
        case .q6_K: decodeQ6K(b, i, &y, o)
        case .synthetic: break
        }
    }
}

@inline(__always)
func word(_ b: [UInt8], _ i: Int) -> UInt16 { UInt16(b[i]) | UInt16(b[i + 1]) << 8 }

@inline(__always)
func half(_ b: [UInt8], _ i: Int) -> Float { Float(Float16(bitPattern: word(b, i))) }

/// Low nibbles are values 0..<16, high nibbles 16..<32.
private func decode4(
    _ b: [UInt8], _ i: Int, _ y: inout [Float], _ o: Int, scale: Float, minimum: Float
) {
    for j in 0..<16 {
        y[o + j] = scale * Float(b[i + j] & 15) + minimum
        y[o + j + 16] = scale * Float(b[i + j] >> 4) + minimum
    }
}

/// Four bytes of fifth bits, then nibbles as in `decode4`.
private func decode5(
    _ b: [UInt8], _ i: Int, _ y: inout [Float], _ o: Int, scale: Float, offset: Float,
    minimum: Float
) {
    let bits = UInt32(word(b, i)) | UInt32(word(b, i + 2)) << 16
    for j in 0..<16 {
        let low = UInt32(b[i + 4 + j] & 15) | (bits >> UInt32(j) & 1) << 4
        let high = UInt32(b[i + 4 + j] >> 4) | (bits >> UInt32(j + 16) & 1) << 4
        y[o + j] = scale * (Float(low) - offset) + minimum
        y[o + j + 16] = scale * (Float(high) - offset) + minimum
    }
}

/// 16 bytes of 4-bit scales and minimums, 64 bytes of 2-bit codes, d, dmin.
private func decodeQ2K(_ b: [UInt8], _ i: Int, _ y: inout [Float], _ o: Int) {
    let d = half(b, i + 80)
    let dmin = half(b, i + 82)
    for part in 0..<16 {  // 16 values each
        let scale = d * Float(b[i + part] & 15)
        let minimum = dmin * Float(b[i + part] >> 4)
        let shift = UInt8(part % 8 / 2 * 2)
        let codes = i + 16 + part / 8 * 32 + part % 2 * 16
        for j in 0..<16 {
            y[o + part * 16 + j] = scale * Float(b[codes + j] >> shift & 3) - minimum
        }
    }
}

/// 32 bytes of high bits, 64 bytes of 2-bit codes, 12 bytes of 6-bit scales, d.
private func decodeQ3K(_ b: [UInt8], _ i: Int, _ y: inout [Float], _ o: Int) {
    let d = half(b, i + 108)
    for part in 0..<16 {
        let low = part < 8 ? b[i + 96 + part] & 15 : b[i + 96 + part - 8] >> 4
        let high = b[i + 104 + part % 4] >> UInt8(part / 4 * 2) & 3
        let scale = d * Float(Int(low | high << 4) - 32)
        let shift = UInt8(part % 8 / 2 * 2)
        let codes = i + 32 + part / 8 * 32 + part % 2 * 16
        let bits = i + part % 2 * 16
        let bit = UInt8(part / 2)
        for j in 0..<16 {
            let code = Int(b[codes + j] >> shift & 3) - (b[bits + j] >> bit & 1 == 0 ? 4 : 0)
            y[o + part * 16 + j] = scale * Float(code)
        }
    }
}

/// d, dmin, 12 bytes of 6-bit scales and minimums, (Q5_K: 32 bytes of fifth bits,) 128 of nibbles.
private func decodeQ45K(
    _ b: [UInt8], _ i: Int, _ y: inout [Float], _ o: Int, fifthBit: Bool
) {
    let d = half(b, i)
    let dmin = half(b, i + 2)
    let codes = i + 16 + (fifthBit ? 32 : 0)
    for part in 0..<8 {  // 32 values each
        let (s, m): (UInt8, UInt8)
        if part < 4 {
            s = b[i + 4 + part] & 63
            m = b[i + 8 + part] & 63
        } else {
            s = b[i + 8 + part] & 15 | (b[i + part] >> 6) << 4
            m = b[i + 8 + part] >> 4 | (b[i + 4 + part] >> 6) << 4
        }
        let scale = d * Float(s)
        let minimum = dmin * Float(m)
        for j in 0..<32 {
            let byte = b[codes + part / 2 * 32 + j]
            var code = part % 2 == 0 ? byte & 15 : byte >> 4
            if fifthBit { code |= (b[i + 16 + j] >> UInt8(part) & 1) << 4 }
            y[o + part * 32 + j] = scale * Float(code) - minimum
        }
    }
}

/// 128 bytes of low nibbles, 64 of high bit pairs, 16 signed scales, d.
private func decodeQ6K(_ b: [UInt8], _ i: Int, _ y: inout [Float], _ o: Int) {
    let d = half(b, i + 208)
    for j in 0..<256 {
        let (part, at) = (j / 128, j % 128)
        let low = b[i + part * 64 + at % 64]
        let nibble = at < 64 ? low & 15 : low >> 4
        let high = b[i + 128 + part * 32 + at % 32] >> UInt8(at / 32 * 2) & 3
        let scale = Float(Int8(bitPattern: b[i + 192 + j / 16]))
        y[o + j] = d * scale * Float(Int(nibble | high << 4) - 32)
    }
}
