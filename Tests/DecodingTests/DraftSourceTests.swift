import TesseraDecoding
import Testing

/// A source whose drafts a test makes.
private final class TestSource: DraftSource {
    let name = "test"
    let make: (_ text: [Int32], _ most: Int, inout Draft) -> Void
    /// Text and unchanged tokens of each call.
    private(set) var calls: [(text: [Int32], unchanged: Int)] = []

    init(_ make: @escaping (_ text: [Int32], _ most: Int, inout Draft) -> Void) {
        self.make = make
    }

    func draft(_ request: DraftRequest, into draft: inout Draft) {
        calls.append((request.text, request.unchanged))
        make(request.text, request.most, &draft)
    }
}

@Suite struct DraftSourceTests {
    /// Sources that know everything, nothing, or less, and ones that offer too much.
    private enum Kind: CaseIterable {
        case oracle, oftenRight, random, wrong, empty, tooLong, noNumbers, lookup, sameAgain
        case sameModel, otherModel, similarModel, combined
    }

    private static func source(
        _ kind: Kind, truth: [Int32], seed: UInt64, stop: Set<Int32>
    ) throws -> any DraftSource {
        func model(_ seed: UInt64, noise: Float = 3) throws -> ModelDrafts {
            let model = try ScriptedModel(maskToken: nil, seed: seed)
            model.noise = noise
            return ModelDrafts(model, name: "small", stopTokens: stop)
        }
        var random = SplitMix(seed: seed)
        func at(_ text: [Int32], _ offset: Int) -> Int32 {
            let place = text.count + offset
            return place < truth.count ? truth[place] : 0
        }
        return switch kind {
        case .lookup: LookupSource(corpus: LookupCorpus((0..<60).map { $0 * $0 % 31 }))
        case .sameModel: try model(seed)
        case .otherModel: try model(seed + 1)
        case .combined: CombinedDrafts(LookupSource(), try model(seed, noise: 2))
        case .similarModel: try model(seed, noise: 2)
        case .empty: TestSource { _, _, _ in }
        case .oracle:
            TestSource { text, most, draft in
                for offset in 0..<most { draft.append(at(text, offset), 1) }
            }
        case .oftenRight:
            TestSource { text, most, draft in
                for offset in 0..<most {
                    let isRight = random.unit() < 0.75
                    draft.append(isRight ? at(text, offset) : 5, 0.7)
                }
            }
        case .random:
            TestSource { _, most, draft in
                for _ in 0..<Int(random.unit() * Double(most + 1)) {
                    draft.append(Int32(random.unit() * 32), Float(random.unit()))
                }
            }
        case .wrong:
            TestSource { text, most, draft in
                for offset in 0..<most { draft.append((at(text, offset) + 1) % 32, 1) }
            }
        case .tooLong:
            TestSource { text, most, draft in
                for offset in 0..<most + 100 { draft.append(at(text, offset), 1) }
            }
        case .noNumbers:
            TestSource { text, most, draft in
                let chances: [Float] = [.nan, -1, 7, .infinity, 0, 1]
                for offset in 0..<most {
                    draft.append(at(text, offset), chances[(text.count + offset) % 6])
                }
            }
        case .sameAgain:
            TestSource { text, most, draft in
                for _ in 0..<most { draft.append(text.last ?? 0, 0.9) }
            }
        }
    }

    private static func decode(
        _ model: ScriptedModel, _ source: any DraftSource, _ plan: Plan, limit: Int,
        options: SamplingOptions, stop: Set<Int32> = []
    ) throws -> (tokens: [FixedToken], state: DecodingState) {
        let sampler = Sampler(
            options, vocabularySize: model.vocabularySize, forbidden: [31],
            compute: model.compute)
        let state = DecodingState(model, sampler: sampler, stopTokens: stop)
        let decoder = try VerifiedDecoder(state, Planner(), source: source, largest: 9)
        try state.append([1, 2, 3])
        var tokens: [FixedToken] = []
        while tokens.count < limit, !(tokens.last.map { stop.contains($0.id) } ?? false) {
            let before = tokens.count
            try decoder.step(limit: limit - tokens.count, into: &tokens, plan)
            #expect(tokens.count > before && tokens.count <= limit)
        }
        decoder.finish()
        return (tokens, state)
    }

