import WeightFile

/// The values of a tensor, element by element as Formats/TSR.md §10 says; slow and plain.
///
/// - Returns: `[rows * columns]`, row-major.
func dequantize(_ tensor: TensorRecord, in file: WeightFile) -> [Float] {
    let plain = file.plainBytes(of: tensor)
    let bytes = plain.span.bytes
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

extension WeightFile {
    /// The bytes of a tile in the file.
    func storedTile(_ index: Int, of tensor: TensorRecord) -> [UInt8] {
        let bytes = self.bytes(of: tensor)
        return tileRange(index, of: tensor).map {
            bytes.unsafeLoad(fromByteOffset: $0 - tensor.offset, as: UInt8.self)
        }
    }

    /// The bytes of a tensor as Formats/TSR.md §10 lays them out; empty where tiles do not decode.
    func plainBytes(of tensor: TensorRecord) -> [UInt8] {
        let tiles = (0..<tensor.tileCount).map { storedTile($0, of: tensor) }
        guard tensor.storage != .plain else { return tiles.flatMap { $0 } }
        let coder = TileCoder(
            encoding: tensor.encoding, storage: tensor.storage, columns: tensor.columns)
        let panel = TensorRecord.panelBytes(encoding: tensor.encoding, columns: tensor.columns)
        return tiles.enumerated().flatMap { index, tile in
            coder.decode(tile.span.bytes, panels: tensor.plainTileBytes(index) / panel) ?? []
        }
    }
}
