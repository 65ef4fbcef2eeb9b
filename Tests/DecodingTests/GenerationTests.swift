import TesseraDecoding
import Testing
import TesseraTokenization
import TesseraWeightFile

@Suite struct GenerationTests {
    /// Tokens 0..<26 are letters, 26 two bytes of a character each in 26 and 27, 30 ends, 31 masks.
    private static func tokenizer() throws -> Tokenizer {
        var tokens = (0..<26).map { [UInt8(ascii: "a") + UInt8($0)] }
        tokens += [[0xc3], [0xa9], [UInt8(ascii: " ")], Array("ab".utf8), Array("<end>".utf8)]
        tokens.append(Array("<mask>".utf8))
        var kinds = [TokenizerTables.TokenKind](repeating: .normal, count: 30)
        kinds += [.special, .special]
        return try Tokenizer(TokenizerTables(tokens: tokens, kinds: kinds))
    }

    /// SentencePiece puts a space in front of every text: an answer is shown without it, a continuation
    /// with it.
    @Test(arguments: [true, false])
    func onlyAnswersLoseTheSpaceOfTheTokenizer(isAnswer: Bool) throws {
        var tables = try Self.tokenizer().tables
        tables.preTokenizer = .sentencePiece
        tables.spacePrefix = .section
        let model = try Self.model(ids(" so  it"))
        let sampler = Sampler(
            SamplingOptions(), vocabularySize: 32, forbidden: [31], compute: model.compute)
        let state = DecodingState(model, sampler: sampler, stopTokens: [30])
        var text = ""
        let generation = Generation(
            NextTokenDecoder(state), tokenizer: try Tokenizer(tables), limit: 20,
            beginsText: isAnswer, output: { text += $1 })
        _ = try generation.run([5])
        #expect(text == (isAnswer ? "so  it" : " so  it"))
    }

    /// A model that says `text` after a prompt of one token, then ends.
    private static func model(_ text: [Int32]) throws -> ScriptedModel {
        let model = try ScriptedModel()
        for (index, token) in (text + [30]).enumerated() {
            model.script[1 + index] = (0..<32).map { $0 == token ? 30 : 0 }
        }
        return model
    }

    private struct Result {
        var text = ""
        var pieces: [String] = []
        var summary: GenerationSummary
        var state: DecodingState
    }

    private static func run(
        _ text: [Int32], size: Int = 1, limit: Int = 100, stop: [String] = [],
        cancelAfter: Int = .max
    ) throws -> Result {
        let model = try model(text)
        let sampler = Sampler(
            SamplingOptions(), vocabularySize: 32, forbidden: [31], compute: model.compute)
        let state = DecodingState(model, sampler: sampler, stopTokens: [30])
        let decoder = try SetBlockDecoder(
            state, rule: .entropyBound(gamma: 0.1, .entropy), Planner(largest: size, isFixed: true))
        var pieces: [String] = []
        var asked = 0
        let generation = Generation(
            decoder, tokenizer: try tokenizer(), limit: limit, stopStrings: stop,
            isCancelled: {
                asked += 1
                return asked > cancelAfter
            }, output: { _, piece in pieces.append(piece) })
        let summary = try generation.run([5])
        return Result(text: pieces.joined(), pieces: pieces, summary: summary, state: state)
    }

    private func ids(_ text: String) -> [Int32] {
        text.utf8.map { $0 == UInt8(ascii: " ") ? 28 : Int32($0) - 97 }
    }

    @Test(arguments: [1, 4, 16])
    func textEndsAtTheStopToken(size: Int) throws {
        let result = try Self.run(ids("hello world"), size: size)
        #expect(result.text == "hello world")
        #expect(result.summary.stopReason == .endOfText)
        #expect(result.summary.tokens.ids == ids("hello world") + [30])
        #expect(result.summary.promptTokens == 1)
        #expect(result.state.history == [5] + ids("hello world") + [30])
        // Certain tokens: each block takes one pass.
        #expect(result.summary.forwardPasses == (12 + size - 1) / size)
    }

    @Test(arguments: [1, 4, 16])
    func stopStringsEndTheTextBeforeThem(size: Int) throws {
        let result = try Self.run(ids("one two three"), size: size, stop: ["zzz", "wo th"])
        #expect(result.text == "one t")
        #expect(result.summary.stopReason == .stopString)
        // The tokens up to the one that completed the stop string are kept, the rest is forgotten.
        #expect(result.summary.tokens.ids == ids("one two th"))
        #expect(result.state.history == [5] + ids("one two th"))
        #expect(result.state.model.position + result.state.pending.count == 11)
    }

    @Test func whatMightBecomeAStopStringIsHeldBackUntilItCannot() throws {
        let result = try Self.run(ids("abcabd"), stop: ["abcx", "zz"])
        #expect(result.pieces == ["", "", "", "abc", "", "abd", ""])
        let end = try Self.run(ids("xyza"), stop: ["zab"])
        #expect(end.text == "xyza")
        let cut = try Self.run(ids("xyza"), limit: 3, stop: ["zab"])
        #expect(cut.text == "xyz")
        #expect(cut.summary.stopReason == .length)
    }

    @Test func charactersAppearWhole() throws {
        let result = try Self.run([0, 26, 27, 1])
        #expect(result.pieces == ["a", "", "é", "b", ""])
    }

