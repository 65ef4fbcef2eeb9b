/// Writes a `.tsr` file. Formats/TSR.md §2 says what a writer owes.
///
/// All sizes are known up front: the metadata is built and checked by the reader's own rules before
/// the first byte is written. Tensor bytes are then appended in the announced order and `finish`
/// adds the checksums. Memory: the metadata and one tile.
public final class WeightFileWriter {
    private let output: OutputFile
    private var plan: Plan
    private var checksums: [UInt64] = []
    /// Position in `plan.tensors` of the tensor being appended to.
    private var tensor = 0
    /// Index of its tile being filled.
    private var tile = 0
    private var pending: [UInt8] = []
    private var appendedBytes = 0

    /// Checks the plan and creates the file under a temporary name beside `path`.
    ///
    /// - Parameter source: Where the model comes from, for people; at most 1023 bytes.
    public init(
        path: String, config: ModelConfig, tokenizer: TokenizerTables, chatTemplate: String?,
        tensors: [TensorSpec], source: String = ""
    ) throws(WeightFileError) {
        do throws(Violation) {
            plan = try Plan(
                config: config, tokenizer: tokenizer, chatTemplate: chatTemplate,
                tensors: tensors, source: source)
            let (bytes, fileBytes) = (plan.encoded(), plan.header.fileBytes)
            _ = try Metadata(parsing: bytes.rawSpan, fileBytes: fileBytes)
        } catch {
            throw .unwritable(path: path, error)
        }
        output = try OutputFile(path: path, byteCount: plan.header.fileBytes)
    }

    /// Size of the file that these parts make.
    ///
    /// - Precondition: The sizes fit an Int.
    public static func plannedBytes(
        config: ModelConfig, tokenizer: TokenizerTables, chatTemplate: String?,
        tensors: [TensorSpec], source: String = ""
    ) -> Int {
        do throws(Violation) {
            return try Plan(
                config: config, tokenizer: tokenizer, chatTemplate: chatTemplate,
                tensors: tensors, source: source
            ).header.fileBytes
        } catch {
            preconditionFailure("\(error)")
        }
    }

    /// Appends the next bytes of the tensors in order; any chunking will do.
    public func append(_ bytes: [UInt8]) throws(WeightFileError) {
        try append(bytes.rawSpan)
    }

    /// Appends the next bytes of the tensors in order; any chunking will do.
    public func append(_ bytes: RawSpan) throws(WeightFileError) {
        var start = 0
        while start < bytes.byteCount {
            guard tensor < plan.tensors.count else {
                throw .wrongLength(
                    path: output.path, tensor: nil, expectedBytes: appendedBytes,
                    appendedBytes: appendedBytes + bytes.byteCount - start)
            }
            let range = plan.tensors[tensor].tileRange(tile)
            let count = min(range.count - pending.count, bytes.byteCount - start)
            let part = bytes.extracting(start..<start + count)
            if count == range.count {
                try store(part, range)
            } else {
                pending.append(contentsOf: part.array(of: UInt8.self, at: 0, count: count))
                if pending.count == range.count {
                    let whole = pending
                    try store(whole.rawSpan, range)
                    pending = []
                }
            }
            start += count
            appendedBytes += count
        }
    }

    /// Writes one whole tile and moves on to the next.
    private func store(_ bytes: RawSpan, _ range: Range<Int>) throws(WeightFileError) {
        checksums.append(XXH64.hash(bytes))
        try output.write(bytes, at: range.lowerBound)
        tile += 1
        if tile == plan.tensors[tensor].tileCount {
            (tensor, tile) = (tensor + 1, 0)
        }
    }

    /// Completes the file and gives it its name.
    public func finish() throws(WeightFileError) {
        guard tensor == plan.tensors.count else {
            let record = plan.tensors[tensor]
            let start = record.tileRange(tile).lowerBound - record.offset
            throw .wrongLength(
                path: output.path, tensor: record.name, expectedBytes: record.byteCount,
                appendedBytes: start + pending.count)
        }
        plan.checksums = checksums
        try output.write(plan.encoded().rawSpan, at: 0)
        try output.commit()
    }
}

extension WeightFileWriter {
    /// The metadata of a file before and after its checksums are known.
    private struct Plan {
        var header = Header()
        var tensors: [TensorRecord] = []
        /// One per tile, zero until known.
        var checksums: [UInt64] = []
        /// Sections but the tile table.
        private var sections: [[UInt8]] = []

        init(
            config: ModelConfig, tokenizer: TokenizerTables, chatTemplate: String?,
            tensors specs: [TensorSpec], source: String
        ) throws(Violation) {
            // Sizes of the directory and the tile table do not depend on where the data begins.
            guard let unplaced = TensorDirectory.place(specs, dataOffset: 0) else {
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
            guard let placed = TensorDirectory.place(specs, dataOffset: header.dataOffset) else {
                throw Violation(
                    .tensorPlacement, at: 0, found: "tensors too large together",
                    expected: "sizes that fit 63 bits")
            }
            tensors = placed
            sections[Header.Section.directory.rawValue] = TensorDirectory.encode(placed)
            header.fileBytes = placed.last.map { $0.offset + $0.byteCount } ?? header.dataOffset
            checksums = Array(repeating: 0, count: tileCount)
        }

        /// Header, sections and padding, up to the first tensor.
        func encoded() -> [UInt8] {
            var fields = FieldWriter()
            let tiles = TensorDirectory.encodeTiles(tensors, checksums: checksums)
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
