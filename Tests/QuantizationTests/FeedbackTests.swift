import TesseraCKernels
import TesseraKernels
import Testing
import TesseraWeightFile

/// Ways to round the columns.
enum Rounding: CaseIterable { case steps, nested, trellis }

/// Columns that make up for each other's rounding errors.
@Suite struct FeedbackTests {
    private let rows = 16
    private let columns = 256
    private let tokens = 600

    /// Inputs with a common part, so that columns can stand in for each other.
    private func inputs() -> Activations {
        let a = Activations(tokenCapacity: tokens, columns: columns)
        var random = SystemRandom(state: 1)
        for token in 0..<tokens {
            let common = random.next()
            for column in 0..<columns {
                let own = random.next()
                a.values[token * a.paddedColumns + column] =
                    own + (column % 3 == 0 ? 2 * common : 0)
            }
        }
        return a
    }

    /// Stored values of `weights`, `[rows][columns]`, with a step of 0.25, nested scales or a trellis of 3 bits.
    private func stored(
        _ weights: [Float], _ feedback: ColumnFeedback?, by rounding: Rounding
    ) throws -> (values: [Double], reported: Double) {
        let plane = columns / 32 * 32
        func values(_ panel: [UInt8]) -> [Double] {
            (0..<rows * columns).map { index in
                let (row, column) = (index / columns, index % columns)
                // Formats/TSR.md §10: byte 4 r + i of line j is column 32 g + 4 j + i.
                let at = plane + column / 4 * 64 + row * 4 + column % 4
                let scale = (column / 32 * 16 + row) * 2
                let half = UInt16(panel[scale]) | UInt16(panel[scale + 1]) << 8
                return Double(Float16(bitPattern: half)) * (Double(panel[at]) - 128)
            }
        }
        if rounding == .nested {
            let encoder = PanelEncoder(
                encoding: .int3Nested, columns: columns, candidates: 4, feedback: feedback)
            let (bytes, distance) = try encoder.encode(weights, rows: rows)
            return (try looked(up: bytes, .int3Nested), distance.squaredError)
        }
        if rounding == .trellis {
            let trellis = Trellis(rate: 6, values: weights.map { $0 * Float(3).squareRoot() })
            var turned = weights
            turnRows(&turned, columns: columns)
            let (tile, distance) = try trellis.encode(
                turned, rows: rows, columns: columns, feedback: feedback)
            let coder = TileCoder(encoding: .int8, storage: .trellis, columns: columns)
            let panel = coder.decode(tile.span.bytes, panels: 1)
            var stored = values(try #require(panel)).map(Float.init)
            turnRows(&stored, columns: columns)
            return (stored.map(Double.init), distance.squaredError)
        }
        let encoder = PanelEncoder(
            encoding: .int8, columns: columns, candidates: 0, feedback: feedback)
        let (bytes, distance) = try encoder.encode(
            weights, rows: rows, steps: [Float](repeating: 0.25, count: rows))
        return (values(bytes), distance.squaredError)
    }

    /// The values of a panel, by the runtime's own row lookup.
    private func looked(up panel: [UInt8], _ encoding: Matrix.Encoding) throws -> [Double] {
        let ids = Buffer<Int32>(count: rows)
        for row in 0..<rows { ids[row] = Int32(row) }
        let x = Buffer<Float>(count: rows * columns)
        let compute = try Compute(isa: "scalar", threads: 1)
        unsafe panel.withUnsafeBytes {
            let matrix = unsafe Matrix(
                rows: rows, columns: columns, encoding: encoding, bytes: $0)
            compute.embed(matrix, tokens: ids, count: rows, into: x)
        }
        return (0..<x.count).map { Double(x[$0]) }
    }

    @Test(arguments: [64, 256], Rounding.allCases)
    func productsAreCloserAndAsCloseAsReported(block: Int, rounding: Rounding) throws {
        let a = inputs()
        let feedback = ColumnFeedback(
            columns: columns, block: block, forms: rounding == .trellis ? .turned : .straight)
        feedback.add(a, tokens: tokens, on: try Compute(threads: 2))
        feedback.finish()
        var random = SystemRandom(state: 2)
        let weights = (0..<rows * columns).map { _ in random.next() }
        func errors(_ feedback: ColumnFeedback?) throws -> (products: Double, reported: Double) {
            let (values, reported) = try stored(weights, feedback, by: rounding)
            var sum = 0.0
            for token in 0..<tokens {
                for row in 0..<rows {
                    var product = 0.0
                    for column in 0..<columns {
                        let index = row * columns + column
                        product +=
                            (Double(weights[index]) - values[index])
                            * Double(a.values[token * a.paddedColumns + column])
                    }
                    sum += product * product
                }
            }
            return (sum, reported)
        }
        let (plain, taken) = (try errors(nil), try errors(feedback))
        #expect(taken.products < 0.7 * plain.products, "\(taken.products) of \(plain.products)")
        var square = 0.0
        for token in 0..<tokens {
            for column in 0..<columns {
                square += Double(
                    a.values[token * a.paddedColumns + column]
                        * a.values[
                            token * a.paddedColumns + column])
            }
        }
        // In one block every product is counted; errors of several blocks may also add up.
        if block >= 256 {
            let expected = taken.reported * square / Double(columns)
            #expect(abs(taken.products / expected - 1) < 0.25, "\(taken.products), \(expected)")
        }
    }

    /// Products of some columns at a time, and of those that are left over, are those of each pair.
    @Test(arguments: [3, 40, 64, 101, 256])
    func productsAreThoseOfPairs(columns: Int) {
        let (tokens, stride, block) = (150, columns + 5, 256)
        var random = SystemRandom(state: 4)
        let x = (0..<tokens * stride).map { _ in random.next() }
        var products = [Float](repeating: 1, count: columns * block)
        unsafe tsr_add_products(x, tokens, stride, columns, block, &products)
        for c in 0..<columns {
            for i in c..<columns {
                let exact = (0..<tokens).reduce(1.0) {
                    $0 + Double(x[$1 * stride + c]) * Double(x[$1 * stride + i])
                }
                #expect(abs(Double(products[c * block + i]) - exact) < 1e-3, "\(c), \(i)")
            }
        }
    }

    @Test func withoutATextNothingIsMadeUpFor() throws {
        let feedback = ColumnFeedback(columns: 64, block: 128)
        feedback.finish()
        var random = SystemRandom(state: 3)
        let weights = (0..<16 * 64).map { _ in random.next() }
        let steps = [Float](repeating: 0.125, count: 16)
        let encoders = [nil, feedback].map {
            PanelEncoder(encoding: .int4, columns: 64, candidates: 0, feedback: $0)
        }
        let bytes = try encoders.map { try $0.encode(weights, rows: 16, steps: steps).bytes }
        #expect(bytes[0] == bytes[1])
    }
}

/// Numbers from -1 to 1.
private struct SystemRandom {
    var state: UInt64

    mutating func next() -> Float {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Float(Int32(truncatingIfNeeded: state >> 32)) / 0x1p31
    }
}
