public import TesseraImport
internal import TesseraKernels
public import TesseraWeightFile

/// How far weights with equal source types and equal encodings differ from the source.
public struct EncodingSummary: Sendable {
    public var source: SourceType
    public var encoding: TensorEncoding
    /// Every value is the source's.
    public var isExact: Bool
    public var storage: StorageClass
    public var tensors = 0
    public var weights = 0
    /// Stored bytes, without the tile table.
    public var bytes = 0
    /// Groups whose codes the format lacks, so that they were rounded anew.
    public var recodedGroups = 0
    var distance = PanelEncoder.Distance()

    /// Root of the squared error over the squared values, of what this run encoded; 0 where codes were
    /// kept.
    public var relativeError: Double {
        distance.squaredValue > 0
            ? (distance.squaredError / distance.squaredValue).squareRoot() : 0
    }
}

/// Writes a model as a weight file, a few panels at a time on every thread; memory does not grow
/// with the model, and the bytes do not depend on the number of threads.
public struct Quantizer: Sendable {
    private let source: any TensorSource
    private let plan: EncodingPlan
    private let threads: Int
    private let interval: Int?

    /// A sixteenth of the file, 1 to 64 MiB: a killed run of a small model is taken up as well.
    static func interval(fileBytes: Int) -> Int { min(64 << 20, max(1 << 20, fileBytes / 16)) }

    /// Source values of one piece of work.
    private static let chunkValues = 1 << 18

    /// - Parameter interval: Written bytes after which they are brought to disk and remembered; nil to
    ///   choose by the size of the file.
    public init(
        _ source: any TensorSource, plan: EncodingPlan, threads: Int, interval: Int? = nil
    ) {
        self.interval = interval
        self.source = source
        self.plan = plan
        self.threads = max(1, threads)
    }

    /// Whole tiles of one tensor.
    private struct Chunk: Sendable {
        var entry: Int
        var tiles: Range<Int>
        var rows: Range<Int>
    }

    /// Tiles as they are stored.
    private struct Encoded: Sendable {
        var tiles: [[UInt8]]
        var distance: PanelEncoder.Distance
        var recodedGroups = 0
    }

    /// The result of writing a file.
    public struct Result: Sendable {
        public var summaries: [EncodingSummary]
        /// A summary of each tensor, in the plan's order.
        public var tensors: [EncodingSummary]
        public var fileBytes: Int
        /// Weights that an interrupted run had written already.
        public var continuedWeights: Int
        /// Whether the work of an interrupted run could not be used: it had another source, another plan, or the
        /// source has changed since.
        public var startedAnew: Bool
    }

    /// Writes the file at `path`: complete and checked, or not at all. A run that was killed is taken up
    /// by the next with the same source and plan; one that is cancelled leaves nothing.
    ///
    /// - Parameters:
    ///   - limit: Bytes that the file may have; a larger one is not kept.
    ///   - progress: Source weights done and in total, from time to time.
    ///   - isCancelled: Asked between pieces of work.
    public func write(
        to path: String, limit: Int? = nil, progress: (Int, Int) -> Void,
        isCancelled: () -> Bool
    ) async throws -> Result {
        let writer = try WeightFileWriter(
            path: path, config: source.config, tokenizer: source.tokenizer,
            chatTemplate: source.chatTemplate, tensors: plan.specs, source: source.origin,
            reserving: plan.isCoded ? plannedBytes : nil,
            continuing: .init(
                key: try key(),
                interval: interval ?? Self.interval(fileBytes: plannedBytes)))
        var summaries = summariesOfPlan
        var chunks = self.chunks
        let total = plan.entries.reduce(0) { $0 + $1.tensor.rows * $1.tensor.columns }
        let left = try skip(&chunks, in: writer)
        var done = total - left
        do {
            try await encode(chunks, isCancelled) { chunk, encoded throws(WeightFileError) in
                let entry = plan.entries[chunk.entry]
                for tile in encoded.tiles {
                    if entry.storage == .plain {
                        try writer.append(tile)
                    } else {
                        try writer.appendTile(tile)
                    }
                }
                summaries[chunk.entry].bytes += encoded.tiles.reduce(0) { $0 + $1.count }
                summaries[chunk.entry].distance += encoded.distance
                summaries[chunk.entry].recodedGroups += encoded.recodedGroups
                if encoded.recodedGroups > 0 { summaries[chunk.entry].isExact = false }
                done += chunk.rows.count * entry.tensor.columns
                progress(done, total)
            }
            if let limit, writer.end > limit {
                throw QuantizationError.tooLarge(bytes: writer.end, limit: limit)
            }
        } catch {
            writer.discard()
            throw error
        }
        return Result(
            summaries: merged(summaries), tensors: summaries, fileBytes: try writer.finish(),
            continuedWeights: total - left, startedAnew: writer.replacesOther)
    }

