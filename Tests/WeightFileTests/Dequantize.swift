import TesseraWeightFile

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
    let layout = PanelLayout(tensor.encoding, columns: tensor.columns)
    let panelBytes = TensorRecord.panelBytes(encoding: tensor.encoding, columns: tensor.columns)
    var values: [Float] = []
    for row in 0..<tensor.rows {
        let (panel, r) = (row / 16 * panelBytes, row % 16)
        for column in 0..<tensor.columns {
            let (group, c) = (column / 32, column % 32)
            let place = row * tensor.columns + column
            let scale = panel + 2 * (16 * group + r)
            func code() -> Float { Float(layout.code(group, r, c) { u8(panel + $0) }) }
            switch tensor.encoding {
            case .f32:
                values.append(bytes.unsafeLoadUnaligned(fromByteOffset: 4 * place, as: Float.self))
            case .f16: values.append(half(2 * place))
            case .int8: values.append(half(scale) * (code() - 128))
            case .int4: values.append(half(scale) * (code() - 8))
            case .int5: values.append(half(scale) * (code() - 16))
            case .int4Affine, .int5Affine:
                values.append(half(scale) * code() + half(scale + layout.plane))
            case .int2Nested, .int3Nested, .int4Nested, .int5Nested, .int6Nested:
                let first = u8(panel + 32 * group + r)
                let second = u8(panel + 32 * group + 16 + r)
                let own = c < 16 ? first : second
                let factor = panel + layout.plane + column / 256 * layout.factorBytes + 2 * r
                let d = half(factor)
                switch tensor.encoding {
                case .int2Nested:
                    values.append(
                        d * Float(own & 15) * code() - half(factor + 32) * Float(own >> 4))
                case .int3Nested:
                    values.append(d * Float(Int8(truncatingIfNeeded: own)) * (code() - 4))
                case .int6Nested:
                    values.append(d * Float(Int8(truncatingIfNeeded: own)) * (code() - 32))
                default:
                    values.append(d * Float(first) * code() - half(factor + 32) * Float(second))
                }
            }
        }
    }
    return values
}

/// Where what is in a panel, from Formats/TSR.md §10.
struct PanelLayout {
    let bits: Int
    let plane: Int
    /// Bytes of a super-group's factors.
    let factorBytes: Int
    let planesBytes: Int

    init(_ encoding: TensorEncoding, columns: Int) {
        let groups = (columns + 31) / 32
        plane = (32 * groups + 63) / 64 * 64
        bits = Int(encoding.description.dropFirst(3).prefix(1)) ?? 0
        let isNested = encoding.description.hasSuffix("Nested")
        factorBytes = !isNested ? 0 : encoding == .int3Nested || encoding == .int6Nested ? 32 : 64
        let others = ((groups + 7) / 8 * factorBytes + 63) / 64 * 64
        planesBytes =
            encoding.description.hasSuffix("Affine") ? 2 * plane : plane + (isNested ? others : 0)
    }

    /// - Parameter byte: At an offset in the panel.
    func code(_ group: Int, _ row: Int, _ column: Int, _ byte: (Int) -> Int) -> Int {
        let start = planesBytes + 64 * bits * group + 4 * row + column % 4
        if bits == 8 { return byte(start + 64 * (column / 4)) }
        var (code, taken) = (0, 0)
        for width in [4, 2, 1] where bits & width != 0 {
            let (line, place) = (column / 4).quotientAndRemainder(dividingBy: 8 / width)
            let bits = byte(start + 64 * (taken + line)) >> (width * place)
            code |= (bits & (1 << width - 1)) << taken
            taken += width
        }
        return code
    }
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
