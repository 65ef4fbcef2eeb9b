internal import Kernels

/// Keys and values of every layer in rings of fixed capacity, allocated once.
///
/// Slots of a layer: `[sinks | ring | open]`. Positions 0..<sinks stay for good; position p beyond
/// them lies in ring slot (p - sinks) mod ringSlots and is overwritten ringSlots positions later; the
/// open tail holds a block that is not decided yet. The ring is one batch longer than the window, so
/// a batch never overwrites what its first query sees, nor what is seen after dropping its tokens.
/// Keys are stored after RoPE at absolute positions and never shifted. Sinks alone are kept before
/// RoPE and, once positions have been evicted, rotated to lie just before the oldest one in sight.
public final class KVCache {
    /// Positions a query sees: the sinks and the newest `window` others, itself included.
    public let contextLength: Int
    public let sinks: Int
    let window: Int
    let ringSlots: Int
    let openSlots: Int
    let layers: [KVLayer]
    /// Raw keys and values of the sinks, `[sinks, 2, kvHeads * headDim]` per layer.
    let sinkRows: [Buffer<Float>]
    /// Distance that each layer's sinks have been moved from their own positions.
    var sinkShift = 0

    init(
        layerCount: Int, kvHeads: Int, headDim: Int, contextLength: Int, sinks: Int,
        batchCapacity: Int, openSlots: Int, encoding: KVLayer.Encoding
    ) {
        self.contextLength = contextLength
        self.sinks = sinks
        self.openSlots = openSlots
        window = contextLength - sinks
        ringSlots = window + batchCapacity
        let slots = sinks + ringSlots + openSlots
        layers = (0..<layerCount).map { _ in
            KVLayer(kvHeads: kvHeads, headDim: headDim, slots: slots, encoding: encoding)
        }
        sinkRows = (0..<layerCount).map { _ in Buffer(count: sinks * 2 * kvHeads * headDim) }
    }

    /// Bytes held.
    public var byteCount: Int {
        layers.reduce(0) { $0 + $1.byteCount } + sinkRows.reduce(0) { $0 + $1.count * 4 }
    }

    /// Slot of a committed position.
    func slot(of position: Int) -> Int {
        position < sinks ? position : sinks + (position - sinks) % ringSlots
    }

    /// Slot of the open token `index`.
    func openSlot(_ index: Int) -> Int { sinks + ringSlots + index }

    /// Oldest position, sinks aside, that a query at `position` sees.
    func oldest(for position: Int) -> Int { max(sinks, position - window + 1) }

    /// Writes the slot ranges that one query sees into `visible[8 * token...]`.
    ///
    /// - Parameters:
    ///   - position: Of the query.
    ///   - end: Committed positions below this are seen.
    ///   - open: Open tokens seen.
    func setVisible(
        _ visible: Buffer<Int32>, token: Int, position: Int, end: Int, open: Int
    ) {
        var ranges: (Range<Int>, Range<Int>, Range<Int>, Range<Int>) = (0..<0, 0..<0, 0..<0, 0..<0)
        ranges.0 = 0..<min(sinks, end)
        let first = oldest(for: position)
        if first < end {
            let begin = slot(of: first)
            let count = end - first
            let straight = min(count, sinks + ringSlots - begin)
            ranges.1 = begin..<begin + straight
            ranges.2 = sinks..<sinks + count - straight
        }
        ranges.3 = openSlot(0)..<openSlot(open)
        set(visible, token * 8, ranges.0)
        set(visible, token * 8 + 2, ranges.1)
        set(visible, token * 8 + 4, ranges.2)
        set(visible, token * 8 + 6, ranges.3)
    }

    private func set(_ visible: Buffer<Int32>, _ index: Int, _ range: Range<Int>) {
        visible[index] = Int32(range.lowerBound)
        visible[index + 1] = Int32(range.upperBound)
    }
}
