import Foundation
import TesseraKernels
import Testing

/// Every other operation against double precision.
struct OperationTests {
    static let sizes = [1, 7, 31, 33, 64, 100, 576]

    private func close(_ got: Float, _ exact: Double, _ ulps: Double) -> Bool {
        abs(Double(got) - exact) <= ulps * 0x1p-23 * abs(exact) + 1e-30
    }

    @Test(arguments: Compute.availableISAs)
    func rmsNormDividesByTheRootOfTheMeanSquare(isa: String) throws {
        let compute = try Compute(isa: isa, threads: 2)
        var random = SeededGenerator(seed: 1)
        for columns in Self.sizes {
            let x = Buffer<Float>(count: 5 * columns)
            let weight = Buffer<Float>(count: columns)
            for index in 0..<x.count { x[index] = random.float(-3...3) }
            for index in 0..<columns { weight[index] = random.float(0.5...2) }
            let rows = Buffer<Int32>(count: 3)
            for (index, row) in [4, 0, 4].enumerated() { rows[index] = Int32(row) }
            let a = Activations(tokenCapacity: 5, columns: columns)
            for (chosen, tokens) in [(nil, 5), (rows, 3)] {
                compute.rmsNorm(x, rows: chosen, tokens: tokens, weight: weight, eps: 1e-5, into: a)
                for token in 0..<tokens {
                    let row = chosen.map { Int($0[token]) } ?? token
                    var square = 0.0
                    for i in 0..<columns { square += pow(Double(x[row * columns + i]), 2) }
                    let factor = 1 / (square / Double(columns) + Double(Float(1e-5))).squareRoot()
                    for i in 0..<columns {
                        let exact = Double(x[row * columns + i]) * factor * Double(weight[i])
                        #expect(
                            close(
                                a.values[token * a.paddedColumns + i], exact, Double(columns) + 8))
                    }
                }
            }
        }
    }

    @Test(arguments: Compute.availableISAs)
    func swiGLUMultipliesUpByTheGatesSilu(isa: String) throws {
        let compute = try Compute(isa: isa, threads: 2)
        var random = SeededGenerator(seed: 2)
        for columns in Self.sizes {
            let padded = (columns + 15) / 16 * 16
            let y = Buffer<Float>(count: 3 * 2 * padded)
            for index in 0..<y.count { y[index] = random.float(-30...30) }
            let a = Activations(tokenCapacity: 3, columns: columns)
            compute.gated(.silu, y, stride: 2 * padded, upOffset: padded, tokens: 3, into: a)
            for token in 0..<3 {
                for i in 0..<columns {
                    let gate = Double(y[token * 2 * padded + i])
                    let up = Double(y[token * 2 * padded + padded + i])
                    let exact = gate / (1 + exp(-gate)) * up
                    #expect(close(a.values[token * a.paddedColumns + i], exact, 10))
                }
            }
        }
    }

    @Test(arguments: Compute.availableISAs)
    func geGLUMultipliesUpByTheGatesGelu(isa: String) throws {
        let compute = try Compute(isa: isa, threads: 2)
        var random = SeededGenerator(seed: 12)
        for columns in Self.sizes {
            let y = Buffer<Float>(count: 3 * 2 * columns)
            for index in 0..<y.count { y[index] = random.float(-8...8) }
            let a = Activations(tokenCapacity: 3, columns: columns)
            compute.gated(.geluTanh, y, stride: 2 * columns, upOffset: columns, tokens: 3, into: a)
            for token in 0..<3 {
                for i in 0..<columns {
                    let x = Double(y[token * 2 * columns + i])
                    let up = Double(y[token * 2 * columns + columns + i])
                    let inner = (2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)
                    let exact = 0.5 * x * (1 + tanh(inner)) * up
                    // What tanh rounds away where it is near -1.
                    let bound =
                        1e-6 * abs(exact) + 4e-16 * abs(x * up) + abs(inner) * 1e-6 * abs(exact)
                    #expect(abs(Double(a.values[token * a.paddedColumns + i]) - exact) <= bound)
                }
            }
        }
    }

    @Test(arguments: Compute.availableISAs)
    func rowsAreNormalizedInPlaceAndAddedToASum(isa: String) throws {
        let compute = try Compute(isa: isa, threads: 2)
        var random = SeededGenerator(seed: 13)
        for columns in Self.sizes {
            let stride = columns + 5
            let y = Buffer<Float>(count: 3 * stride)
            let (weight, sum) = (Buffer<Float>(count: columns), Buffer<Float>(count: 3 * columns))
            for index in 0..<y.count { y[index] = random.float(-3...3) }
            for index in 0..<columns { weight[index] = random.float(0.5...2) }
            for index in 0..<sum.count { sum[index] = random.float(-3...3) }
            let (before, old) = ((0..<y.count).map { y[$0] }, (0..<sum.count).map { sum[$0] })
            compute.normalize(
                y, offset: 2, stride: stride, tokens: 3, weight: weight, eps: 1e-5, addingTo: sum)
            for token in 0..<3 {
                let row = (0..<columns).map { Double(before[token * stride + 2 + $0]) }
                let square = row.reduce(0) { $0 + $1 * $1 } / Double(columns)
                for i in 0..<columns {
                    let exact =
                        row[i] / (square + Double(Float(1e-5))).squareRoot() * Double(weight[i])
                    let got = y[token * stride + 2 + i]
                    #expect(close(got, exact, Double(columns) + 8))
                    #expect(sum[token * columns + i] == old[token * columns + i] + got)
                }
                #expect(y[token * stride] == before[token * stride], "outside the columns")
            }
        }
    }

    @Test(arguments: Compute.availableISAs, [2, 16, 20, 64, 128])
    func rotationTurnsPairsByTheirAngle(isa: String, headDim: Int) throws {
        let compute = try Compute(isa: isa, threads: 2)
        var random = SeededGenerator(seed: 3)
        let tokens = 6, heads = 3, half = headDim / 2
        let stride = heads * headDim + 5
        let y = Buffer<Float>(count: tokens * stride)
        for index in 0..<y.count { y[index] = random.float(-1...1) }
        let before = (0..<y.count).map { Double(y[$0]) }
        let cosines = Buffer<Float>(count: tokens * half)
        let sines = Buffer<Float>(count: tokens * half)
        let norm = Buffer<Float>(count: headDim)
        let factors = Buffer<Float>(count: tokens)
        for index in 0..<cosines.count {
            let angle = Double(index) * 0.37
            cosines[index] = Float(cos(angle))
            sines[index] = Float(sin(angle))
        }
        for index in 0..<headDim { norm[index] = random.float(0.5...1.5) }
        for index in 0..<tokens { factors[index] = random.float(0.5...1.5) }
        let layout = HeadLayout(offset: 2, stride: stride, heads: heads, headDim: headDim)
        compute.rotate(
            y, layout, tokens: tokens,
            by: Rotation(cosines: cosines, sines: sines, norm: norm, eps: 1e-6, factors: factors))
        for token in 0..<tokens {
            for head in 0..<heads {
                let at = token * stride + 2 + head * headDim
                let square = (0..<headDim).reduce(0.0) { $0 + before[at + $1] * before[at + $1] }
                let factor = 1 / (square / Double(headDim) + Double(Float(1e-6))).squareRoot()
                let x = (0..<headDim).map { before[at + $0] * factor * Double(norm[$0]) }
                for i in 0..<half {
                    let c = Double(cosines[token * half + i]), s = Double(sines[token * half + i])
                    let scale = Double(factors[token])
                    let bound = Double(headDim + 8) * 0x1p-23 * (abs(x[i]) + abs(x[i + half])) * 2
                    #expect(abs(Double(y[at + i]) - (x[i] * c - x[i + half] * s) * scale) <= bound)
                    #expect(
                        abs(Double(y[at + i + half]) - (x[i + half] * c + x[i] * s) * scale)
                            <= bound)
                }
            }
            #expect(Double(y[token * stride]) == before[token * stride], "outside the layout")
        }
    }

    @Test(arguments: Compute.availableISAs)
    func summariesAreThoseOfTheSoftmax(isa: String) throws {
        let compute = try Compute(isa: isa, threads: 1)
        var random = SeededGenerator(seed: 4)
        for count in [2, 3, 9, 1000, 2049, 49152] {
            let row = Buffer<Float>(count: count + 3)
            for index in 0..<row.count { row[index] = random.float(-20...20) }
            row[1] = -.infinity
            let range = 1..<count + 1
            let logits = range.map { Double(row[$0]) }
            let got = compute.summarize(row, range)
            let sorted = logits.sorted(by: >)
            #expect(Double(got.max) == sorted[0])
            #expect(Double(got.second) == sorted[1])
            #expect(got.argmax == logits.firstIndex(of: sorted[0]))
            let sum = logits.reduce(0) { $0 + exp($1 - sorted[0]) }
            #expect(abs(Double(got.logSumExp) - (sorted[0] + log(sum))) < 1e-4)
            let entropy = logits.reduce(0.0) {
                let p = exp($1 - sorted[0]) / sum
                return p > 0 ? $0 - p * log(p) : $0
            }
            #expect(abs(Double(got.entropy) - entropy) < 1e-3, "\(count): \(got) \(entropy)")
        }
    }

    @Test(arguments: Compute.availableISAs)
    func biasesAreAddedToEveryToken(isa: String) throws {
        let compute = try Compute(isa: isa, threads: 1)
        let y = Buffer<Float>(count: 20)
        let bias = Buffer<Float>(count: 3)
        for index in 0..<3 { bias[index] = Float(index + 1) }
        compute.addBias(bias, to: y, offset: 4, stride: 10, tokens: 2)
        let wanted: [Float] = [0, 0, 0, 0, 1, 2, 3, 0, 0, 0]
        for index in 0..<20 { #expect(y[index] == wanted[index % 10]) }
    }
}
