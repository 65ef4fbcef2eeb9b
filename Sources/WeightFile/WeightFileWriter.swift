/// Writes a `.tsr` file. Formats/TSR.md §2 says what a writer owes.
///
/// The metadata is built and checked by the reader's own rules before the first byte is written.
/// Tensor bytes are then appended in the announced order, and `finish` adds sizes and checksums.
/// Memory: the metadata and one tile.
public final class WeightFileWriter {
    /// How an interrupted writer of the same file can be continued.
    public struct Continuation: Sendable {
        /// What the bytes are made from, and how.
        public var key: String
        /// Bytes of tiles after which they are brought to disk and remembered.
        public var interval: Int

        public init(key: String, interval: Int = 64 << 20) {
            (self.key, self.interval) = (key, interval)
        }
    }

    private let output: OutputFile
    private let make: ([StoredTile]) throws(Violation) -> Plan
    private let plan: Plan
    private var tiles: [StoredTile] = []
    private var journal: Journal?
    /// Position in `plan.tensors` of the tensor being appended to.
    private var tensor = 0
    /// Index of its tile being filled.
    private var tile = 0
    /// Where that tile begins in the file.
    private var offset: Int
    private var pending: [UInt8] = []

    /// Checks the plan and creates the file under a temporary name next to `path`.
    ///
    /// - Parameters:
    ///   - source: Where the model comes from, for people; at most 1023 bytes.
    ///   - reserving: Bytes that the file will have, about; they are asked of the disk at once. nil
    ///     for those of plain tensors.
    ///   - continuing: Where given, a file that is not finished is kept, and that of an earlier writer
    ///     with equal arguments is taken up (see `position`).
    public init(
        path: String, config: ModelConfig, tokenizer: TokenizerTables, chatTemplate: String?,
        tensors: [TensorSpec], source: String = "", reserving: Int? = nil,
        continuing: Continuation? = nil
    ) throws(WeightFileError) {
        make = { tiles throws(Violation) in
            try Plan(
                config: config, tokenizer: tokenizer, chatTemplate: chatTemplate,
                tensors: tensors, source: source, tiles: tiles)
        }
        let bytes: [UInt8]
        do throws(Violation) {
            plan = try make([])
            bytes = plan.encoded()
            _ = try Metadata(parsing: bytes.rawSpan, fileBytes: plan.header.fileBytes)
        } catch {
            throw .unwritable(path: path, error)
        }
        offset = plan.tensors.first?.offset ?? plan.header.dataOffset
        let size = reserving ?? plan.header.fileBytes
        let place = try OutputPlace(path, takesStreams: false)
        guard let continuing else {
            output = try OutputFile(place, byteCount: size)
            return
        }
        output = try OutputFile(continuing: place, byteCount: size)
        journal = try Journal(
            path: place.target, key: XXH64.hash(bytes + Array(continuing.key.utf8)),
            interval: continuing.interval)
        try recover()
        output.keep()
    }

    /// Size of the file that these parts make.
    ///
    /// - Parameter tileBytes: Stored bytes of the tiles of all tensors, in order; those that are missing
    ///   count as plain.
    /// - Precondition: The sizes fit an Int.
    public static func plannedBytes(
        config: ModelConfig, tokenizer: TokenizerTables, chatTemplate: String?,
        tensors: [TensorSpec], source: String = "", tileBytes: [Int] = []
    ) -> Int {
        do throws(Violation) {
            return try Plan(
                config: config, tokenizer: tokenizer, chatTemplate: chatTemplate,
                tensors: tensors, source: source,
                tiles: tileBytes.map { StoredTile(byteCount: $0, checksum: 0) }
            ).header.fileBytes
        } catch {
            preconditionFailure("\(error)")
        }
    }

