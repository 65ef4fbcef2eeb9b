@testable import TesseraDecoding
import Testing
import TesseraWeightFile

@Suite struct SetBlockDecoderTests {
    static let bound = RevealRule.entropyBound(gamma: 0.5, .entropy)
    static let window = RevealRule.firstAndBound(gamma: 0.5, .entropy)

    @Test(arguments: [0, 0.8, 1.3] as [Float])
    func aBlockOfOneIsNextTokenPrediction(temperature: Float) throws {
        for seed in 1...8 as ClosedRange<UInt64> {
            var options = sampling(temperature: temperature, seed: seed)
            options.repeatPenalty = 1.2
            let (plain, _) = try decode(try ScriptedModel(seed: seed), .next, options: options)
            let model = try ScriptedModel(seed: seed)
            let (block, _) = try decode(model, .blocks(1, Self.bound), options: options)
            #expect(block == plain, "seed \(seed)")
            #expect(model.passes.allSatisfy { $0.open.isEmpty && $0.logitRows.count == 1 })
        }
    }

    @Test(arguments: [2, 5, 16, 64])
    func everyPassRevealsAndTheLimitIsExact(size: Int) throws {
        for limit in [1, size - 1, size, size + 1, 3 * size + 2] where limit > 0 {
            let model = try ScriptedModel()
            let (tokens, decoder) = try decode(
                model, .blocks(size, Self.bound), limit: limit, traced: true)
            #expect(tokens.count == limit)
            #expect(decoder.state.passCount <= limit)
            for block in decoder.state.trace?.blocks ?? [] {
                #expect(block.passes.allSatisfy { !$0.reveals.isEmpty })
                #expect(block.passes.reduce(0) { $0 + $1.reveals.count } == block.size)
            }
        }
    }

    @Test func theCacheHoldsExactlyTheTextAndThePassesAreThoseOfThePaper() throws {
        let model = try ScriptedModel()
        let (tokens, decoder) = try decode(model, .blocks(8, Self.bound), limit: 32)
        #expect(model.cache + decoder.state.pending == [1, 2, 3] + tokens.ids)
        #expect(decoder.state.history == [1, 2, 3] + tokens.ids)
        var committed: [Int32] = []
        for pass in model.passes {
            #expect(pass.open.count == 8 && pass.blockSize == 1)
            // The first pass of a block commits the one before it and opens masks only.
            if !pass.committed.isEmpty {
                #expect(pass.open.allSatisfy { $0 == 31 })
                #expect(pass.logitRows.first == pass.committed.count - 1)
                #expect(pass.logitRows.count == 8)
            } else {
                // Logits of what is still open, and of nothing else.
                #expect(pass.logitRows.map { pass.open[$0] }.allSatisfy { $0 == 31 })
                #expect(pass.logitRows.count == pass.open.count { $0 == 31 })
            }
            committed += pass.committed
        }
        #expect(committed == model.cache)
    }

    @Test(arguments: [2, 5, 16])
    func aWindowSlidesAfterFixedTokens(size: Int) throws {
        for limit in [1, size, 3 * size + 2, 60] {
            let model = try ScriptedModel(seed: 3)
            let (tokens, decoder) = try decode(
                model, .blocks(size, Self.window), limit: limit, traced: true)
            #expect(tokens.count == limit)
            #expect(model.cache + decoder.state.pending == [1, 2, 3] + tokens.ids)
            var made = -3
            for pass in model.passes {
                // All that is fixed is committed; its last token predicts the first position.
                made += pass.committed.count
                #expect(!pass.committed.isEmpty)
                #expect(pass.logitRows.first == pass.committed.count - 1)
                // As many positions as tokens are still wanted; one alone needs no mask.
                let open = min(size, limit - made)
                #expect(pass.open.count == (open == 1 ? 0 : open))
                #expect(pass.open.first ?? 31 == 31)
                let masks = pass.open.indices.filter { pass.open[$0] == 31 }.dropFirst()
                #expect(pass.logitRows.dropFirst() == masks.map { pass.committed.count + $0 }[...])
            }
            let blocks = try #require(decoder.state.trace).blocks
            for block in blocks {
                #expect(block.passes.reduce(0) { $0 + $1.reveals.count } == block.size)
            }
            #expect(blocks.reduce(0) { $0 + $1.size } == limit)
        }
    }

    @Test func theFirstPositionUsesTheNextTokenDistribution() throws {
        // With masks that know nothing, the first position alone is certain.
        let model = try ScriptedModel()
        model.favour = 0
        model.noise = 0.01
        var certain = [Float](repeating: 0, count: 32)
        certain[9] = 50
        model.script[3] = certain
        let (tokens, decoder) = try decode(
            model, .blocks(4, .entropyBound(gamma: 0, .entropy)), limit: 4, traced: true)
        #expect(tokens[0].id == 9)
        #expect(tokens[0].pass == 1)
        let reveals = try #require(decoder.state.trace?.blocks[0].passes[0].reveals)
        #expect(reveals.contains { $0.position == 3 })
    }

