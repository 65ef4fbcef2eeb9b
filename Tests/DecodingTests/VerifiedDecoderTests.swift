import TesseraDecoding
import Testing
import TesseraWeightFile

@Suite struct VerifiedDecoderTests {
    @Test(arguments: [1, 2, 4, 16, 32], [0, 0.7, 1.4] as [Float])
    func theTextIsThatOfNextTokenPrediction(size: Int, temperature: Float) throws {
        for seed in 1...12 as ClosedRange<UInt64> {
            var options = sampling(temperature: temperature, seed: seed)
            options.repeatPenalty = seed % 2 == 0 ? 1.3 : 1
            options.topK = seed % 3 == 0 ? 5 : 0
            let (plain, _) = try decode(
                try ScriptedModel(seed: seed), .next, limit: 50, options: options)
            let model = try ScriptedModel(seed: seed)
            let (verified, decoder) = try decode(
                model, .verified(size), limit: 50, options: options)
            #expect(verified.ids == plain.ids, "seed \(seed)")
            #expect(verified.map(\.logProbability) == plain.map(\.logProbability))
            #expect(model.cache + decoder.state.pending == [1, 2, 3] + plain.ids)
            #expect(decoder.state.passCount <= 50)
        }
    }

    @Test func stopTokensEndBothAlike() throws {
        for seed in 1...20 as ClosedRange<UInt64> {
            let options = sampling(temperature: 0.5, seed: seed)
            let stop: Set<Int32> = [3, 4, 5]
            let (plain, _) = try decode(
                try ScriptedModel(seed: seed), .next, limit: 60, options: options, stop: stop)
            let model = try ScriptedModel(seed: seed)
            let (verified, decoder) = try decode(
                model, .verified(8), limit: 60, options: options, stop: stop)
            #expect(verified.ids == plain.ids)
            #expect(model.cache + decoder.state.pending == [1, 2, 3] + plain.ids)
        }
    }

    /// The text is that of single tokens, whatever is planned.
    @Test(arguments: [0, 0.8] as [Float])
    func anyPlanGivesTheSameText(temperature: Float) throws {
        for seed in 1...12 as ClosedRange<UInt64> {
            let options = sampling(temperature: temperature, seed: seed)
            let (plain, _) = try decode(
                try ScriptedModel(seed: seed), .next, limit: 120, options: options)
            for plan in [Plan.random(seed), .planned, .everything] {
                let model = try ScriptedModel(seed: seed)
                let sampler = Sampler(
                    options, vocabularySize: 32, forbidden: [31], compute: model.compute)
                let state = DecodingState(model, sampler: sampler, stopTokens: [])
                let decoder = try VerifiedDecoder(state, Planner(largest: 16))
                try state.append([1, 2, 3])
                var tokens: [FixedToken] = []
                while tokens.count < 120 {
                    try decoder.step(limit: 120 - tokens.count, into: &tokens, plan)
                }
                decoder.finish()
                #expect(tokens.ids == plain.ids, "seed \(seed)")
                #expect(model.cache + state.pending == [1, 2, 3] + plain.ids)
                #expect(state.passCount < 120)
            }
        }
    }

    @Test func agreeingDraftsGiveSeveralTokensPerPass() throws {
        let model = try ScriptedModel()
        model.noise = 0
        model.favour = 8
        let (tokens, decoder) = try decode(model, .verified(8), limit: 64)
        #expect(tokens.count == 64)
        // 1 token, then 8 in every pass: the draft of 7 and one more.
        #expect(decoder.state.passCount == 9)
    }

    @Test func shiftedModelsAreVerifiedToo() throws {
        for seed in 1...6 as ClosedRange<UInt64> {
            let (plain, _) = try decode(try ScriptedModel(seed: seed), .next)
            let model = try ScriptedModel(seed: seed)
            model.blockDecoding?.shiftedLogits = true
            #expect(try decode(model, .verified(8)).tokens.ids == plain.ids)
        }
    }

    @Test func modelsThatCannotBeVerifiedSaySo() throws {
        let model = try ScriptedModel()
        model.blockDecoding?.bidirectionalCommit = true
        #expect(throws: DecodingError.notVerifiable) { try decode(model, .verified(4)) }
        #expect(throws: DecodingError.noMaskToken(blockSize: 4)) {
            try decode(try ScriptedModel(maskToken: nil), .verified(4))
        }
    }

    @Test func sampledTextFollowsTheNextTokenDistribution() throws {
        // 4000 texts of three tokens over 4 tokens (and a mask): the third token's frequencies
        // against its exact probability, summed over the two before it.
        let count = 4000
        var seen = [Int](repeating: 0, count: 4)
        let model = try ScriptedModel(vocabularySize: 5, maskToken: 4, seed: 3)
        model.noise = 1.5
        model.favour = 1
        for seed in 0..<count {
            model.reset()
            let options = sampling(temperature: 1, seed: UInt64(seed))
            let tokens = try decode(
                model, .verified(3), prompt: [1], limit: 3, options: options
            ).tokens
            seen[Int(tokens[2].id)] += 1
        }
        let expected = try exactThird(seed: 3)
        for token in 0..<4 {
            let p = expected[token]
            let deviation = (p * (1 - p) / Double(count)).squareRoot()
            let frequency = Double(seen[token]) / Double(count)
            #expect(abs(frequency - p) < 4 * deviation, "token \(token): \(frequency) for \(p)")
        }
    }

    /// Probabilities of the third token after [1], by summing over all first and second ones.
    private func exactThird(seed: UInt64) throws -> [Double] {
        let model = try ScriptedModel(vocabularySize: 5, maskToken: 4, seed: seed)
        model.noise = 1.5
        model.favour = 1
        func next(_ prefix: [Int32]) -> [Double] {
            model.reset()
            model.forward(
                committed: prefix, open: [], logitRows: [prefix.count - 1], blockSize: 1)
            let weights = (0..<4).map { Double.exponential(Double(model.logits[$0])) }
            return weights.map { $0 / weights.reduce(0, +) }
        }
        var third = [Double](repeating: 0, count: 4)
        let first = next([1])
        for a in 0..<4 {
            let second = next([1, Int32(a)])
            for b in 0..<4 {
                let last = next([1, Int32(a), Int32(b)])
                for c in 0..<4 { third[c] += first[a] * second[b] * last[c] }
            }
        }
        return third
    }
}
