import TesseraKernels
import Testing

struct MultiplyTests {
    static let shapes: [(rows: Int, columns: Int)] = [
        (1, 1), (15, 31), (16, 32), (17, 33), (33, 64), (40, 100), (48, 576),
    ]
    static let encodings = Matrix.Encoding.allCases
    static let integers = encodings.filter { !$0.isFloat }

    /// y = W x for activations that are exactly what their codes stand for.
    @Test(arguments: Compute.availableISAs, encodings)
    func productsAreWithinRoundingOfTheExactSums(
        isa: String, encoding: Matrix.Encoding
    ) throws {
        let compute = try Compute(isa: isa, threads: 2)
        var random = SeededGenerator(seed: 7)
        for shape in Self.shapes {
            // The oracle is slow in debug builds: the widest shape meets fewer counts, and so do encodings whose codes
            // are put together, which share the loops of the others.
            let counts =
                shape.columns > 100 || encoding.rawValue > Matrix.Encoding.int4Affine.rawValue
                ? [1, 4, 7, 17, 65] : [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 17, 64, 65]
            for tokens in counts {
                try check(compute, shape, encoding, tokens, extreme: false, &random)
            }
        }
    }

    /// A token's product is the same to the last bit alone, where two panels may be multiplied at a time, and with others.
    @Test(arguments: Compute.availableISAs, Self.integers)
    func aTokenIsMultipliedAloneAsAmongOthers(isa: String, encoding: Matrix.Encoding) throws {
        let compute = try Compute(isa: isa, threads: 1)
        var random = SeededGenerator(seed: 17)
        let columns = 32 * 64 + 33
        let reference = ReferenceMatrix(
            rows: 3 * 16 + 5, columns: columns, encoding: encoding, using: &random)
        let group = MatrixGroup([reference.matrix])
        let together = Activations(tokenCapacity: 3, columns: columns)
        let alone = Activations(tokenCapacity: 1, columns: columns)
        for i in 0..<3 * together.paddedColumns where i % together.paddedColumns < columns {
            together.values[i] = random.float(-1...1)
        }
        let all = Buffer<Float>(count: 3 * group.outputStride)
        let one = Buffer<Float>(count: group.outputStride)
        compute.quantize(together, tokens: 3)
        compute.multiply(group, together, tokens: 3, into: all)
        for token in 0..<3 {
            for i in 0..<columns {
                alone.values[i] = together.values[token * together.paddedColumns + i]
            }
            compute.quantize(alone, tokens: 1)
            compute.multiply(group, alone, tokens: 1, into: one)
            for row in 0..<reference.matrix.rows {
                #expect(
                    one[row] == all[token * group.outputStride + row], "token \(token), row \(row)")
            }
        }
    }

    /// The largest codes on both sides: nothing may saturate.
    @Test(arguments: Compute.availableISAs, encodings)
    func extremeCodesDoNotSaturate(isa: String, encoding: Matrix.Encoding) throws {
        let compute = try Compute(isa: isa, threads: 1)
        var random = SeededGenerator(seed: 11)
        try check(compute, (32, 320), encoding, 5, extreme: true, &random)
    }

    /// A group's error is at most half its step for each weight; the eighth with the largest steps
    /// is coded twice, in steps 254 times finer. Plain rounding would break the bound here.
    @Test(arguments: Compute.availableISAs, Self.integers)
    func outlyingGroupsAreCodedTwice(isa: String, encoding: Matrix.Encoding) throws {
        let compute = try Compute(isa: isa, threads: 1)
        var random = SeededGenerator(seed: 13)
        let columns = 32 * 16
        let reference = ReferenceMatrix(
            rows: 16, columns: columns, encoding: encoding, using: &random)
        let a = Activations(tokenCapacity: 3, columns: columns)
        let group = MatrixGroup([reference.matrix])
        let y = Buffer<Float>(count: 3 * group.outputStride)
        for token in 0..<3 {
            for i in 0..<columns {
                a.values[token * columns + i] = random.float(-1...1)
            }
            for outlier in [5 + token, 300 + 32 * token] {
                a.values[token * columns + outlier] = 4000
            }
        }
        compute.quantize(a, tokens: 3)
        compute.multiply(group, a, tokens: 3, into: y)
        for token in 0..<3 {
            let x = (0..<columns).map { Double(a.values[token * columns + $0]) }
            for row in 0..<16 {
                let w = reference.values[row]
                var exact = 0.0
                var bound = 1e-2  // rounding of sums that hold 4000 * 0.3
                for g in 0..<16 {
                    let part = g * 32..<g * 32 + 32
                    let largest = part.reduce(0.0) { max($0, abs(x[$1])) }
                    let step = largest / 127 / (largest > 1 ? 254 : 1)
                    for i in part {
                        exact += w[i] * x[i]
                        bound += abs(w[i]) * step / 2 * 1.001
                    }
                }
                let got = Double(y[token * group.outputStride + row])
                #expect(abs(got - exact) <= bound, "\(encoding) row \(row): \(got), \(exact)")
            }
        }
    }

    private func check(
        _ compute: Compute, _ shape: (rows: Int, columns: Int), _ encoding: Matrix.Encoding,
        _ tokens: Int, extreme: Bool, _ random: inout SeededGenerator
    ) throws {
        let reference = ReferenceMatrix(
            rows: shape.rows, columns: shape.columns, encoding: encoding, extreme: extreme,
            using: &random)
        let a = Activations(tokenCapacity: tokens, columns: shape.columns)
        for token in 0..<tokens {
            for group in 0..<a.paddedColumns / 32 {
                // Codes with a largest of 127 and a power-of-two scale survive quantization exactly.
                let scale = Float(
                    sign: .plus, exponent: Int.random(in: -6...2, using: &random), significand: 1)
                for i in 0..<32 where group * 32 + i < shape.columns {
                    let code = i == 0 || extreme ? 127 : Int.random(in: -127...127, using: &random)
                    let sign: Float = extreme && Bool.random(using: &random) ? -1 : 1
                    a.values[token * a.paddedColumns + group * 32 + i] = scale * Float(code) * sign
                }
            }
        }
        compute.quantize(a, tokens: tokens)
        let group = MatrixGroup([reference.matrix])
        let y = Buffer<Float>(count: tokens * group.outputStride)
        compute.multiply(group, a, tokens: tokens, into: y)
        let offset = offsetSize(encoding)
        for token in 0..<tokens {
            let x = (0..<shape.columns).map { Double(a.values[token * a.paddedColumns + $0]) }
            for row in 0..<shape.rows {
                let (exact, sizes) = dot(reference.values[row], x, offset: offset)
                let terms = Double(
                    encoding == .f32 || encoding == .f16 ? shape.columns : a.paddedColumns / 32 * 4)
                let bound = (terms + 4) * 0x1p-23 * sizes + 1e-30
                let got = Double(y[token * group.outputStride + row])
                #expect(
                    abs(got - exact) <= bound,
                    "\(compute.isa) \(encoding) \(shape) row \(row) token \(token) of \(tokens): \(got), \(exact)"
                )
                if abs(got - exact) > bound { return }
            }
        }
    }

    /// The product, and the sum of its terms' sizes; the offset is added and taken away again, so
    /// its size counts too.
    private func dot(_ w: [Double], _ x: [Double], offset: Double) -> (Double, Double) {
        w.withUnsafeBufferPointer { w in
            x.withUnsafeBufferPointer { x in
                var exact = 0.0
                var sizes = 0.0
                var i = 0
                while i < w.count {
                    exact += w[i] * x[i]
                    sizes += abs(w[i] * x[i]) + abs(x[i]) * offset
                    i += 1
                }
                return (exact, sizes)
            }
        }
    }

    /// Largest weight that the offset stands for: 0.02 is the largest scale of the references.
    private func offsetSize(_ encoding: Matrix.Encoding) -> Double {
        switch encoding {
        case .f32, .f16: 0
        case .int8: 128 * 0.02
        case .int4: 8 * 0.02
        case .int4Affine, .int5, .int5Affine: 31 * 0.02 + 0.2
        default: 63 * 255 * 0.00008 + 255 * 0.00008
        }
    }

    @Test(arguments: Compute.availableISAs)
    func groupsPutEachMatrixAtItsOffsetAndAddingAdds(isa: String) throws {
        let compute = try Compute(isa: isa, threads: 2)
        var random = SeededGenerator(seed: 3)
        let parts = [(20, Matrix.Encoding.int4), (7, .int8), (33, .int4Affine), (18, .int6Nested)]
            .map {
                ReferenceMatrix(rows: $0.0, columns: 64, encoding: $0.1, using: &random)
            }
        let a = Activations(tokenCapacity: 3, columns: 64)
        for index in 0..<a.values.count { a.values[index] = random.float(-1...1) }
        compute.quantize(a, tokens: 3)
        let together = MatrixGroup(parts.map(\.matrix))
        let y = Buffer<Float>(count: 3 * together.outputStride)
        compute.multiply(together, a, tokens: 3, into: y)
        for (index, part) in parts.enumerated() {
            let alone = MatrixGroup([part.matrix])
            let z = Buffer<Float>(count: 3 * part.rows)
            compute.multiplyAdding(alone, a, tokens: 3, into: z)
            compute.multiplyAdding(alone, a, tokens: 3, into: z)
            for token in 0..<3 {
                for row in 0..<part.rows {
                    let once = y[token * together.outputStride + together.rowOffsets[index] + row]
                    #expect(z[token * part.rows + row] == 2 * once)
                }
            }
        }
    }

    @Test(arguments: Compute.availableISAs)
    func embeddingLooksUpTheRowsTheBytesStandFor(isa: String) throws {
        let compute = try Compute(isa: isa, threads: 1)
        var random = SeededGenerator(seed: 5)
        for encoding in Self.encodings {
            let reference = ReferenceMatrix(
                rows: 35, columns: 50, encoding: encoding, using: &random)
            let ids = Buffer<Int32>(count: 3)
            for (index, id) in [34, 0, 17].enumerated() { ids[index] = Int32(id) }
            let x = Buffer<Float>(count: 150)
            compute.embed(reference.matrix, tokens: ids, count: 3, into: x)
            for (index, id) in [34, 0, 17].enumerated() {
                for column in 0..<50 {
                    let exact = reference.values[id][column]
                    #expect(abs(Double(x[index * 50 + column]) - exact) <= abs(exact) * 1e-6 + 1e-7)
                }
            }
        }
    }
}
