// Block formats of GGUF whose values are not evenly spaced steps: IQ1 to IQ4, MXFP4 and the ternary ones.
internal import TesseraWeightFile

/// One block of such a format, taken apart: value = unit x multiplier x code. All of these products are
/// exact in single precision, whatever their order.
struct CodebookBlock {
    /// A half-precision number times a power of two.
    private(set) var unit: Float = 0
    /// Multipliers of 16 values each.
    private(set) var multipliers = [Int8](repeating: 1, count: 16)
    private(set) var codes = [Int8](repeating: 0, count: 256)

    private static let nonlinear: [Int8] = [
        -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
    ]
    /// Twice the numbers of a 4-bit float with two bits of exponent and one of fraction.
    private static let fourBitFloats: [Int8] = [
        0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12,
    ]

    /// Takes the block apart that begins at `b[i]`.
    mutating func read(_ type: SourceType, _ b: [UInt8], _ i: Int) {
        switch type {
        case .iq4_nl:
            unit = number(b, i)
            nibbles(b, i + 2, Self.nonlinear, to: 0)
        case .mxfp4:
            // 2^(e - 128); the two smallest are below the normal numbers.
            let exponent = UInt32(b[i])
            unit = Float(
                bitPattern: exponent < 2 ? 0x20_0000 << exponent : (exponent - 1) << 23)
            nibbles(b, i + 1, Self.fourBitFloats, to: 0)
        case .iq4_xs: readIQ4XS(b, i)
        case .iq3_xxs: readIQ3XXS(b, i)
        case .iq3_s: readIQ3S(b, i)
        case .iq2_xxs: readIQ2XXS(b, i)
        case .iq2_xs: readIQ2XS(b, i)
        case .iq2_s: readIQ2S(b, i)
        case .iq1_s: readIQ1S(b, i)
        case .iq1_m: readIQ1M(b, i)
        case .tq1_0: readTQ1(b, i)
        case .tq2_0: readTQ2(b, i)
        default: preconditionFailure("\(type) has no codebook")
        }
    }

    private func number(_ b: [UInt8], _ i: Int) -> Float { Float(half(b, i)) }

    /// 16 bytes: low nibbles are values 0..<16, high nibbles 16..<32.
    private mutating func nibbles(_ b: [UInt8], _ i: Int, _ values: [Int8], to target: Int) {
        for j in 0..<16 {
            codes[target + j] = values[Int(b[i + j] & 15)]
            codes[target + j + 16] = values[Int(b[i + j] >> 4)]
        }
    }

    /// Sets the multiplier of 32 values.
    private mutating func multiply(group: Int, by multiplier: Int8) {
        multipliers[2 * group] = multiplier
        multipliers[2 * group + 1] = multiplier
    }

    /// Copies point `index` of a grid, whose numbers get the signs of `signs`, lowest bit first.
    @inline(__always)
    private mutating func point(
        _ grid: [Int8], _ dimensions: Int, _ index: Int, signs: UInt8 = 0, to target: Int
    ) {
        for j in 0..<dimensions {
            let code = grid[index * dimensions + j]
            codes[target + j] = signs >> UInt8(j) & 1 == 0 ? code : -code
        }
    }

    /// Eight signs from seven bits: an even number of them are minus.
    private func signs(_ bits: UInt32) -> UInt8 {
        let low = UInt8(truncatingIfNeeded: bits & 127)
        return low | UInt8(low.nonzeroBitCount & 1) << 7
    }

    // MARK: Layouts

    /// d, 2 bytes of the scales' upper bit pairs, 4 of their nibbles, 128 of nibbles.
    private mutating func readIQ4XS(_ b: [UInt8], _ i: Int) {
        unit = number(b, i)
        let high = word(b, i + 2)
        for group in 0..<8 {
            let low = b[i + 4 + group / 2] >> UInt8(group % 2 * 4) & 15
            let scale = low | UInt8(high >> UInt16(2 * group) & 3) << 4
            multiply(group: group, by: Int8(scale) - 32)
            nibbles(b, i + 8 + 16 * group, Self.nonlinear, to: 32 * group)
        }
    }

