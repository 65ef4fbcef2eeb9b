internal import Kernels

/// Keys and values of every layer in rings of fixed capacity, allocated once.
///
/// Slots of a layer: `[sinks, several times | ring | open]`. A position beyond the sinks lies in ring
/// slot (position - sinks) mod ringSlots and is overwritten ringSlots positions later; the open tail
/// holds a block that is not decided yet. The ring is one batch longer than the window, so a batch
/// never overwrites what its first query sees, nor what is seen after dropping its tokens. Keys are
/// stored after RoPE at absolute positions and never shifted. Sinks alone are kept before RoPE too:
/// see ``SinkPlacement``.
public final class KVCache {
    /// Positions a query sees: the sinks and the newest `window` others, itself included.
    public let contextLength: Int
    public let sinks: Int
    let window: Int
    let ringSlots: Int
    let openSlots: Int
    let layers: [KVLayer]
    let placement: SinkPlacement
    private let ringBegin: Int
    /// Lowest position, sinks aside, from which on every committed one is held.
    private var oldestHeld: Int

    init(
        layerCount: Int, kvHeads: Int, headDim: Int, contextLength: Int, sinks: Int,
        batchCapacity: Int, encoding: KVLayer.Encoding
    ) {
        self.contextLength = contextLength
        self.sinks = sinks
        openSlots = batchCapacity
        window = contextLength - sinks
        ringSlots = window + batchCapacity
        placement = SinkPlacement(
            contextLength: contextLength, sinks: sinks, batchCapacity: batchCapacity,
            layerCount: layerCount, width: kvHeads * headDim)
        ringBegin = placement.slots
        oldestHeld = sinks
        let slots = ringBegin + ringSlots + openSlots
        layers = (0..<layerCount).map { _ in
            KVLayer(kvHeads: kvHeads, headDim: headDim, slots: slots, encoding: encoding)
        }
    }

    /// Slot of a committed position.
    func slot(of position: Int) -> Int {
        position < sinks ? position : ringBegin + (position - sinks) % ringSlots
    }

    /// Slot of the open token `index`.
    func openSlot(_ index: Int) -> Int { ringBegin + ringSlots + index }

    /// Oldest position, sinks aside, that a query at `position` sees.
    func oldest(for position: Int) -> Int { max(sinks, position - window + 1) }

    /// Notes that the positions below `end` have been committed.
    func advance(to end: Int) { oldestHeld = max(oldestHeld, end - ringSlots) }

    /// Whether all that a query at `position` sees of the past is still held.
    func holds(contextOf position: Int) -> Bool {
        position <= sinks || oldest(for: position) >= oldestHeld
    }

    /// Notes that the positions from `end` on are dropped.
    func truncate(to end: Int) {
        if end <= sinks { oldestHeld = sinks }
    }

    /// Whether all positions below `end` are held.
    func isWhole(at end: Int) -> Bool { oldestHeld <= sinks && end - sinks <= ringSlots }

    /// Takes over the first `count` positions of another cache, which is whole and perhaps longer or shorter.
    func copy(_ other: KVCache, count: Int) {
        let slots = ringBegin + max(0, count - sinks)
        precondition(
            other.ringBegin == ringBegin && other.sinks == sinks && count - sinks <= ringSlots,
            "\(count) positions into a cache of another shape")
        for (layer, source) in zip(layers, other.layers) { layer.copy(source, slots: slots) }
        placement.copy(other.placement)
        oldestHeld = sinks
    }

    /// Writes the slot ranges that one query sees into `visible[8 * token...]`.
    ///
    /// - Parameters:
    ///   - position: Of the query.
    ///   - end: Committed positions below this are seen.
    ///   - open: Open tokens seen.
    func setVisible(
        _ visible: Buffer<Int32>, token: Int, position: Int, end: Int, open: Int
    ) {
        let at = token * 8
        let sinkBegin = placement.slot(for: position)
        set(visible, at, sinkBegin..<sinkBegin + min(sinks, end))
        let first = oldest(for: position)
        let count = max(0, end - first)
        let begin = slot(of: first)
        let straight = min(count, ringBegin + ringSlots - begin)
        set(visible, at + 2, begin..<begin + straight)
        set(visible, at + 4, ringBegin..<ringBegin + count - straight)
        set(visible, at + 6, openSlot(0)..<openSlot(open))
    }

    private func set(_ visible: Buffer<Int32>, _ index: Int, _ range: Range<Int>) {
        visible[index] = Int32(range.lowerBound)
        visible[index + 1] = Int32(range.upperBound)
    }
}
