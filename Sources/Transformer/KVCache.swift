internal import Kernels

/// Keys and values of every layer in rings of fixed capacity, allocated once. Layers with one window share
/// a ``CacheRing``, which says where positions lie; layers that see less hold less.
///
/// Keys are stored after RoPE at absolute positions and never shifted. Sinks alone are kept before RoPE
/// too: see ``SinkPlacement``.
final class KVCache {
    /// Positions a query sees at most: the sinks and the newest others, itself included.
    let contextLength: Int
    /// Of layers that see so many; fewer where a layer's window is shorter.
    let sinks: Int
    /// One for each of the model's windows.
    let rings: [CacheRing]
    let layers: [KVLayer]
    let placement: SinkPlacement
    private let views: [Int]

    /// What a cache of a model is made of.
    struct Shape {
        var windows: [Int]
        /// Index of each layer's window.
        var views: [Int]
        var kvHeads: Int
        var headDim: Int
    }

    init(
        _ shape: Shape, contextLength: Int, sinks: Int, batchCapacity: Int,
        encoding: KVLayer.Encoding
    ) {
        self.contextLength = contextLength
        self.sinks = sinks
        let rings = Self.rings(
            shape.windows, contextLength: contextLength, sinks: sinks, batchCapacity: batchCapacity)
        self.rings = rings
        views = shape.views
        placement = SinkPlacement(
            contextLength: contextLength, sinks: sinks, batchCapacity: batchCapacity,
            layers: shape.views.map { rings[$0].sinks > 0 }, width: shape.kvHeads * shape.headDim)
        layers = shape.views.map { view in
            KVLayer(
                kvHeads: shape.kvHeads, headDim: shape.headDim, slots: rings[view].slots,
                encoding: encoding)
        }
    }

    static func rings(
        _ windows: [Int], contextLength: Int, sinks: Int, batchCapacity: Int
    ) -> [CacheRing] {
        let sinkSlots = SinkPlacement.slots(sinks: sinks, batchCapacity: batchCapacity)
        return windows.map { window in
            CacheRing(
                window: window, contextLength: contextLength, sinks: sinks, sinkSlots: sinkSlots,
                batchCapacity: batchCapacity)
        }
    }

    /// Notes that the positions below `end` have been committed.
    func advance(to end: Int) {
        for view in rings.indices { rings[view].advance(to: end) }
    }

    /// Whether all that a query at `position` sees of the past is still held.
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
}