    /// d, 64 points, then for each group 28 bits of signs and a 4-bit scale.
    private mutating func readIQ3XXS(_ b: [UInt8], _ i: Int) {
        unit = number(b, i) / 2
        for group in 0..<8 {
            let bits = long(b, i + 66 + 4 * group)
            multiply(group: group, by: Int8(2 * (bits >> 28) + 1))
            for part in 0..<8 {
                let eight = signs(bits >> UInt32(7 * (part / 2)))
                point(
                    CodebookGrid.threeBitsSmall, 4, Int(b[i + 2 + 8 * group + part]),
                    signs: eight >> UInt8(part % 2 * 4), to: 32 * group + 4 * part)
            }
        }
    }

    /// d, 64 points, 8 bytes of their ninth bits, 32 of signs, 4 of scales.
    private mutating func readIQ3S(_ b: [UInt8], _ i: Int) {
        unit = number(b, i)
        for group in 0..<8 {
            let scale = b[i + 106 + group / 2] >> UInt8(group % 2 * 4) & 15
            multiply(group: group, by: Int8(2 * scale + 1))
        }
        for part in 0..<64 {
            let ninth = Int(b[i + 66 + part / 8] >> UInt8(part % 8) & 1)
            point(
                CodebookGrid.threeBitsLarge, 4, Int(b[i + 2 + part]) | ninth << 8,
                signs: b[i + 74 + part / 2] >> UInt8(part % 2 * 4), to: 4 * part)
        }
    }

    /// d, then for each group 4 points, 28 bits of signs and a 4-bit scale.
    private mutating func readIQ2XXS(_ b: [UInt8], _ i: Int) {
        unit = number(b, i) / 8
        for group in 0..<8 {
            let start = i + 2 + 8 * group
            let bits = long(b, start + 4)
            multiply(group: group, by: Int8(2 * (bits >> 28) + 1))
            for part in 0..<4 {
                point(
                    CodebookGrid.twoBitsSmall, 8, Int(b[start + part]),
                    signs: signs(bits >> UInt32(7 * part)), to: 32 * group + 8 * part)
            }
        }
    }

    /// d, 32 words of a point and seven signs, 8 bytes of scales of 16 values.
    private mutating func readIQ2XS(_ b: [UInt8], _ i: Int) {
        unit = number(b, i) / 8
        readScales(b, i + 66)
        for part in 0..<32 {
            let bits = word(b, i + 2 + 2 * part)
            point(
                CodebookGrid.twoBitsMedium, 8, Int(bits & 511), signs: signs(UInt32(bits >> 9)),
                to: 8 * part)
        }
    }

    /// d, 32 points, 32 bytes of signs, 8 of the points' upper bit pairs, 8 of scales of 16 values.
    private mutating func readIQ2S(_ b: [UInt8], _ i: Int) {
        unit = number(b, i) / 8
        readScales(b, i + 74)
        for part in 0..<32 {
            let high = Int(b[i + 66 + part / 4] >> UInt8(part % 4 * 2) & 3)
            point(
                CodebookGrid.twoBitsLarge, 8, Int(b[i + 2 + part]) | high << 8,
                signs: b[i + 34 + part], to: 8 * part)
        }
    }

    /// 8 bytes, a nibble for 16 values.
    private mutating func readScales(_ b: [UInt8], _ i: Int) {
        for part in 0..<16 {
            multipliers[part] = Int8(2 * (b[i + part / 2] >> UInt8(part % 2 * 4) & 15) + 1)
        }
    }

    /// d, 32 points, and for each group 12 upper bits of its points, a 3-bit scale and the sign of its shift.
    private mutating func readIQ1S(_ b: [UInt8], _ i: Int) {
        unit = number(b, i) / 8
        for group in 0..<8 {
            let bits = word(b, i + 34 + 2 * group)
            multiply(group: group, by: Int8(2 * (bits >> 12 & 7) + 1))
            for part in 0..<4 {
                let high = Int(bits >> UInt16(3 * part) & 7)
                shiftedPoint(
                    Int(b[i + 2 + 4 * group + part]) | high << 8, down: bits >> 15 == 1,
                    to: 32 * group + 8 * part)
            }
        }
    }

