/// The tensor directory and the tile table as they stand in a file. Formats/TSR.md §8 and §9.
enum TensorDirectory {
    /// Bytes of one record; the names follow the records.
    static let recordBytes = 64
    /// Bytes of one entry of the tile table.
    static let tileBytes = 24

    /// Reads and checks the directory. Rules 24...30, 32.
    static func parse(
        _ bytes: RawSpan, base: Int, header: Header
    ) throws(Violation) -> [TensorRecord] {
        var fields = FieldReader(bytes, base: base, sizeRule: .directorySize)
        let namesOffset = header.tensorCount * recordBytes
        guard header.tensorCount <= Limits.tensors, namesOffset <= bytes.byteCount else {
            throw Violation(
                .directorySize, at: base, found: "\(bytes.byteCount) bytes",
                expected: "\(header.tensorCount) records, at most \(Limits.tensors)")
        }
        var names = FieldReader(
            bytes.extracting(namesOffset..<bytes.byteCount), base: base + namesOffset,
            sizeRule: .tensorName)
        var expected = Expected(end: header.dataOffset, name: 0, tile: 0)
        var records: [TensorRecord] = []
        records.reserveCapacity(header.tensorCount)
        for _ in 0..<header.tensorCount {
            records.append(try record(&fields, &names, &expected, header))
        }
        try names.finish()
        guard expected.tile == header.tileCount else {
            throw Violation(
                .tensorTiling, at: 116, found: "\(header.tileCount) tiles", expected: expected.tile)
        }
        guard expected.end == header.fileBytes else {
            throw Violation(
                .fileEnd, at: 16, found: "\(header.fileBytes) bytes", expected: expected.end)
        }
        return records
    }

    /// What the tensors so far have taken of data, names and tiles: there are no holes.
    private struct Expected {
        var end: Int
        var name: Int
        var tile: Int
    }

    private static func record(
        _ fields: inout FieldReader, _ names: inout FieldReader, _ expected: inout Expected,
        _ header: Header
    ) throws(Violation) -> TensorRecord {
        let start = fields.offset
        let name = try readName(&fields, &names, &expected)
        let rows = try dimension(&fields, tensor: name)
        let columns = try dimension(&fields, tensor: name)
        let code = try fields.u32()
        guard let encoding = TensorEncoding(rawValue: code) else {
            throw Violation(
                .tensorEncoding, at: start + 24, tensor: name, found: code, expected: "1...5")
        }
        let storageCode = try fields.u32()
        guard let storage = StorageClass(rawValue: storageCode) else {
            throw Violation(
                .tensorStorage, at: start + 28, tensor: name, found: storageCode,
                expected: "0 (this program reads plain tensors only)")
        }
        let record = TensorRecord(
            name: name, rows: rows, columns: columns, encoding: encoding, storage: storage,
            tileRows: try fields.int32(), tileCount: try fields.int32(),
            firstTile: try fields.int64(.tensorTiling), offset: try fields.int64(.tensorPlacement),
            byteCount: try fields.int64(.tensorPlacement))
        try checkTiling(record, at: start + 32, expected)
        expected.tile += record.tileCount
        expected.end = try checkPlacement(record, at: start + 48, after: expected.end, header)
        return record
    }

    private static func readName(
        _ fields: inout FieldReader, _ names: inout FieldReader, _ expected: inout Expected
    ) throws(Violation) -> String {
        let start = fields.offset
        let (offset, count) = (try fields.int32(), try fields.int32())
        guard offset == expected.name, (1...Limits.nameBytes).contains(count) else {
            throw Violation(
                .tensorName, at: start, found: "\(count) bytes at \(offset)",
                expected: "1...\(Limits.nameBytes) bytes at \(expected.name)")
        }
        expected.name += count
        return try names.text(byteCount: count, .tensorName)
    }

    private static func dimension(
        _ fields: inout FieldReader, tensor: String
    ) throws(Violation) -> Int {
        let offset = fields.offset
        let value = try fields.int64(.tensorShape)
        guard (1...Limits.dimension).contains(value) else {
            throw Violation(
                .tensorShape, at: offset, tensor: tensor, found: value,
                expected: "1...\(Limits.dimension)")
        }
        return value
    }

    /// Whole panels per tile, tiles of bounded size, as many as the rows need, in file order.
    private static func checkTiling(
        _ record: TensorRecord, at offset: Int, _ expected: Expected
    ) throws(Violation) {
        let unit = record.encoding.rowsPerPanel
        let panel = record.encoding.panelBytes(columns: record.columns) ?? .max
        let panels = record.tileRows / unit
        guard record.tileRows > 0, record.tileRows % unit == 0, panel <= Limits.largestPanelBytes,
            panels == 1 || (product(panels, panel) ?? .max) <= Limits.largestTileBytes
        else {
            throw Violation(
                .tensorTiling, at: offset, tensor: record.name, found: "\(record.tileRows) rows",
                expected: "whole panels of \(unit) rows and \(panel) bytes, in tiles of at most "
                    + "\(Limits.largestTileBytes) bytes or one panel")
        }
        let tiles = (record.rows - 1) / record.tileRows + 1
        guard record.tileCount == tiles else {
            throw Violation(
                .tensorTiling, at: offset + 4, tensor: record.name,
                found: "\(record.tileCount) tiles", expected: tiles)
        }
        guard record.firstTile == expected.tile else {
            throw Violation(
                .tensorTiling, at: offset + 8, tensor: record.name,
                found: "first tile \(record.firstTile)", expected: expected.tile)
        }
    }

