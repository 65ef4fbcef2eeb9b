public import TesseraKernels
public import TesseraWeightFile

extension WeightFile {
    /// A tensor that opening the file has proved to exist.
    private func required(_ name: String) -> TensorRecord {
        guard let record = tensor(name) else { preconditionFailure("no tensor \(name)") }
        return record
    }

    /// A view of a matrix in the mapping, which it keeps.
    public func matrix(_ name: String) -> Matrix {
        let record = required(name)
        guard record.storage == .plain else {
            let ranges = tileRanges(of: record)
            let tiles = TileTable(count: ranges.count)
            for (index, range) in ranges.enumerated() {
                unsafe tiles.set(
                    index,
                    to: UnsafeRawBufferPointer(
                        start: unsafePointer(of: record) + (range.lowerBound - record.offset),
                        count: range.count))
            }
            return matrix(record, tiles: tiles)
        }
        // Safe: the record lies inside the mapping, which lives as long as this file, the owner.
        let bytes = unsafe UnsafeRawBufferPointer(
            start: unsafePointer(of: record), count: record.byteCount)
        return unsafe Matrix(
            rows: record.rows, columns: record.columns, encoding: record.kernelEncoding,
            bytes: bytes, owner: self)
    }

    /// A matrix whose tiles are where `tiles` says.
    func matrix(_ record: TensorRecord, tiles: TileTable) -> Matrix {
        Matrix(
            rows: record.rows, columns: record.columns, encoding: record.kernelEncoding,
            storage: record.kernelStorage, tileRows: record.tileRows, tiles: tiles,
            byteCount: record.byteCount, owner: self)
    }

    /// A copy of a vector, as floats.
    public func vector(_ name: String) -> Buffer<Float> {
        let record = required(name)
        let bytes = self.bytes(of: record)
        let vector = Buffer<Float>(count: record.columns)
        for index in 0..<record.columns {
            if record.encoding == .f16 {
                let bits = unsafe bytes.unsafeLoadUnaligned(
                    fromByteOffset: index * 2, as: UInt16.self)
                vector[index] = Float(Float16(bitPattern: UInt16(littleEndian: bits)))
            } else {
                let bits = unsafe bytes.unsafeLoadUnaligned(
                    fromByteOffset: index * 4, as: UInt32.self)
                vector[index] = Float(bitPattern: UInt32(littleEndian: bits))
            }
        }
        return vector
    }

    /// Stored bytes of each tile of a matrix that can be streamed: integers, and large enough to lie on
    /// pages of their own. nil for others, which are used from the mapping.
    public func streamableTiles(of record: TensorRecord) -> [Range<Int>]? {
        guard record.encoding.rowsPerPanel > 1, record.byteCount >= 1 << 14 else { return nil }
        return tileRanges(of: record)
    }

    /// The activations' codes that its matrices multiply, those of further tensors among them.
    public var forms: Matrix.Forms {
        tensors.reduce(into: []) { forms, record in
            if record.encoding.rowsPerPanel > 1 { forms.formUnion(record.kernelStorage.form) }
        }
    }

    /// Plain bytes of the largest coded tile; 0 where none is coded.
    public var largestCodedTile: Int {
        tensors.reduce(0) { largest, record in
            record.storage == .plain ? largest : max(largest, record.plainTileBytes(0))
        }
    }

    /// Stored bytes of each tile in the file.
    func tileRanges(of record: TensorRecord) -> [Range<Int>] {
        (0..<record.tileCount).map { tileRange($0, of: record) }
    }
}

extension TensorRecord {
    var kernelEncoding: Matrix.Encoding {
        guard let encoding = Matrix.Encoding(rawValue: encoding.rawValue) else {
            preconditionFailure("encoding \(encoding)")
        }
        return encoding
    }

    var kernelStorage: Matrix.Storage {
        guard let storage = Matrix.Storage(rawValue: storage.rawValue) else {
            preconditionFailure("storage \(storage)")
        }
        return storage
    }
}
