public import TesseraGrammars
internal import TesseraMachine
public import TesseraTokenization

/// Why a generation ended.
public enum StopReason: String, Sendable {
    /// The model ended its text.
    case endOfText = "end_of_text"
    case stopString = "stop_string"
    /// As many tokens as were asked for.
    case length
    /// No position of the context was left.
    case context
    case cancelled
}

/// What a generation did.
public struct GenerationSummary: Sendable {
    /// Tokens given, those of earlier turns not counted.
    public var promptTokens = 0
    /// Tokens decided, a stop token included.
    public var tokens: [FixedToken] = []
    public var stopReason = StopReason.length
    /// Passes that decided tokens; a long prompt's other passes are not counted.
    public var forwardPasses = 0
    /// From the start, prompt included, to the first decided token.
    public var timeToFirstTokenSeconds = 0.0
    /// From the first decided token to the end.
    public var decodeSeconds = 0.0
    /// Tokens that the first pass decided; they are not in `decodeSeconds`.
    public var firstTokens = 0
    /// Positions of the largest block.
    public var largestBlock = 0
    public var drafts = DraftCounts()

    public init() {}

    public var tokensPerPass: Double {
        forwardPasses > 0 ? Double(tokens.count) / Double(forwardPasses) : 0
    }

    /// Tokens per second of decoding, after the first pass; of everything where there was no second pass.
    public var tokensPerSecond: Double {
        if decodeSeconds > 0, tokens.count > firstTokens {
            return Double(tokens.count - firstTokens) / decodeSeconds
        }
        return timeToFirstTokenSeconds > 0 ? Double(tokens.count) / timeToFirstTokenSeconds : 0
    }
}

/// Lets a decoder run: prompt, tokens, text, and the reasons to end.
public struct Generation {
    let decoder: any TokenDecoder
    let tokenizer: Tokenizer
    /// Most tokens to decide.
    public var limit: Int
    public var stopStrings: [String]
    /// The grammar that the tokens must follow. The generation ends with a token after which nothing can follow.
    public var grammar: TokenGrammar?
    /// Goes on where the context is full: its oldest tokens are then forgotten, except the first few.
    public var slides = false
    /// Special tokens appear in the text as they are spelled.
    public var printsSpecials: Bool
    /// The text is an answer, not a continuation: the space that some tokenizers put in front of every
    /// text is left out.
    public var beginsText: Bool
    /// Called between passes; true ends the generation.
    public var isCancelled: () -> Bool
    /// Called with the number of prompt tokens computed, before each batch of a long prompt except the last.
    public var promptProgress: (_ done: Int, _ total: Int) -> Void
    /// Called for each token, as soon as its prefix is decided, with the text that it completes. Called at
    /// the end without a token, if a cancelled generation still held text back.
    public var output: (FixedToken?, String) -> Void

    public init(
        _ decoder: any TokenDecoder, tokenizer: Tokenizer, limit: Int,
        stopStrings: [String] = [], printsSpecials: Bool = false, beginsText: Bool = false,
        isCancelled: @escaping () -> Bool = { false },
        promptProgress: @escaping (Int, Int) -> Void = { _, _ in },
        output: @escaping (FixedToken?, String) -> Void = { _, _ in }
    ) {
        self.decoder = decoder
        self.tokenizer = tokenizer
        self.limit = limit
        self.stopStrings = stopStrings
        self.printsSpecials = printsSpecials
        self.beginsText = beginsText
        self.isCancelled = isCancelled
        self.promptProgress = promptProgress
        self.output = output
    }

    /// Decodes after `prompt` and whatever the decoder's state holds already.
    ///
    /// - Throws: Before anything is computed, if the context has no room for the prompt and a token.
    public func run(_ prompt: [Int32]) throws(DecodingError) -> GenerationSummary {
        let run = try start(prompt)
        let (model, planner) = (decoder.state.model, decoder.planner)
        while true {
            let start = ContinuousClock.now
            guard let offer = try run.offer() else { break }
            let drafted = ContinuousClock.now
            let option = planner?.choose(offer, for: model) ?? 0
            let before = run.summary.tokens.count
            do throws(DecodingError) {
                try run.consume(model.pass(run.request(option)))
            } catch {
                run.fail()
                throw error
            }
            planner?.passMade(
                [offer], [option], tokens: run.summary.tokens.count - before,
                seconds: (.now - drafted).seconds, drafting: (drafted - start).seconds)
        }
        return run.summary
    }

    /// The same for passes that are made elsewhere.
    public func start(_ prompt: [Int32]) throws(DecodingError) -> GenerationRun {
        try GenerationRun(self, prompt)
    }
}
