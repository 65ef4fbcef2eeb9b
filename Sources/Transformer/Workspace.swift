public import TesseraKernels
internal import TesseraResidency
internal import TesseraWeightFile

/// The scratch and the logits of one pass at a time, over any sequences of a model.
///
/// Each matrix is multiplied with the rows of all segments at once, so weights are read once per pass;
/// attention runs by sequence, over the cache of each. Nothing is allocated in a pass.
public final class Workspace {
    public let model: Model
    /// Positions of one pass; longer inputs are cut.
    public let batchCapacity: Int
    /// `[logitCapacity, logitStride]`: the rows of the last call's segments, one after the other.
    public let logits: Buffer<Float>
    public let logitStride: Int
    public let logitCapacity: Int
    /// Forward passes since the start, every batch of a long input counted.
    public private(set) var passCount = 0
    /// Called for every step of each pass; nil, the usual case, costs one test per step.
    public var observer: (any PassObserver)?

    /// First layer that passes compute. The observer replaces the embeddings by the output of the layers before it. Only
    /// for models that stay in memory.
    public var firstLayer = 0 {
        didSet { precondition(firstLayer == 0 || canSkipLayers, "layers are read in order") }
    }
    /// Whether passes may begin at any layer: weights that are read from disk come in their order.
    public var canSkipLayers: Bool { !model.store.isStreaming }

    /// Reads the residual streams of each pass, where texts have a drafter.
    public internal(set) var drafter: BlockDrafter?
    let scratch: Scratch
    let rotary: RotaryEmbedding
    /// Parts of the current batch.
    var parts: [Part] = []
    private var single: [Segment] = []

    public init(_ model: Model) {
        self.model = model
        batchCapacity = model.options.batchCapacity
        logitCapacity = model.options.logitCapacity
        scratch = Scratch(
            model.config, model.layers[0], batchCapacity, logitCapacity: logitCapacity,
            forms: model.file.forms)
        rotary = RotaryEmbedding(model.config, capacity: batchCapacity)
        logitStride = model.head.matrices.outputStride
        logits = Buffer(count: logitCapacity * logitStride)
        parts.reserveCapacity(batchCapacity)
    }

    /// Bytes of activations and logits.
    public var scratchBytes: Int { model.residency.needs.scratch }

    /// A pass over one sequence.
    func forward(_ segment: Segment) throws(TransformerError) {
        single.append(segment)
        defer { single.removeAll(keepingCapacity: true) }
        try forward(single)
    }

    /// One pass over the tokens of all segments, or as many as a long input needs: batches are filled
    /// with segments in their order.
    ///
    /// If activations, or keys and values, of a sequence are not finite or too large for the cache's numbers, its
    /// logits are NaN until its next reset. The logits of other sequences do not change.
    ///
    /// - Throws: Where weights cannot be read or are damaged. Sequences stand where their last good batch
    ///   left them.
    /// - Precondition: Each sequence has one segment at most, with a token at least. Every id is below
    ///   the vocabulary's size. All segments together want at most `logitCapacity` rows.
    public func forward(_ segments: [Segment]) throws(TransformerError) {
        // Indices, since iterators of arrays take memory where nothing is optimized.
        var rows = 0
        for index in segments.indices {
            check(segments[index])
            rows += segments[index].logitRows.count
            segments[index].sequence.isInPass = true
        }
        defer { for index in segments.indices { segments[index].sequence.isInPass = false } }
        precondition(rows <= logitCapacity, "\(rows) rows of \(logitCapacity)")
        try model.check()
        var cursor = Cursor()
        while cursor.segment < segments.count {
            let tokens = take(segments, from: &cursor)
            observer?.passBegins(tokens: tokens)
            for index in parts.indices { load(parts[index], segments[parts[index].segment]) }
            observer?.finished(.prepare, layer: 0)
            try run(segments)
        }
    }

    private func check(_ segment: Segment) {
        precondition(segment.count > 0, "an empty segment")
        let sequence = segment.sequence
        precondition(
            segment.open.count <= min(batchCapacity, sequence.cache.openCapacity),
            "\(segment.open.count) open tokens")
        precondition(
            model.options.slides
                || sequence.position + segment.committed.count <= sequence.contextLength,
            "a text longer than its context of \(sequence.contextLength)")
        precondition(
            segment.blockSize > 0 && segment.blockSize <= batchCapacity,
            "block of \(segment.blockSize)")
        precondition(segment.sequence.workspace === self, "a sequence of another workspace")
        precondition(!segment.sequence.isInPass, "two segments of one sequence")
        let rows = segment.logitRows
        precondition(
            rows.isEmpty || rows[rows.count - 1] < segment.count, "a row outside the segment")
    }

    /// Where the next batch begins.
    private struct Cursor {
        var segment = 0
        /// Committed tokens of the segment that are done.
        var begin = 0
        /// Logit rows of the segment that are done, and of all segments.
        var segmentRow = 0
        var row = 0
    }

