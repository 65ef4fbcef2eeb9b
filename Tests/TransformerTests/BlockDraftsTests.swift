import TesseraDecoding
import TesseraQuantization
import Testing
import TesseraTransformer
import TesseraWeightFile

/// Texts with drafts of block drafters, whose random weights are hardly ever right.
@Suite struct BlockDraftsTests {
    /// How many tokens of a draft are verified.
    enum Plan: CaseIterable {
        case everything, planned, changing
    }

    private struct Text {
        var tokens: [Int32] = []
        var chances: [Float] = []
        var counts = DraftCounts()
        var drafted = 0
    }

    private func text(
        _ target: WeightFile, _ drafter: WeightFile?, _ plan: Plan = .everything,
        temperature: Float, seed: UInt64
    ) throws -> Text {
        var options = Model.Options()
        (options.contextLength, options.batchCapacity, options.threads) = (96, 16, 1)
        let workspace = try Workspace(Model(target, options: options))
        let loaded = try drafter.map {
            try BlockDrafter($0, nextTo: workspace, options: options)
        }
        let sequence = try TokenSequence(workspace)
        var sampling = SamplingOptions()
        (sampling.temperature, sampling.seed) = (temperature, seed)
        sampling.repeatPenalty = seed % 2 == 0 ? 1.2 : 1
        let vocabulary = target.config.vocabularySize
        let state = DecodingState(
            sequence,
            sampler: Sampler(
                sampling, vocabularySize: vocabulary, forbidden: [319], compute: sequence.compute),
            stopTokens: [])
        let planner = Planner()
        let decoder: any TokenDecoder
        if let loaded {
            decoder = try VerifiedDecoder(
                state, planner,
                source: BlockDrafts(
                    sequence.follow(by: loaded), name: "drafter", vocabularySize: vocabulary,
                    stopTokens: []), largest: 9)
        } else {
            decoder = NextTokenDecoder(state)
        }
        try state.append([5, 17, 200, 31, 8])
        var (text, fixed): (Text, [FixedToken]) = (Text(), [])
        while fixed.count < 60 {
            let offer = try decoder.offer(limit: 60 - fixed.count)
            text.drafted += offer.options.count - 1
            let option =
                switch plan {
                case .everything: offer.options.count - 1
                case .planned: planner.choose(offer, for: sequence)
                case .changing: fixed.count % offer.options.count
                }
            try decoder.consume(sequence.pass(decoder.plan(option)), into: &fixed)
        }
        decoder.finish()
        (text.tokens, text.chances) = (fixed.map(\.id), fixed.map(\.logProbability))
        text.counts = state.draftCounts
        #expect(state.draftCounts.accepted <= state.draftCounts.drafted)
        return text
    }

    @Test(
        "The text is that of single tokens, whatever the drafter's weights are",
        arguments: TinyDrafter.allCases, Plan.allCases)
    func sameText(_ drafter: TinyDrafter, _ plan: Plan) async throws {
        let target = try await drafter.target(bits: .eight)
        let file = try await drafter.open(bits: .eight)
        for (temperature, seed) in [(0, 1), (0, 2), (0.7, 3), (1.2, 4)] as [(Float, UInt64)] {
            let plain = try text(target, nil, temperature: temperature, seed: seed)
            let drafted = try text(target, file, plan, temperature: temperature, seed: seed)
            #expect(drafted.tokens == plain.tokens)
            #expect(drafted.chances == plain.chances)
            #expect(drafted.drafted > 0)
        }
    }

    @Test("Where the text repeats what the drafter says, drafts are accepted")
    func accepted() async throws {
        // Some of a hundred tokens of a random drafter are right by chance, at a high temperature with equal noise.
        let drafter = TinyDrafter.plain
        let (target, file) = (try await drafter.target(), try await drafter.open())
        let counts = try (0..<12).map { seed in
            try text(target, file, temperature: 3, seed: UInt64(seed)).counts
        }
        #expect(counts.reduce(0) { $0 + $1.accepted } > 0)
    }
}