    /// The tensor follows the one before, has the bytes its shape takes, and ends in the file.
    /// - Returns: Where it ends.
    private static func checkPlacement(
        _ record: TensorRecord, at offset: Int, after last: Int, _ header: Header
    ) throws(Violation) -> Int {
        let bytes = record.encoding.byteCount(rows: record.rows, columns: record.columns)
        guard let bytes, record.byteCount == bytes else {
            throw Violation(
                .tensorPlacement, at: offset + 8, tensor: record.name,
                found: "\(record.byteCount) bytes", expected: bytes.map(String.init) ?? "fewer")
        }
        guard let start = tensorOffset(after: last, byteCount: bytes), record.offset == start else {
            throw Violation(
                .tensorPlacement, at: offset, tensor: record.name, found: record.offset,
                expected: "the next aligned offset after \(last)")
        }
        guard let end = sum(start, bytes), end <= header.fileBytes else {
            throw Violation(
                .tensorPlacement, at: offset + 8, tensor: record.name,
                found: "\(bytes) bytes from \(start)",
                expected: "an end within \(header.fileBytes)")
        }
        return end
    }

    /// Checks that the tile table says where plain tiles are. Rule 31.
    static func checkTiles(
        _ bytes: RawSpan, base: Int, header: Header, tensors: [TensorRecord]
    ) throws(Violation) {
        var fields = FieldReader(bytes, base: base, sizeRule: .tileTable)
        for tensor in tensors {
            for index in 0..<tensor.tileCount {
                let offset = fields.offset
                let range = tensor.tileRange(index)
                let start = try fields.u64()
                try fields.skip(8)  // checksum
                let (stored, reserved) = (try fields.u32(), try fields.u32())
                guard start == UInt64(range.lowerBound), Int(stored) == range.count, reserved == 0
                else {
                    throw Violation(
                        .tileTable, at: offset, tensor: tensor.name,
                        found: "\(stored) bytes at \(start), reserved \(reserved)",
                        expected: "\(range.count) bytes at \(range.lowerBound), reserved 0")
                }
            }
        }
        try fields.finish()
    }

    /// Places `specs` one after the other from `dataOffset`; nil where sizes pass `Int.max`.
    static func place(_ specs: [TensorSpec], dataOffset: Int) -> [TensorRecord]? {
        var (last, firstTile) = (dataOffset, 0)
        var records: [TensorRecord] = []
        for spec in specs {
            guard spec.rows > 0, spec.columns > 0,
                let bytes = spec.encoding.byteCount(rows: spec.rows, columns: spec.columns),
                let offset = tensorOffset(after: last, byteCount: bytes),
                let end = sum(offset, bytes)
            else { return nil }
            let tileRows = spec.encoding.tileRows(rows: spec.rows, columns: spec.columns)
            let tileCount = (spec.rows - 1) / tileRows + 1
            records.append(
                TensorRecord(
                    name: spec.name, rows: spec.rows, columns: spec.columns,
                    encoding: spec.encoding, storage: .plain, tileRows: tileRows,
                    tileCount: tileCount, firstTile: firstTile, offset: offset, byteCount: bytes))
            last = end
            firstTile += tileCount
        }
        return records
    }

    /// The section's bytes.
    static func encode(_ tensors: [TensorRecord]) -> [UInt8] {
        var fields = FieldWriter()
        var nameOffset = 0
        for tensor in tensors {
            fields.int32(nameOffset)
            fields.int32(tensor.name.utf8.count)
            fields.int64(tensor.rows)
            fields.int64(tensor.columns)
            fields.u32(tensor.encoding.rawValue)
            fields.u32(tensor.storage.rawValue)
            fields.int32(tensor.tileRows)
            fields.int32(tensor.tileCount)
            fields.int64(tensor.firstTile)
            fields.int64(tensor.offset)
            fields.int64(tensor.byteCount)
            nameOffset += tensor.name.utf8.count
        }
        for tensor in tensors { fields.append(tensor.name.utf8) }
        return fields.bytes
    }

    /// The tile table; `checksums` has one value per tile.
    static func encodeTiles(_ tensors: [TensorRecord], checksums: [UInt64]) -> [UInt8] {
        var fields = FieldWriter()
        for tensor in tensors {
            for index in 0..<tensor.tileCount {
                let range = tensor.tileRange(index)
                fields.int64(range.lowerBound)
                fields.u64(checksums[tensor.firstTile + index])
                fields.int32(range.count)
                fields.u32(0)
            }
        }
        return fields.bytes
    }
}

extension TensorRecord {
    /// Bytes of tile `index` in the file.
    ///
    /// - Precondition: The record was validated and is plain.
    func tileRange(_ index: Int) -> Range<Int> {
        let panel = Self.panelBytes(encoding: encoding, columns: columns)
        let bytes = tileRows / encoding.rowsPerPanel * panel
        let start = offset + index * bytes
        return start..<min(start + bytes, offset + byteCount)
    }
}