    /// Encodes on all threads and hands the pieces on in order.
    private func encode(
        _ chunks: [Chunk], _ isCancelled: () -> Bool,
        _ finished: (Chunk, Encoded) throws(WeightFileError) -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: (Int, Encoded).self) { group in
            var next = 0
            var waiting: [Int: Encoded] = [:]
            for index in 0..<chunks.count {
                while next < chunks.count, next < index + 2 * threads {
                    let (number, chunk) = (next, chunks[next])
                    group.addTask { [self] in (number, try encode(chunk)) }
                    next += 1
                }
                while waiting[index] == nil, let (number, encoded) = try await group.next() {
                    waiting[number] = encoded
                }
                guard let encoded = waiting.removeValue(forKey: index) else { break }
                guard !isCancelled() else { throw QuantizationError.cancelled }
                try finished(chunks[index], encoded)
            }
        }
    }

    /// Skips chunks that an interrupted run has written.
    ///
    /// - Returns: Weights of the chunks that are left.
    private func skip(
        _ chunks: inout [Chunk], in writer: WeightFileWriter
    ) throws(WeightFileError) -> Int {
        let (tensor, tile) = writer.position
        chunks.removeAll {
            $0.entry < tensor || $0.entry == tensor && $0.tiles.upperBound <= tile
        }
        if let first = chunks.first, first.entry == tensor {
            try writer.rewind(to: tensor, tile: first.tiles.lowerBound)
        }
        return chunks.reduce(0) { $0 + $1.rows.count * plan.entries[$1.entry].tensor.columns }
    }

    /// Whole tiles of about `chunkValues` values, in the file's order.
    private var chunks: [Chunk] {
        var chunks: [Chunk] = []
        for (index, spec) in plan.specs.enumerated() {
            let tiles = (spec.rows - 1) / spec.tileRows + 1
            let count = max(1, Self.chunkValues / (spec.columns * spec.tileRows))
            for first in stride(from: 0, to: tiles, by: count) {
                let end = min(first + count, tiles)
                chunks.append(
                    Chunk(
                        entry: index, tiles: first..<end,
                        rows: first * spec.tileRows..<min(end * spec.tileRows, spec.rows)))
            }
        }
        return chunks
    }

    private func encode(_ chunk: Chunk) throws -> Encoded {
        let entry = plan.entries[chunk.entry]
        let packer = PanelPacker(
            tensor: entry.tensor, encoding: entry.encoding, candidates: plan.options.candidates,
            steps: entry.steps,
            feedback: plan.options.calibration?.feedback(of: entry.tensor.name, entry.storage),
            trellis: entry.trellis)
        let packed: PackedRows
        if entry.exact, let blocks = try source.readBlocks(entry.tensor, rows: chunk.rows) {
            packed = try packer.pack(blocks, rows: chunk.rows)
        } else {
            var values = [Float](repeating: 0, count: chunk.rows.count * entry.tensor.columns)
            try source.read(entry.tensor, rows: chunk.rows, into: &values)
            if entry.trellis != nil {
                let packed = try packer.packTiles(values, rows: chunk.rows)
                return Encoded(tiles: packed.tiles, distance: packed.distance)
            }
            packed = try packer.pack(values, rows: chunk.rows)
        }
        guard entry.storage != .plain else {
            return Encoded(
                tiles: [packed.bytes], distance: packed.distance,
                recodedGroups: packed.recodedGroups)
        }
        let coder = TileCoder(
            encoding: entry.encoding, storage: entry.storage, columns: entry.tensor.columns)
        let rows = plan.specs[chunk.entry].tileRows / entry.encoding.rowsPerPanel
        let bytes =
            rows
            * TensorRecord.panelBytes(encoding: entry.encoding, columns: entry.tensor.columns)
        return Encoded(
            tiles: stride(from: 0, to: packed.bytes.count, by: bytes).map {
                coder.encode(Array(packed.bytes[$0..<min($0 + bytes, packed.bytes.count)]))
            }, distance: packed.distance, recodedGroups: packed.recodedGroups)
    }
}

