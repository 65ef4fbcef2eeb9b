import TesseraCKernels
import Testing

@testable import TesseraKernels

/// Infinities, NaNs, and numbers at the ends of the range: results are right, or they are counted.
@Suite struct NotFiniteTests {
    private static let bad: [Float] = [.nan, -.nan, .infinity, -.infinity]

    @Test(arguments: Compute.availableISAs)
    func summariesCountThem(isa: String) throws {
        let compute = try Compute(isa: isa, threads: 1)
        for count in [1, 7, 16, 33, 2049, 5000] {
            let row = Buffer<Float>(count: count + 2)
            for places in [[0], [count - 1], [count / 2], Array(0..<count)] {
                for bad in Self.bad {
                    for index in 0..<row.count { row[index] = Float(index % 13) - 6 }
                    for place in places { row[1 + place] = bad }
                    // Values before and after the row do not count.
                    (row[0], row[count + 1]) = (.nan, .nan)
                    let summary = compute.summarize(row, 1..<count + 1)
                    #expect(summary.notFinite == places.count, "\(bad) in \(count)")
                    #expect((0..<count).contains(summary.argmax))
                }
            }
        }
    }

    @Test(arguments: Compute.availableISAs)
    func groupsOfActivationsWithOneAreCountedAndTakenForZeros(isa: String) throws {
        let compute = try Compute(isa: isa, threads: 2)
        var random = SeededGenerator(seed: 1)
        let reference = ReferenceMatrix(
            rows: 20, columns: 1100, encoding: .int8, using: &random)
        let group = MatrixGroup([reference.matrix])
        for bad in Self.bad {
            let a = Activations(tokenCapacity: 3, columns: 1100)
            for index in 0..<a.values.count { a.values[index] = random.float(-1...1) }
            for column in [0, 31, 40, 1099] { a.values[a.paddedColumns + column] = bad }
            compute.quantize(a, tokens: 3)
            #expect(compute.takeNotFinite() == 3, "\(bad)")
            #expect(compute.takeNotFinite() == 0)
            let y = Buffer<Float>(count: 3 * group.outputStride)
            compute.multiply(group, a, tokens: 3, into: y)
            #expect((0..<y.count).allSatisfy { y[$0].isFinite })
        }
    }

    /// Squares of such numbers leave the range of floats.
    @Test(arguments: Compute.availableISAs, [1e19, 3e25, 3e38] as [Float])
    func normsOfHugeRowsAreExact(isa: String, size: Float) throws {
        let compute = try Compute(isa: isa, threads: 1)
        var random = SeededGenerator(seed: 2)
        let columns = 70
        let (x, weight) = (Buffer<Float>(count: columns), Buffer<Float>(count: columns))
        for index in 0..<columns {
            x[index] = random.float(-1...1) * size
            weight[index] = random.float(0.5...2)
        }
        let a = Activations(tokenCapacity: 1, columns: columns)
        compute.rmsNorm(x, tokens: 1, weight: weight, eps: 1e-5, into: a)
        let square = (0..<columns).reduce(0.0) { $0 + Double(x[$1]) * Double(x[$1]) }
        let factor = 1 / (square / Double(columns)).squareRoot()
        for index in 0..<columns {
            let exact = Double(x[index]) * factor * Double(weight[index])
            #expect(abs(Double(a.values[index]) - exact) <= 1e-5 * abs(exact))
        }
        #expect(compute.takeNotFinite() == 0)
        x[5] = .infinity
        compute.rmsNorm(x, tokens: 1, weight: weight, eps: 1e-5, into: a)
        #expect(compute.takeNotFinite() > 0)
    }

    // MARK: - The cache

    private static let (dim, slots) = (40, 70)

    /// A head of the cache with keys and values from -1 to 1, except `change`.
    private func layer(
        _ compute: Compute, _ encoding: KVLayer.Encoding,
        _ change: (_ keys: inout [Float], _ values: inout [Float], _ slot: Int) -> Void = {
            _, _, _ in
        }
    ) -> KVLayer {
        let (dim, slots) = (Self.dim, Self.slots)
        let layer = KVLayer(kvHeads: 1, headDim: dim, slots: slots, encoding: encoding)
        var random = SeededGenerator(seed: 3)
        let stored = Buffer<Float>(count: slots * 2 * dim)
        let places = Buffer<Int32>(count: slots)
        for slot in 0..<slots {
            places[slot] = Int32(slot)
            var keys = (0..<dim).map { _ in random.float(-1...1) }
            var values = (0..<dim).map { _ in random.float(-1...1) }
            change(&keys, &values, slot)
            for (index, value) in (keys + values).enumerated() {
                stored[slot * 2 * dim + index] = value
            }
        }
        let keys = HeadLayout(offset: 0, stride: 2 * dim, heads: 1, headDim: dim)
        var values = keys
        values.offset = dim
        compute.store(
            stored, keys: keys, values: values, tokens: slots, slots: places, into: layer)
        return layer
    }