    /// 32 points, for each a nibble of upper bits and the sign of its shift, and four words of four 3-bit scales
    /// with a nibble of d each.
    private mutating func readIQ1M(_ b: [UInt8], _ i: Int) {
        var bits: UInt16 = 0
        for quarter in 0..<4 {
            let scales = word(b, i + 48 + 2 * quarter)
            bits |= (scales >> 12) << UInt16(4 * quarter)
            for part in 0..<4 {
                let scale = scales >> UInt16(3 * part) & 7
                multipliers[4 * quarter + part] = Int8(2 * scale + 1)
            }
        }
        unit = Float(Float16(bitPattern: bits)) / 8
        for part in 0..<32 {
            let nibble = b[i + 32 + part / 2] >> UInt8(part % 2 * 4)
            shiftedPoint(
                Int(b[i + part]) | Int(nibble & 7) << 8, down: nibble & 8 != 0, to: 8 * part)
        }
    }

    /// A point of eight numbers, all shifted by an eighth of a step.
    private mutating func shiftedPoint(_ index: Int, down: Bool, to target: Int) {
        point(CodebookGrid.oneBit, 8, index, to: target)
        for j in 0..<8 { codes[target + j] += down ? -1 : 1 }
    }

    /// 48 bytes of five digits of base three, 4 bytes of four, d. Bytes are fractions of 256, whose first digits
    /// stand in front: the byte of a 32nd value is one of the next five times 32, and so on.
    private mutating func readTQ1(_ b: [UInt8], _ i: Int) {
        unit = number(b, i + 52)
        for (first, count, digits, target) in [(0, 32, 5, 0), (32, 16, 5, 160), (48, 4, 4, 240)] {
            for j in 0..<count {
                var fraction = b[i + first + j]
                for digit in 0..<digits {
                    codes[target + digit * count + j] = Int8((UInt16(fraction) * 3) >> 8) - 1
                    fraction &*= 3
                }
            }
        }
    }

    /// 64 bytes of 2-bit codes, d.
    private mutating func readTQ2(_ b: [UInt8], _ i: Int) {
        unit = number(b, i + 64)
        for j in 0..<256 {
            let byte = b[i + j / 128 * 32 + j % 32]
            codes[j] = Int8(byte >> UInt8(j % 128 / 32 * 2) & 3) - 1
        }
    }
}

// MARK: Values and codes

extension CodebookBlock {
    /// The first `count` values.
    func write(to output: inout [Float], at start: Int, count: Int) {
        for j in 0..<count {
            output[start + j] = unit * Float(multipliers[j / 16]) * Float(codes[j])
        }
    }

    /// Appends `count` values to blocks of the type's encoding, from value `start` on. A scale that half precision
    /// does not hold is rounded.
    func write(
        to blocks: inout SourceBlocks, at start: Int, count: Int, as encoding: TensorEncoding
    ) {
        let offset: Int =
            switch encoding {
            case .int8: 128
            case .int6Nested: 32
            case .int5, .int5Nested: 16
            default: 1
            }
        for j in 0..<count { blocks.codes[start + j] = UInt8(offset + Int(codes[j])) }
        guard !blocks.integers.isEmpty else {
            for group in 0..<count / 32 {
                let scale = unit * Float(multipliers[2 * group])
                blocks.scales[start / 32 + group] = Float16(scale)
                blocks.rounding += rounding(
                    of: scale, times: 1, in: 32 * group..<32 * group + 32)
            }
            return
        }
        blocks.scales[start / 256] = Float16(unit)
        let factor = Float(blocks.scales[start / 256])
        for part in 0..<16 {
            let multiplier = UInt8(bitPattern: multipliers[part])
            blocks.integers[start / 16 + part] =
                encoding == .int2Nested ? multiplier | multiplier << 4 : multiplier
        }
        if !blocks.minimums.isEmpty {
            blocks.minimums[start / 256] = Float16(factor * Float(offset))
        }
        for group in 0..<8 where factor != unit {
            blocks.rounding += rounding(
                of: unit, times: Float(multipliers[2 * group]), in: 32 * group..<32 * group + 32)
        }
    }

    /// The error of a group whose scale is rounded to half precision.
    private func rounding(
        of scale: Float, times multiplier: Float, in group: Range<Int>
    ) -> SourceBlocks.Rounding {
        let error = Double((scale - Float(Float16(scale))) * multiplier)
        guard error != 0 else { return .init() }
        let squares = codes[group].reduce(0.0) { $0 + Double($1) * Double($1) }
        let value = Double(scale * multiplier)
        return .init(
            groups: 1, squaredError: error * error * squares,
            squaredValue: value * value * squares)
    }
}
