internal import Import
internal import WeightFile

/// Bytes of whole panels of a tensor, and how far they are from the source.
struct PackedRows: Sendable {
    var bytes: [UInt8]
    /// Sums over the weights: (value - stored)^2 and value^2.
    var squaredError = 0.0
    var squaredValue = 0.0
}

/// Encodes rows of a tensor into the byte layouts of Formats/TSR.md §7.
struct PanelPacker: Sendable {
    let tensor: SourceTensor
    let encoding: TensorEncoding
    /// Starting points of the search for a 4-bit scale.
    let candidates: Int

    private var groups: Int { (tensor.columns + 31) / 32 }
    private var planeBytes: Int { (groups * 32 + 63) / 64 * 64 }
    private var panelBytes: Int {
        TensorRecord.panelBytes(encoding: encoding, columns: tensor.columns)
    }

    /// - Parameters:
    ///   - values: Row-major, `rows.count * columns`.
    ///   - rows: Begins on a panel boundary.
    func pack(_ values: [Float], rows: Range<Int>) throws(QuantizationError) -> PackedRows {
        for index in 0..<rows.count * tensor.columns where !values[index].isFinite {
            throw .notFinite(
                tensor: tensor.name, row: rows.lowerBound + index / tensor.columns,
                column: index % tensor.columns)
        }
        switch encoding {
        case .f32, .f16: return packFloats(values, count: rows.count * tensor.columns)
        case .int8, .int4, .int4Affine: return try packGroups(values, rows: rows)
        }
    }

    private func packFloats(_ values: [Float], count: Int) -> PackedRows {
        var packed = PackedRows(bytes: [])
        packed.bytes.reserveCapacity(count * (encoding == .f32 ? 4 : 2))
        for index in 0..<count {
            let value = values[index]
            if encoding == .f32 {
                append(value.bitPattern, to: &packed.bytes)
            } else {
                let half = Float16(value)
                let error = Double(value - Float(half))
                packed.squaredError += error * error
                append(half.bitPattern, to: &packed.bytes)
            }
            packed.squaredValue += Double(value) * Double(value)
        }
        return packed
    }

    private func packGroups(
        _ values: [Float], rows: Range<Int>
    ) throws(QuantizationError) -> PackedRows {
        var packed = emptyPanels(rows)
        for row in 0..<rows.count {
            for group in 0..<groups {
                let begin = row * tensor.columns + group * 32
                let range = begin..<min(begin + 32, (row + 1) * tensor.columns)
                let encoded =
                    switch encoding {
                    case .int8: GroupEncoder.int8(values, range)
                    case .int4: GroupEncoder.int4(values, range, candidates: candidates)
                    default: GroupEncoder.int4Affine(values, range, candidates: candidates)
                    }
                guard encoded.scale.isFinite, encoded.minimum.isFinite else {
                    throw .outOfRange(tensor: tensor.name, row: rows.lowerBound + row)
                }
                packed.squaredError += Double(encoded.squaredError)
                for index in range {
                    packed.squaredValue += Double(values[index]) * Double(values[index])
                }
                put(encoded, row: row, group: group, count: range.count, into: &packed.bytes)
            }
        }
        return packed
    }

    /// Packs the source's own codes, bit for bit.
    func pack(_ blocks: SourceBlocks, rows: Range<Int>) -> PackedRows {
        var packed = emptyPanels(rows)
        for row in 0..<rows.count {
            for group in 0..<groups {
                let index = row * groups + group
                var encoded = EncodedGroup(
                    codes: .init(repeating: 0), scale: blocks.scales[index],
                    minimum: encoding == .int4Affine ? blocks.minimums[index] : 0,
                    squaredError: 0)
                for i in 0..<32 { encoded.codes[i] = blocks.codes[index * 32 + i] }
                put(encoded, row: row, group: group, count: 32, into: &packed.bytes)
            }
        }
        return packed
    }

    /// Panels whose every code stands for zero.
    private func emptyPanels(_ rows: Range<Int>) -> PackedRows {
        let panels = (rows.count + 15) / 16
        var bytes = [UInt8](repeating: 0, count: panels * panelBytes)
        let neutral: UInt8 = encoding == .int8 ? 128 : encoding == .int4 ? 0x88 : 0
        if neutral != 0 {
            for panel in 0..<panels {
                for index in planeBytes..<panelBytes { bytes[panel * panelBytes + index] = neutral }
            }
        }
        return PackedRows(bytes: bytes)
    }

    /// - Parameter count: Weights of the group; codes behind them stay neutral.
    private func put(
        _ encoded: EncodedGroup, row: Int, group: Int, count: Int, into bytes: inout [UInt8]
    ) {
        let panel = row / 16 * panelBytes
        let within = row % 16
        let plane = panel + (group * 16 + within) * 2
        bytes[plane] = UInt8(truncatingIfNeeded: encoded.scale.bitPattern)
        bytes[plane + 1] = UInt8(encoded.scale.bitPattern >> 8)
        if encoding == .int8 {
            let base = panel + planeBytes + group * 512 + within * 4
            for i in 0..<count { bytes[base + i / 4 * 64 + i % 4] = encoded.codes[i] }
            return
        }
        var base = panel + planeBytes
        if encoding == .int4Affine {
            bytes[plane + planeBytes] = UInt8(truncatingIfNeeded: encoded.minimum.bitPattern)
            bytes[plane + planeBytes + 1] = UInt8(encoded.minimum.bitPattern >> 8)
            base += planeBytes
        }
        base += group * 256 + within * 4
        for i in 0..<count {
            let at = base + i / 8 * 64 + i % 4
            bytes[at] =
                i % 8 < 4
                ? bytes[at] & 0xf0 | encoded.codes[i] : bytes[at] & 0x0f | encoded.codes[i] << 4
        }
    }

    private func append<T: FixedWidthInteger>(_ bits: T, to bytes: inout [UInt8]) {
        for index in 0..<MemoryLayout<T>.size {
            bytes.append(UInt8(truncatingIfNeeded: bits >> T(8 * index)))
        }
    }
}
