internal import TesseraImport
internal import TesseraKernels
internal import TesseraWeightFile

/// Uniform quantization of a matrix that is to be entropy-coded: one distance between codes per row.
public struct UniformSteps: Sendable, Equatable {
    /// The step of a row whose values have the deviation below.
    public var step: Float
    /// Root of the mean square of all values.
    public var deviation: Float

    /// Rows that matter more have smaller steps.
    var frequency = RowFrequency.even

    /// The step of a row, a half-precision number. It grows with the square root of the row's deviation:
    /// equal steps would give each row the same error, steps in proportion the same rate; in between
    /// the codes of a tile, which share one table, cost least (1 to 6 % less error at equal size on
    /// trained weights).
    func step(of row: Int, _ values: ArraySlice<Float>) -> Float {
        var sum: Float = 0
        for value in values { sum += value * value }
        let size = (sum / Float(max(1, values.count))).squareRoot()
        let usual = deviation > 0 ? step * (size / deviation).squareRoot() : step
        let wanted = usual / Float(frequency(row).squareRoot())
        return Float(min(max(Float16(wanted), .leastNonzeroMagnitude), .greatestFiniteMagnitude))
    }
}

/// Bytes of whole panels of a tensor, and how far they are from the source.
struct PackedRows: Sendable {
    var bytes: [UInt8]
    var distance = PanelEncoder.Distance()
    /// Groups of the source's codes that had to be rounded again.
    var recodedGroups = 0
}

/// Stored tiles of a tensor, and how far they are from the source.
struct PackedTiles: Sendable {
    var tiles: [[UInt8]]
    var distance = PanelEncoder.Distance()
}

/// Encodes rows of a tensor into the byte layouts of Formats/TSR.md §10.
struct PanelPacker: Sendable {
    let tensor: SourceTensor
    let encoding: TensorEncoding
    /// Starting points of the search for a scale.
    let candidates: Int
    /// One scale per row; nil: one per group of 32 columns.
    var steps: UniformSteps?
    /// With steps, nested scales or a trellis: how columns make up for each other's errors.
    var feedback: ColumnFeedback?
    /// Trellises, instead of steps.
    var trellis: TrellisMix?

    /// - Parameters:
    ///   - values: Row-major, `rows.count * columns`.
    ///   - rows: Begins on a panel boundary.
    func pack(_ values: [Float], rows: Range<Int>) throws(QuantizationError) -> PackedRows {
        guard encoding.rowsPerPanel > 1, let kind = Matrix.Encoding(rawValue: encoding.rawValue)
        else { return try packFloats(values, rows: rows) }
        let columns = tensor.columns
        let steps = self.steps.map { steps in
            (0..<rows.count).map {
                steps.step(
                    of: rows.lowerBound + $0, values[$0 * columns..<($0 + 1) * columns])
            }
        }
        let encoder = PanelEncoder(
            encoding: kind, columns: columns, candidates: candidates, feedback: feedback)
        do {
            let (bytes, distance) = try encoder.encode(
                values, rows: rows.count, steps: steps ?? [])
            return PackedRows(bytes: bytes, distance: distance)
        } catch .outOfRange(let row) {
            throw .outOfRange(tensor: tensor.name, row: rows.lowerBound + row)
        } catch {
            throw notFinite(values, rows: rows)
        }
    }

    /// Tiles of a trellis.
    ///
    /// - Parameters:
    ///   - values: Row-major, `rows.count * columns`.
    ///   - rows: Begins on a tile's boundary.
    func packTiles(
        _ values: [Float], rows: Range<Int>
    ) throws(QuantizationError) -> PackedTiles {
        guard let trellis else { preconditionFailure("no trellis") }
        let spec = TensorSpec(
            name: tensor.name, rows: tensor.rows, columns: tensor.columns, encoding: encoding,
            storage: .trellis)
        var packed = PackedTiles(tiles: [])
        var turned = Array(values[..<(rows.count * tensor.columns)])
        turnRows(&turned, columns: tensor.columns)
        for row in stride(from: 0, to: rows.count, by: spec.tileRows) {
            let end = min(row + spec.tileRows, rows.count)
            do {
                let way = trellis.trellis(ofTile: (rows.lowerBound + row) / spec.tileRows)
                let (tile, distance) = try way.encode(
                    Array(turned[row * tensor.columns..<end * tensor.columns]),
                    rows: end - row, columns: tensor.columns, feedback: feedback)
                packed.tiles.append(tile)
                packed.distance += distance
            } catch .outOfRange(let index) {
                throw .outOfRange(tensor: tensor.name, row: rows.lowerBound + row + index)
            } catch {
                throw notFinite(values, rows: rows)
            }
        }
        return packed
    }

    private func notFinite(_ values: [Float], rows: Range<Int>) -> QuantizationError {
        let index = values.firstIndex { !$0.isFinite } ?? 0
        return .notFinite(
            tensor: tensor.name, row: rows.lowerBound + index / tensor.columns,
            column: index % tensor.columns)
    }

    private func packFloats(
        _ values: [Float], rows: Range<Int>
    ) throws(QuantizationError) -> PackedRows {
        var packed = PackedRows(bytes: [])
        let count = rows.count * tensor.columns
        packed.bytes.reserveCapacity(count * (encoding == .f32 ? 4 : 2))
        for index in 0..<count {
            let value = values[index]
            guard value.isFinite else { throw notFinite(values, rows: rows) }
            if encoding == .f32 {
                append(value.bitPattern, to: &packed.bytes)
            } else {
                let half = Float16(value)
                guard half.isFinite else {
                    throw .outOfRange(
                        tensor: tensor.name, row: rows.lowerBound + index / tensor.columns)
                }
                let error = Double(value - Float(half))
                packed.distance.squaredError += error * error
                append(half.bitPattern, to: &packed.bytes)
            }
            packed.distance.squaredValue += Double(value) * Double(value)
        }
        return packed
    }

    /// Packs the source's own codes, bit for bit where the format has them and their scales.
    func pack(
        _ source: SourceBlocks, rows: Range<Int>
    ) throws(QuantizationError) -> PackedRows {
        guard let kind = Matrix.Encoding(rawValue: encoding.rawValue), !kind.isFloat else {
            preconditionFailure("codes of \(encoding)")
        }
        if let index = (source.scales.firstIndex { !$0.isFinite })
            ?? (source.minimums.firstIndex { !$0.isFinite })
        {
            let each = source.scales.count / rows.count
            throw .notFinite(
                tensor: tensor.name, row: rows.lowerBound + index / each,
                column: index % each * (tensor.columns / each))
        }
        var blocks = source
        var (recoded, distance) =
            encoding == .int8 ? blocks.leaveOutLowestCode() : (0, PanelEncoder.Distance())
        recoded += blocks.rounding.groups
        distance.squaredError += blocks.rounding.squaredError
        distance.squaredValue += blocks.rounding.squaredValue
        let codes = KnownCodes(
            codes: blocks.codes, scales: blocks.scales, minimums: blocks.minimums,
            integers: blocks.integers)
        return PackedRows(
            bytes: codes.panels(kind, rows: rows.count, columns: tensor.columns),
            distance: distance, recodedGroups: recoded)
    }

    private func append<T: FixedWidthInteger>(_ bits: T, to bytes: inout [UInt8]) {
        for index in 0..<MemoryLayout<T>.size {
            bytes.append(UInt8(truncatingIfNeeded: bits >> T(8 * index)))
        }
    }
}
