import TesseraDecoding
import Foundation
import TesseraKernels
import Testing
import TesseraWeightFile

extension Double {
    static func exponential(_ x: Double) -> Double { exp(x) }
    var naturalLogarithm: Double { log(self) }
}

@Suite struct SamplerTests {
    let compute: Compute

    init() throws { compute = try Compute(isa: "scalar", threads: 1) }

    private func row(_ values: [Float]) -> Buffer<Float> {
        let buffer = Buffer<Float>(count: values.count)
        for (index, value) in values.enumerated() { buffer[index] = value }
        return buffer
    }

    private func prepared(
        _ values: [Float], _ options: SamplingOptions, forbidden: [Int32] = [],
        history: [Int32] = []
    ) throws -> (probabilities: [Double], Prediction) {
        let logits = row(values)
        let sampler = Sampler(
            options, vocabularySize: values.count, forbidden: forbidden, compute: compute)
        let prediction = try sampler.prepare(logits, begin: 0, history: history)
        let weights = values.indices.map { exp(Double(logits[$0])) }
        let sum = weights.reduce(0, +)
        return (weights.map { $0 / sum }, prediction)
    }

    private func values(_ count: Int, seed: Int) -> [Float] {
        (0..<count).map { Float(sin(Double($0 * 7919 + seed * 104_729)) * 6) }
    }

    /// The filters by definition: sort everything.
    private func reference(_ values: [Float], _ options: SamplingOptions) -> [Double] {
        var weights = values.map { exp(Double($0) / Double(options.temperature)) }
        let order = values.indices.sorted {
            values[$0] > values[$1] || (values[$0] == values[$1] && $0 < $1)
        }
        if options.topK > 0 { for index in order.dropFirst(options.topK) { weights[index] = 0 } }
        if options.topP < 1 {
            let whole = weights.reduce(0, +)
            var sum = 0.0
            for index in order {
                if sum >= Double(options.topP) * whole { weights[index] = 0 }
                sum += weights[index]
            }
        }
        let most = weights.max() ?? 0
        weights = weights.map { $0 < Double(options.minP) * most ? 0 : $0 }
        let whole = weights.reduce(0, +)
        return weights.map { $0 / whole }
    }

    @Test func filtersEqualTheirDefinition() throws {
        for seed in 0..<12 {
            for (topK, topP, minP) in [
                (0, 1, 0), (1, 1, 0), (7, 1, 0), (0, 0.5, 0), (0, 0.97, 0), (20, 0.8, 0),
                (0, 1, 0.05), (50, 0.95, 0.1), (5000, 0.9, 0),
            ] as [(Int, Float, Float)] {
                var options = SamplingOptions()
                options.temperature = [0.3, 0.7, 1, 1.8][seed % 4]
                (options.topK, options.topP, options.minP) = (topK, topP, minP)
                let values = values(1000, seed: seed)
                let (actual, prediction) = try prepared(values, options)
                let expected = reference(values, options)
                for index in values.indices {
                    #expect(abs(actual[index] - expected[index]) < 1e-5)
                    #expect((actual[index] == 0) == (expected[index] == 0))
                }
                let entropy = -expected.reduce(0) { $0 + ($1 > 0 ? $1 * log($1) : 0) }
                let sorted = expected.sorted(by: >)
                #expect(abs(Double(prediction.entropy) - entropy) < 1e-4)
                #expect(abs(Double(prediction.confidence) - sorted[0]) < 1e-5)
                #expect(abs(Double(prediction.margin) - (sorted[0] - sorted[1])) < 1e-5)
            }
        }
    }

    @Test func greedyTakesTheLikeliestAndItsEntropyIsThatOfTheLogits() throws {
        let values = values(500, seed: 3)
        let (_, prediction) = try prepared(values, SamplingOptions())
        let expected = reference(values, sampling(temperature: 1))
        let entropy = -expected.reduce(0) { $0 + $1 * log($1) }
        #expect(prediction.token == Int32(values.firstIndex(of: values.max() ?? 0) ?? -1))
        #expect(abs(Double(prediction.entropy) - entropy) < 1e-4)
    }

