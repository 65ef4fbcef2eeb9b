import TesseraKernels
import Testing

@testable import TesseraTransformer

/// The ring of keys and values against a list that forgets nothing.
@Suite struct RingTests {
    /// Seeded numbers.
    private struct Numbers {
        var state: UInt64

        mutating func below(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(bound))
        }
    }

    /// The content of a slot: a committed position, or an open one of the current pass.
    private enum Content: Hashable {
        case committed(Int)
        case open(Int)
    }

    @Test(
        "A query sees the sinks, the window before it and the open block: no more, no less",
        arguments: 0..<60)
    func visibleSlotsAreTheWindow(_ seed: Int) {
        var random = Numbers(state: UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 &+ 99)
        let sinks = random.below(6)
        let context = sinks + 1 + random.below(40)
        let batch = 1 + random.below(24)
        // In every third case the layer has a window of its own, which keeps no sinks; in every fourth the
        // text ends where the context does.
        let window = seed % 3 == 0 ? 1 + random.below(context + 4) : 0
        let slides = seed % 4 != 0
        let opens = 1 + random.below(batch)
        let cache = KVCache(
            .init(windows: [window], views: [0], kvHeads: 1, headDim: 16),
            .init(
                contextLength: context, slides: slides, sinks: slides ? sinks : 0,
                batchCapacity: batch, openCapacity: opens), encoding: .int8)
        if !slides { #expect(cache.rings[0].slots <= context + opens) }
        let length = slides ? 12 * context + 200 : context
        var slots: [Int: Content] = [:]
        var position = 0
        for _ in 0..<100 * length where position < length {
            // Wraps fall inside batches and blocks, since sizes are whatever comes.
            let committed = min(random.below(batch + 1), slides ? .max : length - position)
            let open = min(random.below(batch - committed + 1), opens)
            guard committed + open > 0 else { continue }
            for index in 0..<open { #expect(cache.rings[0].openSlot(index) < cache.rings[0].slots) }
            for at in position..<position + committed {
                slots[cache.rings[0].slot(of: at)] = .committed(at)
            }
            for index in 0..<open { slots[cache.rings[0].openSlot(index)] = .open(index) }
            for index in 0..<committed {
                let at = position + index
                check(cache, window, slots, position: at, end: at + 1, open: 0)
            }
            let end = position + committed
            for index in 0..<open {
                check(cache, window, slots, position: end + index, end: end, open: open)
            }
            position = end
            cache.advance(to: position)
            // Some tokens turn out wrong and are dropped, as a verified draft's are.
            let back = random.below(min(committed, 3) + 1)
            if cache.canDrop(to: position - back) {
                position -= back
                cache.truncate(to: position)
            }
        }
    }

    private func check(
        _ cache: KVCache, _ window: Int, _ slots: [Int: Content], position: Int, end: Int,
        open: Int
    ) {
        let visible = Buffer<Int32>(count: 8)
        cache.setVisible(
            visible, view: 0, token: 0, position: position, end: end, open: open)
        var seen: [Content] = []
        for part in 0..<4 {
            let range = Int(visible[2 * part])..<Int(visible[2 * part + 1])
            // Sinks move with the window in copies; all copies hold the same positions.
            for slot in range {
                seen.append(
                    part == 0
                        ? .committed(slot - range.lowerBound) : slots[slot] ?? .committed(-1))
            }
        }
        let isSliding = window > 0 && window < cache.contextLength
        let sinks = isSliding ? 0 : cache.sinks
        let first = max(sinks, position - (isSliding ? window : cache.contextLength - sinks) + 1)
        let expected =
            (0..<min(sinks, end)).map { Content.committed($0) }
            + (min(first, end)..<end).map { .committed($0) } + (0..<open).map { .open($0) }
        #expect(seen.count == expected.count && Set(seen) == Set(expected), "query \(position)")
    }
}

extension KVCache {
    fileprivate func canDrop(to position: Int) -> Bool {
        position >= 0 && holds(contextOf: position)
    }
}
