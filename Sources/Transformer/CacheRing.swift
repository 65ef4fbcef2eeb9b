internal import TesseraKernels
internal import TesseraWeightFile

/// Which slots of a layer hold which positions, and which a query sees: one of these for all layers with
/// the same window.
///
/// Slots: `[sinks, several times | ring | open]`. A position beyond the sinks lies in ring slot
/// (position - sinks) mod ringSlots and is overwritten ringSlots positions later; the open tail holds a
/// block that is not decided yet. The ring is one batch longer than the window, so a batch never
/// overwrites positions that its first query sees, nor positions that are seen after its tokens are dropped.
/// It is never longer than the text can be.
final class CacheRing {
    /// Positions that always stay visible; none where the model has a window of its own.
    let sinks: Int
    /// Newest positions that a query sees, itself included, next to the sinks.
    let window: Int
    let ringSlots: Int
    private let openSlots: Int
    /// Slots in front of the ring.
    let begin: Int
    /// Lowest position, sinks aside, from which on every committed one is held.
    private var oldestHeld: Int

    /// - Parameter window: Window of the layers; 0: all positions. A window longer than the context counts as the
    ///   context, sinks included.
    init(window: Int, _ extent: KVCache.Extent) {
        let isWhole = window == 0 || window >= extent.contextLength
        sinks = isWhole ? extent.sinks : 0
        self.window = isWhole ? extent.contextLength - sinks : window
        begin =
            isWhole
            ? SinkPlacement.slots(sinks: sinks, batchCapacity: extent.batchCapacity) : 0
        let longest = self.window + extent.batchCapacity
        ringSlots = extent.slides ? longest : min(longest, extent.contextLength)
        openSlots = extent.openCapacity
        oldestHeld = sinks
    }

    /// Slots of a layer.
    var slots: Int { begin + ringSlots + openSlots }

    /// Slot of a committed position.
    func slot(of position: Int) -> Int {
        position < sinks ? position : begin + (position - sinks) % ringSlots
    }

    /// Slot of the open token `index`.
    func openSlot(_ index: Int) -> Int { begin + ringSlots + index }

    /// Oldest position, sinks aside, that a query at `position` sees.
    private func oldest(for position: Int) -> Int { max(sinks, position - window + 1) }

    /// Notes that the positions below `end` have been committed.
    func advance(to end: Int) { oldestHeld = max(oldestHeld, end - ringSlots) }

    /// Whether the ring still holds every past position that a query at `position` sees.
    func holds(contextOf position: Int) -> Bool {
        position <= sinks || oldest(for: position) >= oldestHeld
    }

    /// Notes that the positions from `end` on are dropped.
    func truncate(to end: Int) {
        if end <= sinks { oldestHeld = sinks }
    }

    /// Whether another text could go on after the first `count` positions: the ring holds all of them, or all that
    /// later positions see, and no sinks have been moved.
    func canBeCopied(upTo count: Int) -> Bool {
        isWhole || sinks == 0 && holds(contextOf: count)
    }

    /// Whether nothing has been evicted.
    private var isWhole: Bool { oldestHeld <= sinks }

    /// How many slots, from the first on, a copy of the first `count` positions takes; nil if this ring
    /// cannot take them.
    func slots(toCopy other: CacheRing, upTo count: Int) -> Int? {
        guard sinks == other.sinks, begin == other.begin, other.canBeCopied(upTo: count) else {
            return nil
        }
        if other.isWhole, count - sinks <= min(ringSlots, other.ringSlots) {
            return begin + max(0, count - sinks)
        }
        return ringSlots == other.ringSlots ? begin + ringSlots : nil
    }

    /// Notes that those slots have been copied.
    func copy(_ other: CacheRing) { oldestHeld = other.oldestHeld }

    /// The ring of a saved text of `count` positions; nil if the text cannot be continued from there.
    func saved(upTo count: Int) -> SavedText.Ring? {
        guard let slots = slots(toCopy: self, upTo: count) else { return nil }
        return SavedText.Ring(slots: slots, length: ringSlots, oldestHeld: oldestHeld)
    }

    /// How many slots, from the first on, hold the first `count` positions of a saved ring with the same window and
    /// `committed` positions; nil if this ring cannot take them.
    func slots(toTake saved: SavedText.Ring, of committed: Int, upTo count: Int) -> Int? {
        if saved.oldestHeld == sinks {
            guard saved.slots == begin + max(0, committed - sinks), count - sinks <= ringSlots
            else {
                return nil
            }
            return begin + max(0, count - sinks)
        }
        // After an eviction, positions begin anew after the same number of slots.
        let canTake =
            sinks == 0 && saved.length == ringSlots && saved.slots == begin + ringSlots
            && saved.oldestHeld >= committed - ringSlots && saved.oldestHeld <= oldest(for: count)
        return canTake ? saved.slots : nil
    }

    /// Notes that those slots have been read.
    func take(_ saved: SavedText.Ring) { oldestHeld = saved.oldestHeld }

    /// Writes the slot ranges that one query sees into `visible[8 * token...]`.
    ///
    /// - Parameters:
    ///   - sinkSlot: First slot of the sinks as this query sees them.
    ///   - position: Position of the query.
    ///   - end: Committed positions below this are seen.
    ///   - open: Open tokens seen.
    func setVisible(
        _ visible: Buffer<Int32>, token: Int, sinkSlot: Int, position: Int, end: Int, open: Int
    ) {
        let at = token * 8
        let sinkBegin = sinks == 0 ? 0 : sinkSlot
        set(visible, at, sinkBegin..<sinkBegin + min(sinks, end))
        let first = oldest(for: position)
        let count = max(0, end - first)
        let start = slot(of: first)
        let straight = min(count, begin + ringSlots - start)
        set(visible, at + 2, start..<start + straight)
        set(visible, at + 4, begin..<begin + count - straight)
        set(visible, at + 6, openSlot(0)..<openSlot(open))
    }

    private func set(_ visible: Buffer<Int32>, _ index: Int, _ range: Range<Int>) {
        visible[index] = Int32(range.lowerBound)
        visible[index + 1] = Int32(range.upperBound)
    }
}