    @Test(arguments: [bound, window])
    func nothingAfterAStopTokenIsEmittedOrWaitedFor(rule: RevealRule) throws {
        for seed in 1...20 as ClosedRange<UInt64> {
            let (plain, _) = try decode(
                try ScriptedModel(seed: seed), .blocks(8, rule), limit: 60)
            let stop = plain[20].id
            let model = try ScriptedModel(seed: seed)
            let (tokens, decoder) = try decode(
                model, .blocks(8, rule), limit: 60, stop: [stop])
            let first = try #require(tokens.ids.firstIndex(of: stop))
            #expect(first == tokens.count - 1)
            #expect(model.cache + decoder.state.pending == [1, 2, 3] + tokens.ids)
        }
    }

    @Test func aStopTokenInsideTheBlockEndsGenerationWhenItsPrefixIsComplete() throws {
        let model = try ScriptedModel()
        model.favour = 0
        model.noise = 0.01  // nothing is certain
        for (position, token) in [(3, 5), (4, 6), (5, 30)] {
            model.script[position] = (0..<32).map { $0 == token ? 40 : 0 }
        }
        let (tokens, decoder) = try decode(
            model, .blocks(8, .entropyBound(gamma: 0.1, .entropy)), limit: 8, stop: [30])
        #expect(tokens.ids == [5, 6, 30])
        #expect(decoder.state.passCount == 1)
    }

    @Test func theMaskTokenIsNeverProduced() throws {
        for seed in 1...10 as ClosedRange<UInt64> {
            let model = try ScriptedModel(maskToken: 5, seed: seed)
            for position in 3..<60 {
                model.script[position] = (0..<32).map { $0 == 5 ? 30 : Float($0 % 7) }
            }
            let options = sampling(temperature: 2, seed: seed)
            let (tokens, _) = try decode(model, .blocks(8, Self.bound), options: options)
            #expect(!tokens.ids.contains(5))
        }
    }

    @Test func shiftedLogitsComeFromThePositionBefore() throws {
        let model = try ScriptedModel()
        model.blockDecoding?.shiftedLogits = true
        let (tokens, _) = try decode(model, .blocks(4, Self.bound), limit: 12)
        #expect(tokens.count == 12)
        // A scripted row names the position it predicts; unshifted decoding of a model without
        // context must find the same favourites.
        let free = try ScriptedModel()
        free.noise = 0
        let shifted = try ScriptedModel()
        shifted.noise = 0
        shifted.blockDecoding?.shiftedLogits = true
        let expected = try decode(free, .blocks(4, Self.bound), limit: 12).tokens.ids
        #expect(try decode(shifted, .blocks(4, Self.bound), limit: 12).tokens.ids == expected)
        #expect(shifted.passes[0].logitRows == [2, 3, 4, 5])
    }

    @Test(arguments: [false, true])
    func bidirectionalBlocksLieAtMultiplesOfTheirSize(shifted: Bool) throws {
        for promptCount in [1, 3, 4, 8, 9] {
            let model = try ScriptedModel()
            model.blockDecoding?.bidirectionalCommit = true
            model.blockDecoding?.shiftedLogits = shifted
            let prompt = (0..<promptCount).map { Int32($0 + 1) }
            let (tokens, decoder) = try decode(
                model, .blocks(4, Self.bound), prompt: prompt, limit: 13)
            #expect(model.cache + decoder.state.pending == prompt + tokens.ids)
            for pass in model.passes {
                #expect(pass.blockSize == 4)
                #expect(pass.committed.count % 4 == 0)
            }
            let rest = promptCount % 4
            let first = model.passes[0]
            #expect(first.committed == Array(prompt.dropLast(rest)))
            let masks = [Int32](repeating: 31, count: 4 - rest)
            #expect(first.open == prompt.suffix(rest) + masks)
        }
    }

