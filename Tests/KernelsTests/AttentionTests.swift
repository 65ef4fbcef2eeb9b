import Foundation
import TesseraKernels
import Testing

struct AttentionTests {
    struct Case: Sendable, CustomStringConvertible {
        var heads: Int
        var kvHeads: Int
        var headDim: Int
        var slots: Int
        var tokens: Int
        var description: String {
            "\(heads)/\(kvHeads) heads of \(headDim), \(slots) slots, \(tokens) tokens"
        }
    }

    static let cases = [
        Case(heads: 1, kvHeads: 1, headDim: 8, slots: 1, tokens: 1),
        Case(heads: 9, kvHeads: 3, headDim: 64, slots: 70, tokens: 1),
        Case(heads: 9, kvHeads: 3, headDim: 64, slots: 33, tokens: 17),
        Case(heads: 8, kvHeads: 2, headDim: 128, slots: 700, tokens: 1),
        Case(heads: 8, kvHeads: 2, headDim: 128, slots: 300, tokens: 5),
        Case(heads: 6, kvHeads: 2, headDim: 80, slots: 67, tokens: 35),
        Case(heads: 4, kvHeads: 4, headDim: 20, slots: 40, tokens: 3),
    ]

    @Test(arguments: Compute.availableISAs, KVLayer.Encoding.allCases)
    func attentionEqualsTheNaiveFormula(isa: String, encoding: KVLayer.Encoding) throws {
        for threads in encoding == .int8 || encoding == .int4 ? [1, 3] : [2] {
            let compute = try Compute(isa: isa, threads: threads)
            var random = SeededGenerator(seed: 21)
            for shape in Self.cases { try check(compute, shape, encoding, &random) }
        }
    }

    /// Which slots a token sees: one long range, or several short ones with empty ones between.
    private func ranges(_ shape: Case, token: Int) -> [Range<Int>] {
        let slots = shape.slots
        if token % 3 == 1 { return [0..<min(3, slots), 0..<0, slots / 2..<slots] }
        if token % 3 == 2 { return [slots - 1..<slots] }
        return [0..<slots]
    }

    private func check(
        _ compute: Compute, _ shape: Case, _ encoding: KVLayer.Encoding,
        _ random: inout SeededGenerator
    ) throws {
        let kvWidth = shape.kvHeads * shape.headDim
        let width = shape.heads * shape.headDim
        let layer = KVLayer(
            kvHeads: shape.kvHeads, headDim: shape.headDim, slots: shape.slots, encoding: encoding)
        // What the cache holds, as the encoding rounds it, is stored through the public operation.
        let stored = Buffer<Float>(count: shape.slots * 2 * kvWidth)
        for index in 0..<stored.count { stored[index] = random.float(-2...2) }
        let slots = Buffer<Int32>(count: shape.slots)
        for index in 0..<shape.slots { slots[index] = Int32(shape.slots - 1 - index) }
        let keys = HeadLayout(
            offset: 0, stride: 2 * kvWidth, heads: shape.kvHeads, headDim: shape.headDim)
        var values = keys
        values.offset = kvWidth
        compute.store(
            stored, keys: keys, values: values, tokens: shape.slots, slots: slots, into: layer)

        let y = Buffer<Float>(count: shape.tokens * width)
        for index in 0..<y.count { y[index] = random.float(-1...1) }
        let visible = Buffer<Int32>(count: shape.tokens * 8)
        for token in 0..<shape.tokens {
            for (index, range) in ranges(shape, token: token).enumerated() {
                visible[token * 8 + index * 2] = Int32(range.lowerBound)
                visible[token * 8 + index * 2 + 1] = Int32(range.upperBound)
            }
        }
        let out = Activations(tokenCapacity: shape.tokens, columns: width)
        let scale = 1 / Float(shape.headDim).squareRoot()
        compute.attend(
            y,
            queries: HeadLayout(
                offset: 0, stride: width, heads: shape.heads, headDim: shape.headDim),
            tokens: shape.tokens, visible: visible, scale: scale, layer: layer, into: out)

        let held = HeldCache(layer)
        held.expectNear(stored, order: slots, kvWidth: kvWidth)
        for token in 0..<shape.tokens {
            for head in 0..<shape.heads {
                let query = (0..<shape.headDim).map {
                    Double(y[token * width + head * shape.headDim + $0])
                }
                let (exact, bounds) = held.attend(
                    query, head: head / (shape.heads / shape.kvHeads),
                    slots: Array(ranges(shape, token: token).joined()), scale: Double(scale))
                for i in 0..<shape.headDim {
                    let place = token * out.paddedColumns + head * shape.headDim + i
                    let error = abs(Double(out.values[place]) - exact[i])
                    guard error <= bounds[i] else {
                        Issue.record(
                            """
                            \(compute.isa) \(encoding) \(shape), token \(token), head \(head), [\(i)]: \
                            \(error), at most \(bounds[i])
                            """)
                        return
                    }
                }
            }
        }
    }

