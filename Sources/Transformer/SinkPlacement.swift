internal import TesseraKernels

/// Where the attention sinks stand for each query.
///
/// Until something has been evicted the sinks are ordinary positions. Then their keys, kept before
/// RoPE, are rotated anew so that they follow the window: they stand at most `period` positions
/// before its oldest position, however long the text (arXiv 2309.17453 places them so too).
///
/// Placement must depend on a query's position alone and not on how tokens were batched, or else a
/// draft and its verification would differ. Therefore sinks move in steps of `period` positions, and
/// there are enough copies for all placements that the queries of one batch need.
final class SinkPlacement {
    /// Positions between two placements.
    static let period = 16

    let sinks: Int
    /// Slots of all copies, at the front of a layer.
    let slots: Int
    /// Placements to make in this pass, and their angles `[copies, sinks]`.
    private(set) var pending = 0
    let pendingSlots: Buffer<Int32>
    private let contextLength: Int
    private let copies: Int
    /// The step each copy stands at; -1: none.
    private var steps: [Int]
    /// Raw keys and values, `[sinks, 2, width]` per layer; empty where a layer keeps no sinks.
    private let raw: [Buffer<Float>]
    private let width: Int
    /// `[copies, sinks, 2, width]`.
    let rows: Buffer<Float>
    private var pendingSteps: [Int]

    /// - Parameter layers: Whether each keeps the sinks.
    init(contextLength: Int, sinks: Int, batchCapacity: Int, layers: [Bool], width: Int) {
        self.sinks = sinks
        self.contextLength = contextLength
        self.width = width
        copies = batchCapacity / Self.period + 2
        slots = Self.slots(sinks: sinks, batchCapacity: batchCapacity)
        steps = Array(repeating: -1, count: copies)
        pendingSteps = Array(repeating: 0, count: copies)
        pendingSlots = Buffer(count: slots)
        rows = Buffer(count: slots * 2 * width)
        raw = layers.map { Buffer(count: $0 ? sinks * 2 * width : 0) }
        steps[0] = 0
    }

    /// Slots that copies of the sinks take in each layer.
    static func slots(sinks: Int, batchCapacity: Int) -> Int {
        sinks == 0 ? 0 : (batchCapacity / period + 2) * sinks
    }

    /// Bytes held in addition to those slots.
    static func byteCount(sinks: Int, batchCapacity: Int, layerCount: Int, width: Int) -> Int {
        (slots(sinks: sinks, batchCapacity: batchCapacity) + layerCount * sinks) * 2 * width * 4
    }

    /// How many steps the sinks have been moved for a query at `position`.
    private func step(for position: Int) -> Int {
        max(0, position - contextLength + 1) / Self.period
    }

    /// First slot of the copy that a query at `position` sees.
    func slot(for position: Int) -> Int { step(for: position) % copies * sinks }

    /// Finds the placements that queries at `positions` need and that are not there yet.
    ///
    /// - Parameter angles: Gets those of the sinks, `[pending, sinks]`.
    func prepare(for positions: Range<Int>, angles: RotaryEmbedding) {
        pending = 0
        guard sinks > 0 else { return }
        if positions.lowerBound < sinks {
            // Some sinks are new in this pass; as ordinary positions they go to the first copy.
            if positions.lowerBound == 0 { steps[0] = 0 }
            for copy in 0..<copies where steps[copy] != 0 { steps[copy] = -1 }
        }
        for step in step(for: positions.lowerBound)...step(for: positions.upperBound - 1)
        where steps[step % copies] != step {
            steps[step % copies] = step
            for sink in 0..<sinks {
                let token = pending * sinks + sink
                angles.set(token, position: step * Self.period + sink)
                pendingSlots[token] = Int32(step % copies * sinks + sink)
            }
            pending += 1
        }
    }

    /// Remembers the raw keys and values of those committed tokens that are sinks.
    ///
    /// - Parameter first: Row of `y` that belongs to the first of `positions`.
    func keep(
        _ y: Buffer<Float>, keys: HeadLayout, values: HeadLayout, first: Int,
        positions: Range<Int>, layer: Int
    ) {
        guard raw[layer].count > 0 else { return }
        let end = max(positions.lowerBound, min(positions.upperBound, sinks))
        for position in positions.lowerBound..<end {
            let from = (first + position - positions.lowerBound) * keys.stride
            let to = position * 2 * width
            for column in 0..<width {
                raw[layer][to + column] = y[from + keys.offset + column]
                raw[layer][to + width + column] = y[from + values.offset + column]
            }
        }
    }

    /// Takes over the sinks of another sequence, which has evicted nothing: its first copy holds them where
    /// they stand as ordinary positions.
    func copy(_ other: SinkPlacement) {
        precondition(other.sinks == sinks && other.width == width, "sinks of another shape")
        for (buffer, source) in zip(raw, other.raw) {
            buffer.copy(source, from: 0, to: 0, count: buffer.count)
        }
        begin()
    }

    /// Bytes that ``write(_:)`` gives.
    var savedBytes: Int { raw.reduce(0) { $0 + $1.count * 4 } }

    /// Calls `body` with the raw rows of each layer.
    func write<Failure: Error>(_ body: (RawSpan) throws(Failure) -> Void) throws(Failure) {
        for buffer in raw { try buffer.withRawSpan(0..<buffer.count, body) }
    }

    /// Takes over the sinks of a sequence that was written, and had evicted nothing.
    func read(_ bytes: RawSpan) {
        var done = 0
        for buffer in raw {
            buffer.read(bytes.extracting(done..<done + buffer.count * 4), to: 0)
            done += buffer.count * 4
        }
        begin()
    }

    /// The first copy holds the sinks where they stand as ordinary positions.
    private func begin() {
        for copy in steps.indices { steps[copy] = copy == 0 ? 0 : -1 }
    }

    /// Copies the raw rows of a layer into `rows`, once for each pending placement; false where it keeps none.
    func load(layer: Int) -> Bool {
        guard pending > 0, raw[layer].count > 0 else { return false }
        let count = sinks * 2 * width
        for copy in 0..<pending {
            for index in 0..<count { rows[copy * count + index] = raw[layer][index] }
        }
        return true
    }

    /// Keys in `rows`.
    func keyLayout(kvHeads: Int) -> HeadLayout {
        HeadLayout(offset: 0, stride: 2 * width, heads: kvHeads, headDim: width / kvHeads)
    }

    /// Values in `rows`.
    func valueLayout(kvHeads: Int) -> HeadLayout {
        HeadLayout(offset: width, stride: 2 * width, heads: kvHeads, headDim: width / kvHeads)
    }
}