extension Quantizer {
    /// Size of the file; for coded tensors the expected size and a little more.
    public var plannedBytes: Int {
        let tiles = plan.entries.flatMap { entry in
            let spec = TensorSpec(
                name: entry.tensor.name, rows: entry.tensor.rows, columns: entry.tensor.columns,
                encoding: entry.encoding, storage: entry.storage)
            let count = (spec.rows - 1) / spec.tileRows + 1
            let each = entry.byteCount / count - TensorRecord.tileEntryBytes
            return [Int](repeating: max(1, each), count: count)
        }
        return WeightFileWriter.plannedBytes(
            config: source.config, tokenizer: source.tokenizer,
            chatTemplate: source.chatTemplate, tensors: plan.specs, source: source.origin,
            tileBytes: tiles)
    }

    /// Names the bytes that this plan makes of this source: the choices, the files of the source, and rows
    /// of each tensor from its beginning, middle and end.
    private func key() throws -> String {
        var hashes = ""
        for entry in plan.entries {
            let bytes = try sampleBytes(of: entry.tensor)
            let steps = entry.steps.map { "\($0.step.bitPattern) \($0.deviation.bitPattern)" }
            let trellis = entry.trellis.map { "\($0.trellises.map(key)) \($0.choices)" }
            hashes += "\(XXH64.hash(bytes)) \(entry.exact) \(steps ?? trellis ?? "plain")\n"
        }
        let calibration = plan.options.calibration?.key ?? ""
        return "\(source.origin) \(source.sourceBytes) \(plan.options.candidates)\n"
            + "\(source.fingerprint)\n\(calibration)\n\(hashes)"
    }

    private func key(_ trellis: Trellis) -> String {
        "\(trellis.rate) \(trellis.unit.bitPattern) \(trellis.codes)"
    }

    /// The first, the middle and the last eight rows, or all of a smaller tensor.
    private func sampleBytes(of tensor: SourceTensor) throws -> [UInt8] {
        let count = min(tensor.rows, 8)
        var bytes: [UInt8] = []
        var values = [Float](repeating: 0, count: count * tensor.columns)
        for first in Set([0, (tensor.rows - count) / 2, tensor.rows - count]).sorted() {
            try source.read(tensor, rows: first..<first + count, into: &values)
            for value in values {
                let bits = value.bitPattern
                for shift in [0, 8, 16, 24] as [UInt32] {
                    bytes.append(UInt8(truncatingIfNeeded: bits >> shift))
                }
            }
        }
        return bytes
    }

    private var summariesOfPlan: [EncodingSummary] {
        plan.entries.map {
            EncodingSummary(
                source: $0.tensor.type, encoding: $0.encoding, isExact: $0.keepsValues,
                storage: $0.storage, tensors: 1,
                weights: $0.tensor.rows * $0.tensor.columns)
        }
    }

    /// Summaries of tensors added up by the source's type, encoding and storage.
    private func merged(_ summaries: [EncodingSummary]) -> [EncodingSummary] {
        var merged: [EncodingSummary] = []
        for summary in summaries {
            let place = merged.firstIndex {
                $0.source == summary.source && $0.encoding == summary.encoding
                    && $0.storage == summary.storage
            }
            guard let place else {
                merged.append(summary)
                continue
            }
            merged[place].tensors += summary.tensors
            merged[place].weights += summary.weights
            merged[place].bytes += summary.bytes
            merged[place].distance += summary.distance
            merged[place].recodedGroups += summary.recodedGroups
            merged[place].isExact = merged[place].isExact && summary.isExact
        }
        return merged.sorted {
            ($0.encoding.rawValue, $0.storage.rawValue, $0.source.rawValue)
                < ($1.encoding.rawValue, $1.storage.rawValue, $1.source.rawValue)
        }
    }
}