    @Test(arguments: Compute.availableISAs)
    func aTokenThatSeesNothingGetsZeros(isa: String) throws {
        let compute = try Compute(isa: isa, threads: 1)
        let layer = KVLayer(kvHeads: 1, headDim: 32, slots: 4, encoding: .int8)
        let y = Buffer<Float>(count: 64)
        for index in 0..<64 { y[index] = 1 }
        let out = Activations(tokenCapacity: 1, columns: 64)
        for index in 0..<64 { out.values[index] = 5 }
        compute.attend(
            y, queries: HeadLayout(offset: 0, stride: 64, heads: 2, headDim: 32), tokens: 1,
            visible: Buffer<Int32>(count: 8), scale: 1, layer: layer, into: out)
        for index in 0..<64 { #expect(out.values[index] == 0) }
    }

    @Test(arguments: Compute.availableISAs)
    func largeScoresDoNotOverflow(isa: String) throws {
        let compute = try Compute(isa: isa, threads: 1)
        let layer = KVLayer(kvHeads: 1, headDim: 32, slots: 100, encoding: .f32)
        let stored = Buffer<Float>(count: 100 * 64)
        let slots = Buffer<Int32>(count: 100)
        for slot in 0..<100 {
            slots[slot] = Int32(slot)
            for i in 0..<32 {
                stored[slot * 64 + i] = slot == 77 ? 300 : slot == 78 ? -300 : 1
                stored[slot * 64 + 32 + i] = Float(slot)
            }
        }
        let keys = HeadLayout(offset: 0, stride: 64, heads: 1, headDim: 32)
        var values = keys
        values.offset = 32
        compute.store(stored, keys: keys, values: values, tokens: 100, slots: slots, into: layer)
        let y = Buffer<Float>(count: 32)
        for index in 0..<32 { y[index] = 100 }
        let visible = Buffer<Int32>(count: 8)
        visible[1] = 100
        let out = Activations(tokenCapacity: 1, columns: 32)
        compute.attend(
            y, queries: HeadLayout(offset: 0, stride: 32, heads: 1, headDim: 32), tokens: 1,
            visible: visible, scale: 1, layer: layer, into: out)
        for index in 0..<32 { #expect(out.values[index] == 77) }
    }

    @Test(
        "No bit depends on the other tokens or on the threads", arguments: Compute.availableISAs,
        [KVLayer.Encoding.int8, .int4])
    func batching(isa: String, encoding: KVLayer.Encoding) throws {
        let (heads, dim, count) = (6, 40, 21)
        let one = try Compute(isa: isa, threads: 1)
        var random = SeededGenerator(seed: 4)
        let layer = KVLayer(kvHeads: 2, headDim: dim, slots: 1700, encoding: encoding)
        let stored = Buffer<Float>(count: 1700 * 4 * dim)
        for index in 0..<stored.count { stored[index] = random.float(-2...2) }
        let slots = Buffer<Int32>(count: 1700)
        for index in 0..<1700 { slots[index] = Int32(index) }
        let keys = HeadLayout(offset: 0, stride: 4 * dim, heads: 2, headDim: dim)
        var values = keys
        values.offset = 2 * dim
        one.store(stored, keys: keys, values: values, tokens: 1700, slots: slots, into: layer)
        // A ring that has wrapped: sinks, the newer slots, the older ones, and a block at the end.
        func range(_ token: Int, _ index: Int) -> Range<Int> {
            [0..<4, 4..<40 * token + 5, 40 * token + 60..<1650, 1680..<1700][index]
        }
        func attend(_ compute: Compute, _ tokens: Range<Int>) -> [Float] {
            let y = Buffer<Float>(count: tokens.count * heads * dim)
            let visible = Buffer<Int32>(count: tokens.count * 8)
            for (row, token) in tokens.enumerated() {
                var random = SeededGenerator(seed: UInt64(token + 100))
                for i in 0..<heads * dim { y[row * heads * dim + i] = random.float(-1...1) }
                for index in 0..<4 {
                    visible[row * 8 + index * 2] = Int32(range(token, index).lowerBound)
                    visible[row * 8 + index * 2 + 1] = Int32(range(token, index).upperBound)
                }
            }
            let out = Activations(tokenCapacity: tokens.count, columns: heads * dim)
            compute.attend(
                y, queries: HeadLayout(offset: 0, stride: heads * dim, heads: heads, headDim: dim),
                tokens: tokens.count, visible: visible, scale: 0.2, layer: layer, into: out)
            return (0..<tokens.count * heads * dim).map {
                out.values[$0 / (heads * dim) * out.paddedColumns + $0 % (heads * dim)]
            }
        }
        let single = (0..<count).flatMap { attend(one, $0..<$0 + 1) }
        for threads in [1, 2, 9] {
            let compute = try Compute(isa: isa, threads: threads)
            #expect(attend(compute, 0..<count) == single)
            #expect((0..<count).flatMap { attend(compute, $0..<$0 + 1) } == single)
            #expect(attend(compute, 0..<3) + attend(compute, 3..<count) == single)
        }
    }

    @Test func scratchGrowsWithTheLargestHeadsAskedFor() throws {
        let compute = try Compute(threads: 2, groupHeads: 128, headDim: 512)
        let layer = KVLayer(kvHeads: 1, headDim: 512, slots: 40, encoding: .f16)
        let y = Buffer<Float>(count: 2 * 128 * 512)
        for index in 0..<y.count { y[index] = 1 }
        let layout = HeadLayout(offset: 0, stride: 128 * 512, heads: 1, headDim: 512)
        let slots = Buffer<Int32>(count: 1)
        compute.store(y, keys: layout, values: layout, tokens: 1, slots: slots, into: layer)
        let visible = Buffer<Int32>(count: 16)
        (visible[1], visible[9]) = (1, 1)
        let out = Activations(tokenCapacity: 2, columns: 128 * 512)
        compute.attend(
            y, queries: HeadLayout(offset: 0, stride: 128 * 512, heads: 128, headDim: 512),
            tokens: 2, visible: visible, scale: 1, layer: layer, into: out)
        for index in 0..<out.values.count { #expect(out.values[index] == 1) }
    }
}