    @Test func cancellingShowsWhatWasHeldBackAndKeepsTheState() throws {
        // Asked before each pass.
        let result = try Self.run(ids("abcdef"), stop: ["cx"], cancelAfter: 3)
        #expect(result.summary.stopReason == .cancelled)
        #expect(result.text == "abc")
        #expect(result.state.history == [5] + ids("abc"))
    }

    @Test func theLimitCountsTokens() throws {
        for limit in [0, 1, 3] {
            let result = try Self.run(ids("hello world"), size: 4, limit: limit)
            #expect(result.summary.tokens.count == limit)
            #expect(result.summary.stopReason == .length)
        }
    }

    @Test func impossiblePromptsAreErrors() throws {
        let model = try ScriptedModel()
        let sampler = Sampler(
            SamplingOptions(), vocabularySize: 32, forbidden: [], compute: model.compute)
        let state = DecodingState(model, sampler: sampler, stopTokens: [])
        let generation = Generation(
            NextTokenDecoder(state), tokenizer: try Self.tokenizer(), limit: 1)
        #expect(throws: DecodingError.emptyPrompt) { try generation.run([]) }
        #expect(throws: DecodingError.badToken(32, vocabularySize: 32)) {
            try generation.run([1, 32])
        }
    }

    @Test func longPromptsAreCommittedInBatches() throws {
        let model = try ScriptedModel()
        let sampler = Sampler(
            SamplingOptions(), vocabularySize: 32, forbidden: [31], compute: model.compute)
        let state = DecodingState(model, sampler: sampler, stopTokens: [])
        var heard: [Int] = []
        let generation = Generation(
            NextTokenDecoder(state), tokenizer: try Self.tokenizer(), limit: 2,
            promptProgress: { done, _ in heard.append(done) })
        let prompt = (0..<300).map { Int32($0 % 30) }
        let summary = try generation.run(prompt)
        #expect(heard == [0, 128, 256])
        #expect(summary.forwardPasses == 2)
        #expect(model.passes.map(\.committed.count) == [128, 128, 44, 1])
        #expect(model.cache == prompt + summary.tokens.ids.dropLast())
    }

    private static func generation(
        _ model: ScriptedModel, limit: Int
    ) throws -> Generation {
        let sampler = Sampler(
            SamplingOptions(), vocabularySize: 32, forbidden: [31], compute: model.compute)
        let state = DecodingState(model, sampler: sampler, stopTokens: [])
        return Generation(
            try VerifiedDecoder(state, Planner(largest: 4, isFixed: true)),
            tokenizer: try tokenizer(),
            limit: limit)
    }

    @Test func aPromptThatDoesNotFitIsRefusedBeforeAnythingIsComputed() throws {
        let model = try ScriptedModel()
        model.contextLength = 10
        let generation = try Self.generation(model, limit: 5)
        #expect(throws: DecodingError.promptTooLong(10, context: 10)) {
            try generation.run(Array(repeating: 1, count: 10))
        }
        #expect(model.passes.isEmpty)
        #expect(try generation.run([1, 2, 3, 4]).tokens.count == 5)
        #expect(throws: DecodingError.promptTooLong(11, context: 10)) {
            try generation.run([5, 6])
        }
    }

    @Test func aFullContextEndsTheText() throws {
        let model = try ScriptedModel()
        model.contextLength = 10
        let summary = try Self.generation(model, limit: 20).run([1, 2, 3])
        #expect(summary.stopReason == .context && summary.tokens.count == 7)
        let exact = try ScriptedModel()
        exact.contextLength = 10
        #expect(try Self.generation(exact, limit: 7).run([1, 2, 3]).stopReason == .length)
    }

    @Test func aContextSlidesWhenAskedTo() throws {
        let model = try ScriptedModel()
        model.contextLength = 10
        var generation = try Self.generation(model, limit: 20)
        generation.slides = true
        let summary = try generation.run([1, 2, 3])
        #expect(summary.stopReason == .length && summary.tokens.count == 20)
    }

    @Test func theBeginningIsKeptAsFarAsTheCacheGoesBack() throws {
        let model = try ScriptedModel()
        let sampler = Sampler(
            SamplingOptions(), vocabularySize: 32, forbidden: [31], compute: model.compute)
        let state = DecodingState(model, sampler: sampler, stopTokens: [])
        let tokens = (0..<300).map { Int32($0 % 30) }
        let decoder = NextTokenDecoder(state)
        let generation = Generation(decoder, tokenizer: try Self.tokenizer(), limit: 1)
        _ = try generation.run(tokens)
        try state.append(Array(tokens[..<9]))
        #expect(model.position == 300 && state.history.count == 310)
        #expect(state.keep(first: 400) == 310)
        // The last tokens have not been committed: taking them back cuts no block.
        #expect(state.keep(first: 303, blockSize: 8) == 303)
        #expect(state.keep(first: 255, blockSize: 8) == 248 && model.position == 248)
        #expect(state.history == Array(tokens[..<248]))
        #expect(state.keep(commonWith: Array(tokens[..<248])) == 247)
        #expect(state.keep(commonWith: Array(tokens[..<240]) + [31, 31]) == 240)
        model.held = 100
        #expect(state.keep(first: 200) == 200)
        #expect(state.keep(first: 99) == 0 && state.history.isEmpty && model.position == 0)
    }
}
