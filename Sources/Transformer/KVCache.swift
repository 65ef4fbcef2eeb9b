internal import TesseraKernels
internal import TesseraWeightFile

/// Keys and values of every layer in rings of fixed capacity, allocated once. Layers with one window share
/// a ``CacheRing``, which says where positions lie; layers that see less hold less.
///
/// Keys are stored after RoPE at absolute positions and never shifted. Sinks alone are kept before RoPE
/// too: see ``SinkPlacement``.
final class KVCache {
    /// Positions a query sees at most: the sinks and the newest others, itself included.
    let contextLength: Int
    /// Sinks of layers that see the whole context; layers with a shorter window have none.
    let sinks: Int
    /// One for each of the model's windows.
    let rings: [CacheRing]
    let layers: [KVLayer]
    let placement: SinkPlacement
    /// Open tokens of a pass.
    let openCapacity: Int
    private let views: [Int]

    /// The shape of a model's cache.
    struct Shape {
        var windows: [Int]
        /// Index of each layer's window.
        var views: [Int]
        var kvHeads: Int
        var headDim: Int
    }

    /// How much a cache holds.
    struct Extent {
        /// Positions a query sees at most.
        var contextLength: Int
        /// Whether a text may have more positions; if so, how many of its first ones stay visible.
        var slides: Bool
        var sinks: Int
        /// Positions of a pass, and open tokens of it.
        var batchCapacity: Int
        var openCapacity: Int
    }

    init(_ shape: Shape, _ extent: Extent, encoding: KVLayer.Encoding) {
        contextLength = extent.contextLength
        sinks = extent.sinks
        openCapacity = extent.openCapacity
        let rings = shape.windows.map { CacheRing(window: $0, extent) }
        self.rings = rings
        views = shape.views
        placement = SinkPlacement(
            contextLength: contextLength, sinks: sinks, batchCapacity: extent.batchCapacity,
            layers: shape.views.map { rings[$0].sinks > 0 }, width: shape.kvHeads * shape.headDim)
        layers = shape.views.map { view in
            KVLayer(
                kvHeads: shape.kvHeads, headDim: shape.headDim, slots: rings[view].slots,
                encoding: encoding)
        }
    }

    /// Notes that the positions below `end` have been committed.
    func advance(to end: Int) {
        for view in rings.indices { rings[view].advance(to: end) }
    }

    /// Whether the cache still holds every past position that a query at `position` sees.
    func holds(contextOf position: Int) -> Bool {
        // Indices, since iterators of arrays take memory where nothing is optimized.
        for view in rings.indices where !rings[view].holds(contextOf: position) { return false }
        return true
    }

    /// Notes that the positions from `end` on are dropped.
    func truncate(to end: Int) {
        for view in rings.indices { rings[view].truncate(to: end) }
    }

    /// Whether another text could go on after the first `count` positions.
    func canBeCopied(upTo count: Int) -> Bool {
        rings.allSatisfy { $0.canBeCopied(upTo: count) }
    }

    /// Whether this cache, which is perhaps longer or shorter, can take the first `count` positions of another one.
    func canCopy(_ other: KVCache, upTo count: Int) -> Bool {
        zip(rings, other.rings).allSatisfy { $0.slots(toCopy: $1, upTo: count) != nil }
    }

    /// Takes over the first `count` positions of another cache.
    func copy(_ other: KVCache, upTo count: Int) {
        let slots = zip(rings, other.rings).map { $0.slots(toCopy: $1, upTo: count) ?? 0 }
        for (index, layer) in layers.enumerated() {
            let view = views[index]
            layer.copy(other.layers[index], slots: slots[view])
        }
        for view in rings.indices { rings[view].copy(other.rings[view]) }
        placement.copy(other.placement)
    }

    /// Writes the slot ranges that one query sees in layers with one window, as ``CacheRing`` does.
    func setVisible(
        _ visible: Buffer<Int32>, view: Int, token: Int, position: Int, end: Int, open: Int
    ) {
        rings[view].setVisible(
            visible, token: token, sinkSlot: placement.slot(for: position), position: position,
            end: end, open: open)
    }

    /// The rings of a saved text of `count` positions; nil if the text cannot be continued from there.
    func saved(upTo count: Int) -> [SavedText.Ring]? {
        let saved = rings.compactMap { $0.saved(upTo: count) }
        return saved.count == rings.count ? saved : nil
    }

    /// Bytes that ``write(_:_:)`` gives.
    func savedBytes(_ saved: [SavedText.Ring]) -> Int {
        let slots = views.map { saved[$0].slots }
        return zip(layers, slots).reduce(placement.savedBytes) { sum, each in
            sum + each.0.savedBytes(slots: each.1)
        }
    }

    /// Calls `body` with the keys and values of one layer after the other, and then with the sinks.
    func write<Failure: Error>(
        _ saved: [SavedText.Ring], _ body: (RawSpan) throws(Failure) -> Void
    ) throws(Failure) {
        for (layer, view) in zip(layers, views) {
            try layer.write(slots: saved[view].slots, body)
        }
        try placement.write(body)
    }

    /// How many slots of each ring hold the first `count` positions of a saved text of `committed` positions; nil if
    /// this cache cannot take them.
    func slots(toTake saved: [SavedText.Ring], of committed: Int, upTo count: Int) -> [Int]? {
        guard saved.count == rings.count else { return nil }
        let slots = zip(rings, saved).compactMap {
            $0.slots(toTake: $1, of: committed, upTo: count)
        }
        return slots.count == rings.count ? slots : nil
    }

    /// Whether all numbers of a saved cache are finite, as in every cache that this program writes.
    ///
    /// - Precondition: As many bytes as there should be.
    func isFinite(_ saved: [SavedText.Ring], _ bytes: RawSpan) -> Bool {
        var done = 0
        for (layer, view) in zip(layers, views) {
            for range in layer.savedNumbers(slots: saved[view].slots) {
                let range = done + range.lowerBound..<done + range.upperBound
                guard bytes.isFinite(in: range, half: layer.encoding == .f16) else { return false }
            }
            done += layer.savedBytes(slots: saved[view].slots)
        }
        return bytes.isFinite(in: done..<bytes.byteCount, half: false)
    }

    /// Takes over what was written.
    ///
    /// - Parameter slots: Slots of each ring, as ``slots(toTake:of:upTo:)`` gives them.
    /// - Precondition: As many bytes as there should be.
    func read(_ saved: [SavedText.Ring], slots: [Int], from bytes: RawSpan) {
        var done = 0
        for (layer, view) in zip(layers, views) {
            let size = layer.savedBytes(slots: saved[view].slots)
            layer.read(
                slots: slots[view], of: saved[view].slots,
                from: bytes.extracting(done..<done + size))
            done += size
        }
        placement.read(bytes.extracting(done..<bytes.byteCount))
        for (ring, saved) in zip(rings, saved) { ring.take(saved) }
    }
}

extension KVCache.Extent {
    init(contextLength: Int, _ options: Model.Options) {
        self.init(
            contextLength: contextLength, slides: options.slides,
            sinks: options.slides ? options.sinks : 0, batchCapacity: options.batchCapacity,
            openCapacity: options.openCapacity ?? options.batchCapacity)
    }
}