    /// Takes as many tiles of the earlier file as its journal names and its bytes prove.
    private func recover() throws(WeightFileError) {
        guard let journal else { return }
        var buffer: [UInt8] = []
        for stored in journal.tiles {
            guard tensor < plan.tensors.count, allows(stored.byteCount) else { break }
            if buffer.count < stored.byteCount {
                buffer = Array(repeating: 0, count: stored.byteCount)
            }
            guard try output.read(offset..<offset + stored.byteCount, into: &buffer),
                XXH64.hash(buffer.rawSpan.extracting(0..<stored.byteCount)) == stored.checksum
            else { break }
            advance(stored)
        }
        try self.journal?.cut(to: tiles.count)
    }

    private func allows(_ bytes: Int) -> Bool {
        let record = plan.tensors[tensor]
        let plain = record.plainTileBytes(tile)
        return record.storage == .plain
            ? bytes == plain : (1...TileCoder.largestStored(plain)).contains(bytes)
    }

    /// Whether an earlier writer left tiles here that these arguments do not make; they are written over.
    public var replacesOther: Bool { journal?.replacesOther ?? false }

    /// The first tile that is still to be appended, where an earlier writer's file was taken up.
    public var position: (tensor: Int, tile: Int) { (tensor, tile) }

    /// Where the next tile will begin; after the last, the size of the file.
    public var end: Int { offset }

    /// Goes back to an earlier tile.
    ///
    /// - Precondition: The tile was appended, and no part of one is pending.
    public func rewind(to tensor: Int, tile: Int) throws(WeightFileError) {
        precondition((tensor, tile) <= position && pending.isEmpty, "nothing to go back to")
        guard (tensor, tile) < position else { return }
        let kept = Array(tiles[..<(plan.tensors[tensor].firstTile + tile)])
        (self.tensor, self.tile, tiles) = (0, 0, [])
        offset = plan.tensors[0].offset
        for stored in kept { advance(stored) }
        try journal?.cut(to: kept.count)
    }

    /// Appends the next bytes of plain tensors in order; any chunking will do.
    public func append(_ bytes: [UInt8]) throws(WeightFileError) {
        try append(bytes.rawSpan)
    }

    /// Appends the next bytes of plain tensors in order; any chunking will do.
    public func append(_ bytes: RawSpan) throws(WeightFileError) {
        var start = 0
        while start < bytes.byteCount {
            try checkNext(bytes.byteCount - start)
            precondition(plan.tensors[tensor].storage == .plain, "coded tiles go in whole")
            let size = plan.tensors[tensor].plainTileBytes(tile)
            let count = min(size - pending.count, bytes.byteCount - start)
            let part = bytes.extracting(start..<start + count)
            if count == size {
                try store(part)
            } else {
                pending.append(contentsOf: part.array(of: UInt8.self, at: 0, count: count))
                if pending.count == size {
                    let whole = pending
                    try store(whole.rawSpan)
                    pending = []
                }
            }
            start += count
        }
    }

    /// Appends the next tile of a coded tensor, as it is stored.
    public func appendTile(_ stored: [UInt8]) throws(WeightFileError) {
        try checkNext(stored.count)
        precondition(
            plan.tensors[tensor].storage != .plain && allows(stored.count),
            "\(stored.count) bytes are no stored tile")
        try store(stored.rawSpan)
    }

    private func checkNext(_ count: Int) throws(WeightFileError) {
        guard tensor < plan.tensors.count else {
            let appended = tiles.reduce(0) { $0 + $1.byteCount }
            throw .wrongLength(
                path: output.path, tensor: nil, expectedBytes: appended,
                appendedBytes: appended + count)
        }
    }

    /// Writes one whole tile and moves on to the next.
    private func store(_ bytes: RawSpan) throws(WeightFileError) {
        try output.write(bytes, at: offset)
        let stored = StoredTile(byteCount: bytes.byteCount, checksum: XXH64.hash(bytes))
        advance(stored)
        try journal?.append(stored) { () throws(WeightFileError) in try output.flush() }
    }

    private func advance(_ stored: StoredTile) {
        tiles.append(stored)
        offset += stored.byteCount
        tile += 1
        guard tile == plan.tensors[tensor].tileCount else { return }
        (tensor, tile) = (tensor + 1, 0)
        guard tensor < plan.tensors.count,
            let next = tensorOffset(
                after: offset, plainBytes: plan.tensors[tensor].plainBytes,
                storage: plan.tensors[tensor].storage)
        else { return }
        offset = next
    }