    @Test func forbiddenTokensHaveNoProbability() throws {
        var values = values(100, seed: 5)
        values[17] = 90
        let (probabilities, prediction) = try prepared(
            values, sampling(), forbidden: [17, 18, -1, 100])
        #expect(probabilities[17] == 0 && probabilities[18] == 0)
        #expect(prediction.token != 17)
    }

    /// Division by such numbers overflows, for the likeliest token too where nothing is subtracted first.
    @Test(arguments: [.leastNonzeroMagnitude, 1e-38, 1e-30, 1e-10, 1e-6] as [Float])
    func theColdestTextIsTheLikeliest(temperature: Float) throws {
        var cold = sampling(temperature: temperature)
        for shift in [-90, 0, 90] as [Float] {
            let logits = values(300, seed: 4).map { $0 + shift }
            let best = Int32(logits.firstIndex(of: logits.max() ?? 0) ?? -1)
            for topK in [0, 5] {
                cold.topK = topK
                let sampler = Sampler(
                    cold, vocabularySize: 300, forbidden: [299], compute: compute)
                let row = row(logits)
                let prediction = try sampler.prepare(row, begin: 0, history: [])
                #expect(prediction.token == best && prediction.confidence == 1)
                #expect(prediction.entropy == 0)
                for position in 0..<20 {
                    let drawn = sampler.draw(
                        row, begin: 0, prediction: prediction, position: position)
                    #expect(drawn.token == best && drawn.logProbability == 0)
                }
            }
        }
    }

