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
                .tensorEncoding, at: start + 24, tensor: name, found: code, expected: "1...12")
        }
        let storageCode = try fields.u32()
        guard let storage = StorageClass(rawValue: storageCode),
            storage == .plain || encoding == .int8
                || encoding.isCodable && storage != .trellis
        else {
            throw Violation(
                .tensorStorage, at: start + 28, tensor: name, found: storageCode,
                expected: storageCode == 3
                    ? "4, the trellis that took the place of class 3"
                    : "0 or, for int8, int4 and int4Affine, 1 or 2 or, for int8, 4")
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
        let largest =
            record.storage == .plain ? Limits.largestPanelBytes : Limits.largestCodedPanelBytes
        guard record.tileRows > 0, record.tileRows % unit == 0, panel <= largest,
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
        let plain = record.encoding.byteCount(rows: record.rows, columns: record.columns)
        guard let plain, record.storage != .plain || record.byteCount == plain else {
            throw Violation(
                .tensorPlacement, at: offset + 8, tensor: record.name,
                found: "\(record.byteCount) bytes", expected: plain.map(String.init) ?? "fewer")
        }
        let bytes = record.byteCount
        guard
            let start = tensorOffset(after: last, plainBytes: plain, storage: record.storage),
            record.offset == start
        else {
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

    /// Checks that the tile table says where the tiles are. Rule 31.
    static func checkTiles(
        _ bytes: RawSpan, base: Int, header: Header, tensors: [TensorRecord]
    ) throws(Violation) {
        var fields = FieldReader(bytes, base: base, sizeRule: .tileTable)
        for tensor in tensors {
            var end = tensor.offset
            for index in 0..<tensor.tileCount {
                let offset = fields.offset
                let start = try fields.u64()
                try fields.skip(8)  // checksum
                let (stored, reserved) = (try fields.int32(), try fields.u32())
                let allowed = storedBytes(tensor, index)
                guard start == UInt64(end), allowed.contains(stored), reserved == 0 else {
                    throw Violation(
                        .tileTable, at: offset, tensor: tensor.name,
                        found: "\(stored) bytes at \(start), reserved \(reserved)",
                        expected: "\(allowed) bytes at \(end), reserved 0")
                }
                end += stored
            }
            guard end == tensor.offset + tensor.byteCount else {
                throw Violation(
                    .tileTable, at: fields.offset, tensor: tensor.name,
                    found: "tiles of \(end - tensor.offset) bytes together",
                    expected: tensor.byteCount)
            }
        }
        try fields.finish()
    }

    /// Sizes that a tile may have in the file.
    private static func storedBytes(_ tensor: TensorRecord, _ index: Int) -> ClosedRange<Int> {
        let plain = tensor.plainTileBytes(index)
        return tensor.storage == .plain
            ? plain...plain
            : TileCoder.leastStored...TileCoder.largestStored(plain)
    }

    /// Places `specs` one after the other from `dataOffset`; nil if sizes pass `Int.max`.
    ///
    /// - Parameter tileBytes: Stored bytes of the tiles of coded tensors, in order; those that are
    ///   missing count as plain.
    static func place(
        _ specs: [TensorSpec], dataOffset: Int, tileBytes: [Int] = []
    ) -> [TensorRecord]? {
        var (last, firstTile) = (dataOffset, 0)
        var records: [TensorRecord] = []
        for spec in specs {
            guard spec.rows > 0, spec.columns > 0,
                let plain = spec.encoding.byteCount(rows: spec.rows, columns: spec.columns),
                let offset = tensorOffset(
                    after: last, plainBytes: plain, storage: spec.storage)
            else { return nil }
            let tileCount = (spec.rows - 1) / spec.tileRows + 1
            var record = TensorRecord(
                name: spec.name, rows: spec.rows, columns: spec.columns,
                encoding: spec.encoding, storage: spec.storage, tileRows: spec.tileRows,
                tileCount: tileCount, firstTile: firstTile, offset: offset, byteCount: plain)
            if spec.storage != .plain {
                record.byteCount = (0..<tileCount).reduce(0) { bytes, index in
                    let tile = firstTile + index
                    return bytes
                        + (tile < tileBytes.count ? tileBytes[tile] : record.plainTileBytes(index))
                }
            }
            guard let end = sum(offset, record.byteCount) else { return nil }
            records.append(record)
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

    /// The tile table.
    ///
    /// - Parameter tiles: Stored bytes and checksum of each tile; those that are missing count as
    ///   plain, with checksum 0.
    static func encodeTiles(_ tensors: [TensorRecord], _ tiles: [StoredTile]) -> [UInt8] {
        var fields = FieldWriter()
        for tensor in tensors {
            var end = tensor.offset
            for index in 0..<tensor.tileCount {
                let number = tensor.firstTile + index
                let tile =
                    number < tiles.count
                    ? tiles[number]
                    : StoredTile(byteCount: tensor.plainTileBytes(index), checksum: 0)
                fields.int64(end)
                fields.u64(tile.checksum)
                fields.int32(tile.byteCount)
                fields.u32(0)
                end += tile.byteCount
            }
        }
        return fields.bytes
    }
}

/// What the tile table says of a tile apart from its place.
struct StoredTile: Equatable {
    var byteCount: Int
    var checksum: UInt64
}