    /// The result of two query heads over the slots in `visible`.
    private func attend(
        _ compute: Compute, _ layer: KVLayer, _ visible: Range<Int> = 0..<slots,
        query: (Int) -> Float = { Float($0 % 5) - 2 }
    ) -> [Float] {
        let width = 2 * Self.dim
        let y = Buffer<Float>(count: width)
        for index in 0..<width { y[index] = query(index) }
        let ranges = Buffer<Int32>(count: 8)
        (ranges[0], ranges[1]) = (Int32(visible.lowerBound), Int32(visible.upperBound))
        let out = Activations(tokenCapacity: 1, columns: width)
        compute.attend(
            y, queries: HeadLayout(offset: 0, stride: width, heads: 2, headDim: Self.dim),
            tokens: 1, visible: ranges, scale: 0.2, layer: layer, into: out)
        return (0..<width).map { out.values[$0] }
    }

    @Test(arguments: Compute.availableISAs, KVLayer.Encoding.allCases)
    func rowsWithOneAreCountedAndNeverEnterTheCache(
        isa: String, encoding: KVLayer.Encoding
    ) throws {
        let compute = try Compute(isa: isa, threads: 1)
        let clean = attend(compute, layer(compute, encoding), 0..<50)
        for bad in Self.bad {
            let damaged = layer(compute, encoding) { keys, values, slot in
                if slot == 55 { keys[7] = bad }
                if slot == 60 { values[39] = bad }
            }
            #expect(compute.takeNotFinite() == 2, "\(bad)")
            // A query that does not see those slots gets the result without them.
            #expect(attend(compute, damaged, 0..<50) == clean)
            #expect(attend(compute, damaged).allSatisfy { $0.isFinite })
            #expect(compute.takeNotFinite() == 0)
        }
    }

    @Test(arguments: Compute.availableISAs)
    func aCacheOfHalvesTakesWhatHalvesReach(isa: String) throws {
        let compute = try Compute(isa: isa, threads: 1)
        for (value, count) in [(65504, 0), (65519, 0), (65520, 1), (-1e9, 1)] as [(Float, Int)] {
            let layer = layer(compute, .f16) { _, values, slot in
                if slot == 3 { values[0] = value }
            }
            #expect(compute.takeNotFinite() == count, "\(value)")
            #expect(attend(compute, layer).allSatisfy { $0.isFinite })
        }
    }

    @Test(arguments: Compute.availableISAs, KVLayer.Encoding.allCases)
    func rowsOfDenormalsAreZeros(isa: String, encoding: KVLayer.Encoding) throws {
        let compute = try Compute(isa: isa, threads: 1)
        let layer = layer(compute, encoding) { keys, values, _ in
            keys = keys.map { $0 * 0x1p-140 }
            values = values.map { $0 * 0x1p-140 }
        }
        let largest = attend(compute, layer).reduce(0) { max($0, abs($1)) }
        #expect(largest <= 0x1p-139)
        #expect(compute.takeNotFinite() == 0)
    }

    @Test(arguments: Compute.availableISAs, KVLayer.Encoding.allCases)
    func queriesAndScoresThatAreNotFiniteAreCounted(
        isa: String, encoding: KVLayer.Encoding
    ) throws {
        let compute = try Compute(isa: isa, threads: 1)
        let plain = layer(compute, encoding)
        for bad in Self.bad {
            _ = attend(compute, plain) { $0 == 3 ? bad : 1 }
            #expect(compute.takeNotFinite() > 0, "\(bad)")
        }
        // Keys and queries are finite, their products are not.
        guard encoding != .f16 else { return }
        let huge = layer(compute, encoding) { keys, _, slot in
            if slot == 9 { keys = keys.map { _ in 1e30 } }
        }
        #expect(compute.takeNotFinite() == 0)
        _ = attend(compute, huge) { _ in 1e30 }
        #expect(compute.takeNotFinite() > 0)
    }

    /// A step takes powers of two until it reaches a group's values; where none does the row is refused.
    @Test(arguments: [Matrix.Encoding.int8, .int4])
    func stepsReachEveryValueOrRefuse(encoding: Matrix.Encoding) throws {
        let columns = 64
        let encoder = PanelEncoder(encoding: encoding, columns: columns, candidates: 0)
        var values = [Float](repeating: 0, count: 3 * columns)
        values[2 * columns + 40] = 200_000
        let least = Float(Float16.leastNonzeroMagnitude)
        let (_, distance) = try encoder.encode(
            values, rows: 3, steps: [Float](repeating: least, count: 3))
        #expect(distance.squaredError < 0.02 * distance.squaredValue)
        values[2 * columns + 40] = 1e8
        #expect(throws: PanelEncoder.Refusal.outOfRange(row: 2)) {
            _ = try encoder.encode(values, rows: 3, steps: [1, 1, 1])
        }
    }

    /// The sum of a long text is not lost next to one large product at its beginning. A product stands in the row of
    /// the column that is first.
    @Test func productsOfALongTextAreAddedUpByBlocks() {
        let (columns, batches) = (40, 50)
        var products = [Float](repeating: 0, count: columns * 64)
        var x = [Float](repeating: 1, count: 128 * columns)
        for column in 0..<columns { x[column] = 4096 }
        for _ in 0..<batches {
            unsafe tsr_add_products(x, 128, columns, columns, 64, &products)
            for column in 0..<columns { x[column] = 1 }
        }
        let exact = 4096.0 * 4096 + Double(128 * batches - 1)
        // The products of each pair of columns, once.
        for row in 0..<columns {
            for column in row..<columns {
                let error = abs(Double(products[row * 64 + column]) - exact)
                #expect(error <= 1.5 * 128 + Double(batches), "\(row), \(column)")
            }
        }
    }
}