    @Test(arguments: [Float.nan, .infinity, -.infinity], [0, 1, 0.7] as [Float])
    func logitsThatAreNotFiniteAreCountedAndRefused(bad: Float, temperature: Float) throws {
        var logits = values(100, seed: 6)
        for index in [3, 50, 99] { logits[index] = bad }
        let sampler = Sampler(
            sampling(temperature: temperature), vocabularySize: 100, forbidden: [7, 7, 8],
            compute: compute)
        #expect(throws: DecodingError.notFinite(count: 3, of: 100, position: 3)) {
            _ = try sampler.prepare(row(logits), begin: 0, history: [1, 2], block: [3])
        }
    }

    @Test(arguments: [0, 0.005, 101, -1, .infinity, .nan] as [Float])
    func repeatPenaltiesThatLeaveTheRangeOfNumbersAreRefused(penalty: Float) {
        var options = sampling()
        options.repeatPenalty = penalty
        #expect(throws: DecodingError.self) { try options.validate() }
    }

    @Test func repeatedTokensAreMadeLessLikelyOnce() throws {
        var options = sampling()
        options.repeatPenalty = 2
        options.repeatWindow = 3
        let logits = row([1, -1, 2, 0.5, 3])
        let sampler = Sampler(options, vocabularySize: 5, forbidden: [], compute: compute)
        _ = try sampler.prepare(logits, begin: 0, history: [4, 0, 1, 1])
        // 4 lies outside the window; 1 counts once.
        #expect((0..<5).map { logits[$0] } == [0.5, -2, 2, 0.5, 3])
    }

    @Test func drawsFollowTheDistribution() throws {
        var options = sampling()
        options.topK = 6
        let values = values(40, seed: 2)
        let logits = row(values)
        let sampler = Sampler(options, vocabularySize: 40, forbidden: [], compute: compute)
        let prediction = try sampler.prepare(logits, begin: 0, history: [])
        let expected = reference(values, options)
        var seen = [Int](repeating: 0, count: 40)
        let count = 20_000
        for position in 0..<count {
            let drawn = sampler.draw(
                logits, begin: 0, prediction: prediction, position: position)
            seen[Int(drawn.token)] += 1
            #expect(abs(exp(Double(drawn.logProbability)) - expected[Int(drawn.token)]) < 1e-5)
        }
        for token in 0..<40 {
            let p = expected[token]
            let bound = 4 * (p * (1 - p) / Double(count)).squareRoot()
            #expect(abs(Double(seen[token]) / Double(count) - p) <= bound)
        }
    }

    @Test func modelsSayHowTheyAreDrawnFromOrAreGivenAWay() {
        var config = ModelConfig()
        #expect(SamplingOptions(for: config, chat: false) == SamplingOptions())
        let chat = SamplingOptions(for: config, chat: true)
        #expect(chat.temperature == 0.8 && chat.topK == 40 && chat.topP == 0.95)
        #expect(chat.minP == 0.05 && chat.repeatPenalty == 1.1)
        config.blockDecoding = .init(maskToken: 1, blockSize: 8)
        #expect(SamplingOptions(for: config, chat: true) == SamplingOptions())
        config.sampling.temperature = 0.6
        config.sampling.topK = 20
        for isChat in [true, false] {
            let own = SamplingOptions(for: config, chat: isChat)
            #expect(own.temperature == 0.6 && own.topK == 20 && own.repeatPenalty == 1)
        }
    }

    @Test func drawsAreAFunctionOfSeedAndPosition() throws {
        let values = values(1000, seed: 9)
        func draws(_ seed: UInt64, _ positions: [Int]) throws -> [Int32] {
            let logits = row(values)
            let sampler = Sampler(
                sampling(seed: seed), vocabularySize: 1000, forbidden: [], compute: compute)
            let prediction = try sampler.prepare(logits, begin: 0, history: [])
            return positions.map {
                sampler.draw(logits, begin: 0, prediction: prediction, position: $0).token
            }
        }
        let order = Array(0..<50)
        let drawn = try draws(1, order)
        let (backwards, other) = (try draws(1, order.reversed()), try draws(2, order))
        #expect(drawn == backwards.reversed())
        #expect(drawn != other)
        #expect(Set(drawn).count > 5)
    }

    @Test func theQuickBoundNeverChangesADraw() throws {
        // Winner by definition: noise for all, no pruning. A spread of logits from flat to sharp.
        for scale in [0, 0.2, 1, 5] as [Float] {
            let values = values(400, seed: 11).map { $0 * scale }
            let logits = row(values)
            let sampler = Sampler(
                sampling(seed: 3), vocabularySize: 400, forbidden: [], compute: compute)
            let prediction = try sampler.prepare(logits, begin: 0, history: [])
            for position in 0..<200 {
                let noise = GumbelReference(seed: 3, position: position)
                let best = values.indices.max { a, b in
                    Double(values[a]) + noise[a] < Double(values[b]) + noise[b]
                }
                let drawn = sampler.draw(
                    logits, begin: 0, prediction: prediction, position: position)
                #expect(Int(drawn.token) == best)
            }
        }
    }
}

/// The noise by its definition, written out a second time.
private struct GumbelReference {
    let stream: UInt64

    init(seed: UInt64, position: Int) {
        stream = Self.mix(seed &+ 0x9E37_79B9_7F4A_7C15 &* UInt64(position + 1))
    }

    subscript(token: Int) -> Double {
        let bits = Self.mix(stream &+ 0xD1B5_4A32_D192_ED03 &* UInt64(token + 1))
        let v = (Double(bits >> 11) + 0.5) / 9_007_199_254_740_992
        return -log(-log1p(-v))
    }

    private static func mix(_ value: UInt64) -> UInt64 {
        var x = value
        x = (x ^ (x >> 30)) &* 0xBF58_476D_1CE4_E5B9
        x = (x ^ (x >> 27)) &* 0x94D0_49BB_1331_11EB
        return x ^ (x >> 31)
    }
}
