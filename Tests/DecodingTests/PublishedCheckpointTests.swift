import TesseraDecoding
import Foundation
import Testing
import TesseraTokenization
import TesseraTransformer
import TesseraWeightFile

@Suite(.serialized) struct PublishedCheckpointTests {
    @Test(arguments: PublishedCheckpoint.allCases)
    func tokenIdsEqualThoseOfHuggingFaceTokenizers(_ model: PublishedCheckpoint) async throws {
        let tokenizer = try Tokenizer(try await model.convert(.sixteen).tokenizer)
        for expected in try model.golden().texts {
            #expect(tokenizer.encode(expected.text) == expected.ids, "\(expected.text)")
        }
    }

    @Test(arguments: PublishedCheckpoint.allCases)
    func theFamilyTraitsAreKnown(_ model: PublishedCheckpoint) async throws {
        let traits = try #require(try await model.convert(.sixteen).config.blockDecoding)
        let expected: ModelConfig.BlockDecoding =
            switch model {
            case .nemotron: .init(maskToken: 100, blockSize: 32, confidenceThreshold: 0.9)
            case .fastDLLM:
                .init(
                    maskToken: 287, blockSize: 32, subBlockSize: 8, shiftedLogits: true,
                    bidirectionalCommit: true, confidenceThreshold: 0.9)
            case .sdar:
                .init(
                    maskToken: 287, blockSize: 4, bidirectionalCommit: true,
                    confidenceThreshold: 0.9)
            case .stableDiffCoder:
                .init(
                    maskToken: 5, blockSize: 4, bidirectionalCommit: true,
                    confidenceThreshold: 0.95)
            }
        #expect(traits == expected)
        #expect(traits.subBlockSize == (try model.golden().subBlock ?? 0))
    }

    /// Logits reach 26; transformers' own float32 errs by up to 2e-5.
    @Test(arguments: PublishedCheckpoint.allCases)
    func logitsInFloatsAreWithin1e4OfTheReference(_ model: PublishedCheckpoint) async throws {
        let decoding = PublishedDecoding(file: try await model.convert(.thirtyTwo))
        var expected = try model.goldenLogits()[...]
        var largest: Float = 0
        for steps in try model.golden().scenarios {
            let transformer = try decoding.transformer()
            for step in steps {
                try transformer.forward(
                    committed: step.committed, open: step.open, logitRows: step.rows,
                    blockSize: step.blockSize)
                for row in step.rows.indices {
                    for token in 0..<transformer.config.vocabularySize {
                        let value = transformer.logits[row * transformer.logitStride + token]
                        let error = abs(value - (expected.popFirst() ?? .nan))
                        largest = error.isFinite ? max(largest, error) : .infinity
                    }
                }
            }
        }
        #expect(expected.isEmpty)
        #expect(largest <= 1e-4)
    }

    /// Weights stored as halves: the bf16 values of these checkpoints fit.
    @Test(arguments: PublishedCheckpoint.allCases)
    func nextTokensEqualTheReference(_ model: PublishedCheckpoint) async throws {
        let decoding = PublishedDecoding(file: try await model.convert(.sixteen))
        let expected = try model.golden().nextTokens
        let decoder = NextTokenDecoder(try decoding.state(expected.prompt))
        #expect(try decoding.run(decoder, limit: expected.tokens.count) == expected.tokens)
    }

    @Test(arguments: PublishedCheckpoint.allCases)
    func blocksAreFilledPassByPassAsInTheReference(_ model: PublishedCheckpoint) async throws {
        let decoding = PublishedDecoding(file: try await model.convert(.thirtyTwo))
        for expected in try model.golden().decodings {
            let (tokens, state) = try decoding.blocks(
                expected.prompt, gamma: expected.gamma, limit: expected.limit)
            let passes = try #require(state.trace).blocks.map { block in
                block.passes.map { $0.reveals.map { [Int32($0.position), $0.token] } }
            }
            #expect(passes == expected.blocks, "gamma \(expected.gamma ?? 0)")
            #expect(state.passCount == expected.blocks.reduce(0) { $0 + $1.count })
            let text = expected.blocks.flatMap { $0.flatMap { $0 } }.sorted { $0[0] < $1[0] }
            #expect(tokens == text.map { $0[1] })
        }
    }

    @Test func nemotronDecodesLosslesslyToItsNextTokens() async throws {
        let model = PublishedCheckpoint.nemotron
        let decoding = PublishedDecoding(file: try await model.convert(.thirtyTwo))
        let expected = try model.golden().nextTokens
        let state = try decoding.state(expected.prompt)
        let decoder = try VerifiedDecoder(state, Planner(largest: 8, isFixed: true))
        #expect(try decoding.run(decoder, limit: expected.tokens.count) == expected.tokens)
        #expect(state.passCount <= expected.tokens.count)
    }

    @Test(arguments: PublishedCheckpoint.allCases)
    func eightBitsDecodeInPassesThatAllReveal(_ model: PublishedCheckpoint) async throws {
        let decoding = PublishedDecoding(file: try await model.convert(.eight))
        for expected in try model.golden().decodings {
            let (tokens, state) = try decoding.blocks(
                expected.prompt, gamma: expected.gamma, limit: expected.limit, cache: .int8)
            #expect(tokens.count == expected.limit)
            #expect(state.passCount <= expected.limit + expected.blocks.count)
            let passes = try #require(state.trace).blocks.flatMap(\.passes)
            #expect(passes.allSatisfy { !$0.reveals.isEmpty })
            let mask = try #require(decoding.file.config.blockDecoding).maskToken
            #expect(!tokens.contains(Int32(mask)))
        }
    }
}
