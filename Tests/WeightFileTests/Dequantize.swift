import WeightFile

/// The values of a tensor, element by element as Formats/TSR.md §10 says; slow and plain.
///
/// - Returns: `[rows * columns]`, row-major.
func dequantize(_ tensor: TensorRecord, in file: WeightFile) -> [Float] {
    let bytes = file.bytes(of: tensor)
    func u8(_ offset: Int) -> Int { Int(bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)) }
    func half(_ offset: Int) -> Float {
        let bits = bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self)
        return Float(Float16(bitPattern: bits))
    }
    let groups = (tensor.columns + 31) / 32
    let plane = (32 * groups + 63) / 64 * 64
    let panelBytes = TensorRecord.panelBytes(encoding: tensor.encoding, columns: tensor.columns)
    var values: [Float] = []
    for row in 0..<tensor.rows {
        let (panel, r) = (row / 16 * panelBytes, row % 16)
        for column in 0..<tensor.columns {
            let (group, c) = (column / 32, column % 32)
            let place = row * tensor.columns + column
            let scale = panel + 2 * (16 * group + r)
            let nibble = 256 * group + 64 * (c / 8) + 4 * r + c % 4
            let shift = c % 8 / 4 * 4
            switch tensor.encoding {
            case .f32:
                values.append(bytes.unsafeLoadUnaligned(fromByteOffset: 4 * place, as: Float.self))
            case .f16:
                values.append(half(2 * place))
            case .int8:
                let code = u8(panel + plane + 512 * group + 64 * (c / 4) + 4 * r + c % 4)
                values.append(half(scale) * Float(code - 128))
            case .int4:
                let code = u8(panel + plane + nibble) >> shift & 15
                values.append(half(scale) * Float(code - 8))
            case .int4Affine:
                let code = u8(panel + 2 * plane + nibble) >> shift & 15
                values.append(half(scale) * Float(code) + half(scale + plane))
            }
        }
    }
    return values
}