    @Test(arguments: Kind.allCases, [0, 0.7, 1.4] as [Float])
    private func theTextIsThatOfSingleTokensWhateverIsOffered(
        kind: Kind, temperature: Float
    ) throws {
        for seed in 1...6 as ClosedRange<UInt64> {
            var options = sampling(temperature: temperature, seed: seed)
            options.repeatPenalty = seed % 2 == 0 ? 1.3 : 1
            options.topK = seed % 3 == 0 ? 5 : 0
            let stop: Set<Int32> = seed % 4 == 0 ? [3, 4, 5] : []
            func model() throws -> ScriptedModel { try ScriptedModel(maskToken: nil, seed: seed) }
            func plain(_ limit: Int) throws -> [FixedToken] {
                try Self.decode(
                    model(), TestSource { _, _, _ in }, .everything, limit: limit,
                    options: options, stop: stop
                ).tokens
            }
            let truth = [1, 2, 3] + (try plain(80)).ids
            for plan in [Plan.everything, .planned, .random(seed)] {
                let (model, source) = (
                    try model(), try Self.source(kind, truth: truth, seed: seed, stop: stop)
                )
                let (tokens, state) = try Self.decode(
                    model, source, plan, limit: 50, options: options, stop: stop)
                let single = try plain(50)
                #expect(tokens.ids == single.ids, "seed \(seed)")
                #expect(tokens.map(\.logProbability) == single.map(\.logProbability))
                #expect(model.cache + state.pending == [1, 2, 3] + tokens.ids)
                #expect(state.draftCounts.accepted <= state.draftCounts.drafted)
                let fromDrafts = tokens.count - state.passCount
                #expect((0...1).contains(state.draftCounts.accepted - fromDrafts))
                if kind == .oracle, plan == .everything {
                    #expect(state.passCount <= (tokens.count + 8) / 9)
                }
                if kind == .sameModel {
                    #expect(state.draftCounts.accepted == state.draftCounts.drafted)
                    if plan == .everything { #expect(state.draftCounts.drafted > 0) }
                }
                if kind == .wrong { #expect(state.draftCounts.accepted == 0) }
            }
        }
    }

    @Test func plainTextIsThatOfTheDecoderOfSingleTokens() throws {
        for seed in 1...6 as ClosedRange<UInt64> {
            let options = sampling(temperature: 0.8, seed: seed)
            let (single, _) = try DecodingTests.decode(
                try ScriptedModel(seed: seed), .next, limit: 50, options: options)
            let (tokens, _) = try Self.decode(
                try ScriptedModel(seed: seed), LookupSource(), .planned, limit: 50,
                options: options)
            #expect(tokens.ids == single.ids)
            #expect(tokens.map(\.logProbability) == single.map(\.logProbability))
        }
    }

    @Test(arguments: [-1, 32, 1 << 20] as [Int32])
    func aTokenOutsideTheVocabularyIsAnError(_ token: Int32) throws {
        let source = TestSource { _, _, draft in
            draft.append(1, 1)
            draft.append(token, 1)
        }
        #expect(throws: DecodingError.badDraft(token, source: "test", vocabularySize: 32)) {
            _ = try Self.decode(
                try ScriptedModel(maskToken: nil), source, .planned, limit: 9,
                options: sampling())
        }
    }

    @Test func aSourceIsToldOfTextThatWasTakenBack() throws {
        let model = try ScriptedModel(maskToken: nil)
        let sampler = Sampler(
            sampling(), vocabularySize: 32, forbidden: [], compute: model.compute)
        let state = DecodingState(model, sampler: sampler, stopTokens: [])
        let source = TestSource { _, _, _ in }
        let decoder = try VerifiedDecoder(
            state, Planner(), source: source, largest: 4)
        var tokens: [FixedToken] = []
        try state.append([1, 2, 3])
        try decoder.step(limit: 9, into: &tokens, .everything)
        try decoder.step(limit: 9, into: &tokens, .everything)
        state.drop(last: 2)
        try state.append([7, 8])
        try decoder.step(limit: 9, into: &tokens, .everything)
        state.reset()
        try state.append([4])
        try decoder.step(limit: 9, into: &tokens, .everything)
        let ids = tokens.ids
        #expect(
            source.calls.map(\.text)
                == [[1, 2, 3], [1, 2, 3, ids[0]], [1, 2, 3, 7, 8], [4]])
        #expect(source.calls.map(\.unchanged) == [0, 3, 3, 0])
    }

