import Testing

@testable import TesseraKernels

/// Floats become nested encodings: integers that scale groups, times factors of super-groups.
@Suite struct NestedEncoderTests {
    private static let encodings: [Matrix.Encoding] = [
        .int3Nested, .int4Nested, .int5Nested, .int6Nested,
    ]

    /// The values that panels stand for, by the runtime's own row lookup.
    private func decoded(
        _ bytes: [UInt8], _ encoding: Matrix.Encoding, rows: Int, columns: Int
    ) throws -> [Float] {
        let stored = TileTests.Tiles(
            [bytes], rows: rows, columns: columns, encoding: encoding, storage: .plain,
            tileRows: (rows + 15) / 16 * 16)
        let ids = Buffer<Int32>(count: rows)
        for row in 0..<rows { ids[row] = Int32(row) }
        let x = Buffer<Float>(count: rows * columns)
        try Compute(isa: "scalar", threads: 1).embed(
            stored.matrix, tokens: ids, count: rows, into: x)
        return (0..<x.count).map { x[$0] }
    }

    /// A normal distribution comes as near as measured, whatever the sizes of rows; a last super-group may be short. What is
    /// reported is what is stored.
    @Test(arguments: zip(encodings, [0.024, 0.0056, 0.0014, 0.0004]))
    func aGaussianComesNear(encoding: Matrix.Encoding, most: Double) throws {
        var random = SeededGenerator(seed: 21)
        for (rows, columns) in [(33, 300), (16, 256), (3, 20)] {
            let source = (0..<rows * columns).map { index -> Float in
                let normal = (0..<12).reduce(Float(0)) { sum, _ in sum + random.float(-0.5...0.5) }
                return normal * Float(index / columns % 5 + 1) * 0.01
            }
            let encoder = PanelEncoder(encoding: encoding, columns: columns, candidates: 4)
            let (bytes, distance) = try encoder.encode(source, rows: rows)
            let values = try decoded(bytes, encoding, rows: rows, columns: columns)
            let error = zip(source, values).reduce(0.0) { sum, pair in
                sum + Double(pair.0 - pair.1) * Double(pair.0 - pair.1)
            }
            let square = source.reduce(0.0) { $0 + Double($1) * Double($1) }
            #expect(error < most * square, "\(error / square), \(rows) x \(columns)")
            #expect(abs(distance.squaredError - error) < 1e-3 * error + 1e-9 * square)
            #expect(abs(distance.squaredValue - square) < 1e-4 * square)
        }
    }

    @Test(arguments: encodings)
    func zerosStayZerosAndWhatCannotBeStoredIsRefused(encoding: Matrix.Encoding) throws {
        let encoder = PanelEncoder(encoding: encoding, columns: 64, candidates: 4)
        var source = [Float](repeating: 0, count: 18 * 64)
        for column in 0..<64 { source[64 + column] = 2 }
        let (bytes, _) = try encoder.encode(source, rows: 18)
        let values = try decoded(bytes, encoding, rows: 18, columns: 64)
        for index in values.indices { #expect(abs(values[index] - source[index]) < 0.02) }
        #expect(values[0] == 0)
        source[17 * 64 + 9] = .infinity
        #expect(throws: PanelEncoder.Refusal.notFinite) { _ = try encoder.encode(source, rows: 18) }
        source[17 * 64 + 9] = 1e12
        #expect(throws: PanelEncoder.Refusal.outOfRange(row: 17)) {
            _ = try encoder.encode(source, rows: 18)
        }
    }
}
