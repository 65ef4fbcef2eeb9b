public import Import
public import WeightFile

/// How the weights of one encoding differ from the source's.
public struct EncodingSummary: Sendable {
    public var encoding: TensorEncoding
    public var tensors = 0
    public var weights = 0
    public var bytes = 0
    var squaredError = 0.0
    var squaredValue = 0.0

    /// Root of the squared error over the squared values; 0 where codes were kept.
    public var relativeError: Double {
        squaredValue > 0 ? (squaredError / squaredValue).squareRoot() : 0
    }
}

/// Writes a model as a weight file, a few panels at a time on every thread; memory does not grow
/// with the model, and the bytes do not depend on the number of threads.
public struct Quantizer: Sendable {
    private let source: any TensorSource
    private let plan: EncodingPlan
    private let threads: Int

    /// Source values of one piece of work.
    private static let chunkValues = 1 << 18

    public init(_ source: any TensorSource, plan: EncodingPlan, threads: Int) {
        self.source = source
        self.plan = plan
        self.threads = max(1, threads)
    }

    private struct Chunk: Sendable {
        var entry: Int
        var rows: Range<Int>
    }

    /// Writes the file at `path`: complete and checked, or not at all.
    ///
    /// - Parameters:
    ///   - progress: Source weights done and in total, from time to time.
    ///   - isCancelled: Asked between pieces of work.
    public func write(
        to path: String, progress: (Int, Int) -> Void, isCancelled: () -> Bool
    ) async throws -> [EncodingSummary] {
        let writer = try WeightFileWriter(
            path: path, config: source.config, tokenizer: source.tokenizer,
            chatTemplate: source.chatTemplate, tensors: plan.specs, source: source.origin)
        var summaries = plan.entries.reduce(into: [TensorEncoding: EncodingSummary]()) {
            var summary = $0[$1.encoding] ?? EncodingSummary(encoding: $1.encoding)
            summary.tensors += 1
            summary.weights += $1.tensor.rows * $1.tensor.columns
            summary.bytes += $1.byteCount
            $0[$1.encoding] = summary
        }
        let chunks = self.chunks
        let total = summaries.values.reduce(0) { $0 + $1.weights }
        var done = 0
        try await withThrowingTaskGroup(of: (Int, PackedRows).self) { group in
            var next = 0
            var finished: [Int: PackedRows] = [:]
            for index in 0..<chunks.count {
                while next < chunks.count, next < index + 2 * threads {
                    let (number, chunk) = (next, chunks[next])
                    group.addTask { [self] in (number, try encode(chunk)) }
                    next += 1
                }
                while finished[index] == nil, let (number, packed) = try await group.next() {
                    finished[number] = packed
                }
                guard let packed = finished.removeValue(forKey: index) else { break }
                guard !isCancelled() else { throw QuantizationError.cancelled }
                try writer.append(packed.bytes)
                let entry = plan.entries[chunks[index].entry]
                summaries[entry.encoding]?.squaredError += packed.squaredError
                summaries[entry.encoding]?.squaredValue += packed.squaredValue
                done += chunks[index].rows.count * entry.tensor.columns
                progress(done, total)
            }
        }
        try writer.finish()
        return summaries.values.sorted { $0.encoding.rawValue < $1.encoding.rawValue }
    }

    /// Whole panels of about `chunkValues` values, in the file's order.
    private var chunks: [Chunk] {
        var chunks: [Chunk] = []
        for (index, entry) in plan.entries.enumerated() {
            let panels = max(1, Self.chunkValues / (entry.tensor.columns * 16))
            var row = 0
            while row < entry.tensor.rows {
                let end = min(row + panels * 16, entry.tensor.rows)
                chunks.append(Chunk(entry: index, rows: row..<end))
                row = end
            }
        }
        return chunks
    }

    private func encode(_ chunk: Chunk) throws -> PackedRows {
        let entry = plan.entries[chunk.entry]
        let packer = PanelPacker(
            tensor: entry.tensor, encoding: entry.encoding, candidates: plan.options.candidates)
        if entry.exact, let blocks = try source.readBlocks(entry.tensor, rows: chunk.rows) {
            return packer.pack(blocks, rows: chunk.rows)
        }
        var values = [Float](repeating: 0, count: chunk.rows.count * entry.tensor.columns)
        try source.read(entry.tensor, rows: chunk.rows, into: &values)
        return try packer.pack(values, rows: chunk.rows)
    }
}