    @Test(arguments: [false, true])
    func partsOfABlockAreFilledOneAfterTheOther(bidirectional: Bool) throws {
        for limit in [3, 4, 9, 24] {
            let model = try ScriptedModel()
            model.blockDecoding?.subBlockSize = 3
            model.blockDecoding?.bidirectionalCommit = bidirectional
            let (tokens, decoder) = try decode(
                model, .blocks(8, Self.bound), limit: limit, traced: true)
            #expect(tokens.count == limit)
            for block in try #require(decoder.state.trace).blocks {
                let parts = block.passes.map { pass in
                    Set(pass.reveals.map { ($0.position - block.position) / 3 })
                }
                #expect(parts.allSatisfy { $0.count == 1 })
                #expect(parts.map { $0.first ?? 0 } == parts.map { $0.first ?? 0 }.sorted())
            }
        }
    }

    @Test func aModelWithAThresholdDecidesTheFirstPositionBeforeMasksAreComputed() throws {
        let model = try ScriptedModel()
        model.blockDecoding?.confidenceThreshold = 0.9
        let rule = RevealRule.confidence(threshold: 0.9)
        let (tokens, _) = try decode(model, .blocks(8, rule), limit: 24)
        let plain = model.passes.filter { !$0.committed.isEmpty }
        #expect(plain.map(\.committed.count) == [3, 8, 8])
        #expect(plain.allSatisfy { $0.open.isEmpty && $0.logitRows.count == 1 })
        for (block, first) in [0, 8, 16].enumerated() {
            let masked = model.passes.split { !$0.committed.isEmpty }[block]
            #expect(masked.first?.open == [tokens.ids[first]] + Array(repeating: 31, count: 7))
        }
        let next = try decode(try ScriptedModel(), .next, limit: 1).tokens.ids
        #expect(tokens.ids.first == next.first)
    }

    @Test func impossibleBlockSizesAreErrors() throws {
        #expect(throws: DecodingError.noMaskToken(blockSize: 2)) {
            try decode(try ScriptedModel(maskToken: nil), .blocks(2, Self.bound))
        }
        #expect(throws: DecodingError.badBlockSize(65)) {
            try decode(try ScriptedModel(), .blocks(65, Self.bound))
        }
        #expect(throws: DecodingError.badBlockSize(0)) {
            try decode(try ScriptedModel(), .blocks(0, Self.bound))
        }
        let plain = try decode(try ScriptedModel(maskToken: nil), .blocks(1, Self.bound))
        #expect(plain.tokens.count == 40)
    }

    /// Sizes that change from block to block leave the cache as it is to be.
    @Test func blockSizesMayChange() throws {
        for seed in 1...6 as ClosedRange<UInt64> {
            let model = try ScriptedModel(seed: seed)
            let sampler = Sampler(
                SamplingOptions(), vocabularySize: 32, forbidden: [31], compute: model.compute)
            let state = DecodingState(model, sampler: sampler, stopTokens: [])
            let planner = Planner(largest: 16)
            let decoder = try SetBlockDecoder(
                state, rule: .firstAndBound(gamma: 1, .entropy), planner)
            try state.append([1, 2, 3])
            var tokens: [FixedToken] = []
            while tokens.count < 200 {
                try decoder.step(
                    limit: 200 - tokens.count, into: &tokens,
                    seed % 2 == 0 ? .planned : .random(seed))
            }
            decoder.finish()
            #expect(tokens.count == 200)
            #expect(model.cache + state.pending == [1, 2, 3] + tokens.ids)
            #expect(planner.offsets.chances[0] != 0.75)
        }
    }

    @Test(arguments: 1...12 as ClosedRange<UInt64>)
    func offersTellThePositionsOfPasses(seed: UInt64) throws {
        let model = try ScriptedModel(seed: seed)
        model.noise = 1.5  // guesses are often sure
        let state = DecodingState(
            model,
            sampler: Sampler(
                SamplingOptions(), vocabularySize: 32, forbidden: [31], compute: model.compute),
            stopTokens: [])
        let decoder = try SetBlockDecoder(
            state, rule: .firstAndBound(gamma: 1, .entropy), Planner(largest: 12))
        try state.append([1, 2, 3, 4, 5])
        var random = SplitMix(seed: seed)
        var tokens: [FixedToken] = []
        while tokens.count < 80 {
            let offer = decoder.offer(limit: 80 - tokens.count)
            let option = Int(random.unit() * Double(offer.options.count))
            let request = decoder.plan(option)
            #expect(request.count == offer.options[option].positions)
            #expect(request.committed.count == offer.given)
            try decoder.consume(model.pass(request), into: &tokens)
        }
        #expect(tokens.count == 80)
    }

    @Test func aStateGoesOnWhereItWasStopped() throws {
        let model = try ScriptedModel()
        let (tokens, decoder) = try decode(model, .blocks(8, Self.bound), limit: 11)
        try decoder.state.append([4, 5])
        var more: [FixedToken] = []
        while more.count < 9 { try decoder.step(limit: 9 - more.count, into: &more) }
        decoder.finish()
        let text = [1, 2, 3] + tokens.ids + [4, 5] + more.ids
        #expect(model.cache + decoder.state.pending == text)
        let fresh = try ScriptedModel()
        let again = try decode(
            fresh, .blocks(8, Self.bound), prompt: [1, 2, 3] + tokens.ids + [4, 5], limit: 9)
        #expect(again.tokens.ids == more.ids)
    }
}