    /// A drafter follows texts that are cut, continue differently or begin anew, and never gets out of step.
    @Test func aDraftingModelFollowsTheText() throws {
        let model = try ScriptedModel(maskToken: nil, seed: 5)
        let small = try ScriptedModel(maskToken: nil, seed: 5)
        let sampler = Sampler(
            sampling(), vocabularySize: 32, forbidden: [31], compute: model.compute)
        let state = DecodingState(model, sampler: sampler, stopTokens: [])
        let decoder = try VerifiedDecoder(
            state, Planner(),
            source: ModelDrafts(small, name: "small", stopTokens: []), largest: 6)
        var random = SplitMix(seed: 2)
        for round in 0..<60 {
            switch round % 6 {
            case 2: state.drop(last: min(state.history.count, Int(random.unit() * 9)))
            case 4: state.reset()
            case 5: small.held = 3  // has lost the position that it would go back to
            default: small.held = .max
            }
            try state.append([Int32(random.unit() * 30), Int32(random.unit() * 30)])
            var tokens: [FixedToken] = []
            for _ in 0..<3 { try decoder.step(limit: 50, into: &tokens, .everything) }
            #expect(state.draftCounts.accepted == state.draftCounts.drafted)
        }
        #expect(state.draftCounts.drafted > 0)
    }

    /// Where a looked-up draft promises enough, the model makes none; elsewhere the model drafts.
    @Test func theTextIsAskedBeforeTheModel() throws {
        let small = try ScriptedModel(maskToken: nil, seed: 5)
        let sampler = Sampler(
            SamplingOptions(), vocabularySize: 32, forbidden: [], compute: small.compute)
        let source = CombinedDrafts(
            LookupSource(), ModelDrafts(small, name: "small", stopTokens: []))
        func draft(_ text: [Int32], unchanged: Int) throws -> Draft {
            var draft = Draft()
            let request = DraftRequest(
                text: text, unchanged: unchanged, most: 8, sampler: sampler)
            try source.draft(request, into: &draft)
            return draft
        }
        #expect(source.name == "small")
        #expect(try draft([1, 2, 3], unchanged: 0).count > 0)
        let passes = small.passes.count
        #expect(passes > 0)
        let copy = Array(repeating: [7, 8, 9] as [Int32], count: 30).flatMap(\.self)
        #expect(try draft([1, 2, 3] + copy, unchanged: 3).tokens.prefix(3) == [7, 8, 9])
        #expect(small.passes.count == passes)
    }

    @Test func aPassNeedsRoomForItsLogits() throws {
        let state = DecodingState(
            try ScriptedModel(maskToken: nil),
            sampler: Sampler(
                sampling(), vocabularySize: 32, forbidden: [],
                compute: try ScriptedModel().compute), stopTokens: [])
        #expect(throws: DecodingError.capacity(needed: 129, available: 128)) {
            _ = try VerifiedDecoder(
                state, Planner(), source: LookupSource(), largest: 129)
        }
    }
}

/// A sampler for requests to sources that do not draw.
func anySampler() -> Sampler {
    guard let model = try? ScriptedModel(maskToken: nil) else { fatalError("no scalar kernels") }
    return Sampler(SamplingOptions(), vocabularySize: 32, forbidden: [], compute: model.compute)
}
