/// Floats of one sign, four exponent and three fraction bits (E4M3 without infinity, as `torch.float8_e4m3fn`).
enum EightBitFloat {
    /// Values by bit pattern.
    static let values = (0..<256).map { value(UInt8($0)) }

    private static func value(_ bits: UInt8) -> Float {
        let (exponent, fraction) = (Int(bits >> 3 & 15), Float(bits & 7))
        guard bits & 0x7F != 0x7F else { return .nan }
        let magnitude =
            exponent == 0
            ? Float(sign: .plus, exponent: -9, significand: fraction)
            : Float(sign: .plus, exponent: exponent - 7, significand: 1 + fraction / 8)
        return bits & 0x80 == 0 ? magnitude : -magnitude
    }
}

/// Factors of the blocks of a matrix of 8-bit floats.
struct BlockScales {
    /// Rows and columns of one block.
    var rows: Int
    var columns: Int
    /// Blocks next to each other.
    var count: Int
    /// `[blocks of rows, count]`.
    var values: [Float]

    /// Multiplies a row of `width` values.
    func apply(to output: inout [Float], at start: Int, row: Int, width: Int) {
        let first = row / rows * count
        for column in 0..<width { output[start + column] *= values[first + column / columns] }
    }
}