    /// Fills `parts` with as much as a batch holds; returns how many tokens those are.
    private func take(_ segments: [Segment], from cursor: inout Cursor) -> Int {
        parts.removeAll(keepingCapacity: true)
        var tokens = 0
        while cursor.segment < segments.count {
            let segment = segments[cursor.segment]
            let (rest, room) = (segment.committed.count - cursor.begin, batchCapacity - tokens)
            var count = min(rest, room)
            if count < rest && segment.blockSize > 1 {  // never cut a block
                count -= (segment.sequence.position + count) % segment.blockSize
            }
            let isLast = count == rest && count + segment.open.count <= room
            guard isLast || count > 0 else { break }
            var part = Part(
                sequence: segment.sequence, segment: cursor.segment, first: tokens,
                committed: cursor.begin..<cursor.begin + count,
                openCount: isLast ? segment.open.count : 0,
                rows: cursor.row..<cursor.row, firstRow: cursor.segmentRow)
            let end = part.committed.upperBound + part.openCount
            while cursor.segmentRow < segment.logitRows.count,
                segment.logitRows[cursor.segmentRow] < end
            {
                cursor.segmentRow += 1
            }
            part.rows = cursor.row..<cursor.row + cursor.segmentRow - part.firstRow
            cursor.row = part.rows.upperBound
            tokens += part.count
            parts.append(part)
            cursor.begin += count
            guard isLast else { break }
            (cursor.segment, cursor.begin, cursor.segmentRow) = (cursor.segment + 1, 0, 0)
        }
        return tokens
    }

    /// Writes the ids, logit rows and places of one part.
    private func load(_ part: Part, _ segment: Segment) {
        for index in 0..<part.committed.count {
            scratch.ids[part.first + index] =
                segment.committed[part.committed.lowerBound + index]
        }
        for index in 0..<part.openCount {
            scratch.ids[part.first + part.committed.count + index] = segment.open[index]
        }
        place(part, blockSize: segment.blockSize)
        let firstOfAll = parts[0].rows.lowerBound
        for row in part.rows {
            let index = segment.logitRows[part.firstRow + row - part.rows.lowerBound]
            let begin = part.committed.lowerBound
            precondition(index >= begin, "row \(index) out of order")
            scratch.logitRows[row - firstOfAll] = Int32(part.first + index - begin)
        }
    }

    /// Writes the positions, slots and visible ranges of one part.
    func place(_ part: Part, blockSize: Int = 1) {
        let (sequence, count) = (part.sequence, part.committed.count)
        let (position, cache) = (sequence.position, sequence.cache)
        let end = position + count
        for index in 0..<count {
            let (at, row) = (position + index, part.first + index)
            let blockEnd = min(end, (at / blockSize + 1) * blockSize)
            for view in scratch.slots.indices {
                scratch.slots[view][row] = Int32(cache.rings[view].slot(of: at))
                cache.setVisible(
                    scratch.visible[view], view: view, token: row, position: at, end: blockEnd,
                    open: 0)
            }
        }
        for index in 0..<part.openCount {
            let row = part.first + count + index
            for view in scratch.slots.indices {
                scratch.slots[view][row] = Int32(cache.rings[view].openSlot(index))
                cache.setVisible(
                    scratch.visible[view], view: view, token: row, position: end + index,
                    end: end, open: part.openCount)
            }
        }
        for index in 0..<part.count { rotary.set(part.first + index, position: position + index) }
        cache.placement.prepare(
            for: position..<position + part.count, angles: sequence.sinkRotary)
    }

    /// Computes the batch in `parts` and moves its sequences on.
    private func run(_ segments: [Segment]) throws(TransformerError) {
        try compute()
        passCount += 1
        let isFinite = model.compute.takeNotFinite() == 0
        if !isFinite { try findNotFinite(segments) }
        guard !model.compute.hasSeenDamage else {
            throw .damagedWeights(path: model.file.path)
        }
        for index in parts.indices {
            let sequence = parts[index].sequence
            if isFinite { try drafter?.follow(parts[index]) }
            sequence.position += parts[index].committed.count
            sequence.cache.advance(to: sequence.position)
            if sequence.isNotFinite { spoil(parts[index].rows) }
        }
    }

    /// Finds out whose values are not finite, by computing each part of the batch again by itself.
    private func findNotFinite(_ segments: [Segment]) throws(TransformerError) {
        let all = parts
        defer { parts = all }
        for part in all {
            parts = [part]
            parts[0].first = 0
            if all.count > 1 {
                load(parts[0], segments[part.segment])
                try compute()
            }
            if all.count == 1 || model.compute.takeNotFinite() > 0 {
                part.sequence.isNotFinite = true
            }
        }
    }

    /// Gives no logits rather than wrong ones.
    private func spoil(_ rows: Range<Int>) {
        for row in rows {
            let begin = row * logitStride
            for index in begin..<begin + model.config.headRows { logits[index] = .nan }
        }
    }
}

/// The part of a segment that one batch computes.
struct Part {
    /// The sequence of the segment. The segment keeps it alive, and only for the pass.
    unowned var sequence: TokenSequence
    /// Index of the segment.
    var segment: Int
    /// Row of the first token in the buffers of the pass.
    var first: Int
    /// Indices of the segment's committed tokens.
    var committed: Range<Int>
    var openCount: Int
    /// Rows of the logits.
    var rows: Range<Int>
    /// Index of the first of these rows in the segment's `logitRows`.
    var firstRow: Int

    var count: Int { committed.count + openCount }
}
