import TesseraDecoding
import TesseraKernels
import Testing

@Suite struct LogitScoreTests {
    @Test func scoresEqualTheirDefinition() throws {
        let compute = try Compute(isa: "scalar", threads: 1)
        let logits = Buffer<Float>(count: 6)
        for (index, value) in [9, 1, 2, 3, 0.5, 9].enumerated() { logits[index] = Float(value) }
        var score = LogitScore()
        try score.add(
            logits, 1..<5, next: 2, reference: [0, 4, 1, 0], compute: compute)
        func softmax(_ values: [Double]) -> [Double] {
            let weights = values.map { Double.exponential($0) }
            return weights.map { $0 / weights.reduce(0, +) }
        }
        let model = softmax([1, 2, 3, 0.5])
        let reference = softmax([0, 4, 1, 0])
        var divergence = 0.0
        for index in 0..<4 {
            divergence += reference[index] * (reference[index] / model[index]).naturalLogarithm
        }
        #expect(abs(score.meanNLL + model[2].naturalLogarithm) < 1e-6)
        #expect(abs(score.meanKL - divergence) < 1e-6)
        #expect(score.top1Agreement == 0)
        try score.add(logits, 1..<5, next: 0, reference: [1, 2, 3, 0.5], compute: compute)
        #expect(score.top1Agreement == 0.5)
        #expect(abs(score.meanKL - divergence / 2) < 1e-6)
        try score.add(logits, 1..<5, next: 0, reference: nil, compute: compute)
        #expect(score.tokens == 3 && score.compared == 2)
    }

    @Test(arguments: [Float.nan, .infinity, -.infinity])
    func logitsThatAreNotFiniteAreRefusedOnEitherSide(bad: Float) throws {
        let compute = try Compute(isa: "scalar", threads: 1)
        let logits = Buffer<Float>(count: 4)
        var score = LogitScore()
        try score.add(logits, 0..<4, next: 2, reference: nil, compute: compute)
        #expect(throws: DecodingError.notFinite(count: 1, of: 4, position: 1)) {
            try score.add(logits, 0..<4, next: 2, reference: [0, bad, 0, 1], compute: compute)
        }
        logits[3] = bad
        #expect(throws: DecodingError.notFinite(count: 1, of: 4, position: 1)) {
            try score.add(logits, 0..<4, next: 2, reference: nil, compute: compute)
        }
        #expect(score.tokens == 1)
    }
}