    /// Completes the file and gives it its name.
    ///
    /// - Returns: Its size.
    @discardableResult
    public func finish() throws(WeightFileError) -> Int {
        guard tensor == plan.tensors.count else {
            let record = plan.tensors[tensor]
            let before = (0..<tile).reduce(0) { $0 + tiles[record.firstTile + $1].byteCount }
            throw .wrongLength(
                path: output.path, tensor: record.name, expectedBytes: record.byteCount,
                appendedBytes: before + pending.count)
        }
        let (bytes, size): ([UInt8], Int)
        do throws(Violation) {
            let final = try make(tiles)
            (bytes, size) = (final.encoded(), final.header.fileBytes)
            _ = try Metadata(parsing: bytes.rawSpan, fileBytes: size)
        } catch {
            throw .unwritable(path: output.path, error)
        }
        try output.write(bytes.rawSpan, at: 0)
        try output.commit(byteCount: size)
        journal?.remove()
        return size
    }

    /// Removes a file that is not to be continued.
    public func discard() {
        output.discard()
        journal?.remove()
    }
}

extension WeightFileWriter {
    /// The metadata of a file before and after its tiles are known.
    private struct Plan {
        var header = Header()
        var tensors: [TensorRecord] = []
        /// Those known so far.
        private var tiles: [StoredTile]
        /// Sections but the tile table.
        private var sections: [[UInt8]] = []

        init(
            config: ModelConfig, tokenizer: TokenizerTables, chatTemplate: String?,
            tensors specs: [TensorSpec], source: String, tiles: [StoredTile]
        ) throws(Violation) {
            self.tiles = tiles
            let sizes = tiles.map(\.byteCount)
            // Sizes of the directory and the tile table do not depend on where the data begins.
            guard let unplaced = TensorDirectory.place(specs, dataOffset: 0, tileBytes: sizes)
            else {
                throw Violation(
                    .tensorShape, at: 0, found: "a tensor too large or without values",
                    expected: "sizes that fit 63 bits")
            }
            let tileCount = unplaced.reduce(0) { $0 + $1.tileCount }
            sections = [
                ConfigRecord.encode(config, source: source), TokenizerSection.encode(tokenizer),
                Array((chatTemplate ?? "").utf8), TensorDirectory.encode(unplaced),
            ]
            header.tensorCount = specs.count
            header.tileCount = tileCount
            var end = Limits.headerBytes
            for size in sections.map(\.count) + [tileCount * TensorDirectory.tileBytes] {
                let start = (end + 15) / Limits.sectionAlignment * Limits.sectionAlignment
                end = start + size
                header.sections.append(start..<end)
            }
            header.dataOffset = roundUp(end, to: Limits.tensorAlignment) ?? end
            guard
                let placed = TensorDirectory.place(
                    specs, dataOffset: header.dataOffset, tileBytes: sizes)
            else {
                throw Violation(
                    .tensorPlacement, at: 0, found: "tensors too large together",
                    expected: "sizes that fit 63 bits")
            }
            tensors = placed
            sections[Header.Section.directory.rawValue] = TensorDirectory.encode(placed)
            header.fileBytes = placed.last.map { $0.offset + $0.byteCount } ?? header.dataOffset
        }

        /// Header, sections and padding, up to the first tensor.
        func encoded() -> [UInt8] {
            var fields = FieldWriter()
            let tiles = TensorDirectory.encodeTiles(tensors, tiles)
            for section in sections + [tiles] {
                fields.align(to: Limits.sectionAlignment)
                fields.append(section)
            }
            fields.zeros(header.dataOffset - Limits.headerBytes - fields.bytes.count)
            var header = header
            header.metadataChecksum = XXH64.hash(fields.bytes)
            return header.encoded() + fields.bytes
        }
    }
}
