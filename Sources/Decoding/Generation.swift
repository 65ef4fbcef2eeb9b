internal import System
public import Tokenization

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

    /// Of decoding, behind the first pass; of everything where there was no second.
    public var tokensPerSecond: Double {
        if decodeSeconds > 0, tokens.count > firstTokens {
            return Double(tokens.count - firstTokens) / decodeSeconds
        }
        return timeToFirstTokenSeconds > 0 ? Double(tokens.count) / timeToFirstTokenSeconds : 0
    }
}

/// Lets a decoder run: prompt, tokens, text, and the reasons to end.
public struct Generation {
    private let decoder: any TokenDecoder
    private let tokenizer: Tokenizer
    /// Most tokens to decide.
    public var limit: Int
    public var stopStrings: [String]
    /// Goes on where the context is full: its oldest tokens are then forgotten, except the first few.
    public var slides = false
    /// Special tokens appear in the text as they are spelled.
    public var printsSpecials: Bool
    /// Asked between passes; true ends generation there.
    public var isCancelled: () -> Bool
    /// Hears of prompt tokens computed, before each but the last batch of a long prompt.
    public var promptProgress: (_ done: Int, _ total: Int) -> Void
    /// Hears of each token, as soon as its prefix is decided, with the text that it completes; at
    /// the end without a token, if a cancelled generation still held text back.
    public var output: (FixedToken?, String) -> Void

    public init(
        _ decoder: any TokenDecoder, tokenizer: Tokenizer, limit: Int,
        stopStrings: [String] = [], printsSpecials: Bool = false,
        isCancelled: @escaping () -> Bool = { false },
        promptProgress: @escaping (Int, Int) -> Void = { _, _ in },
        output: @escaping (FixedToken?, String) -> Void = { _, _ in }
    ) {
        self.decoder = decoder
        self.tokenizer = tokenizer
        self.limit = limit
        self.stopStrings = stopStrings
        self.printsSpecials = printsSpecials
        self.isCancelled = isCancelled
        self.promptProgress = promptProgress
        self.output = output
    }

    /// Decodes after `prompt` and whatever the decoder's state holds already.
    ///
    /// - Throws: Before anything is computed, if the context has no room for the prompt and a token.
    public func run(_ prompt: [Int32]) throws(DecodingError) -> GenerationSummary {
        let state = decoder.state
        let needed = prompt.count + min(limit, 1)
        guard slides || needed <= state.room else {
            throw .promptTooLong(
                state.history.count + prompt.count, context: state.model.contextLength)
        }
        try state.append(prompt)
        guard !state.pending.isEmpty else { throw .emptyPrompt }
        let start = ContinuousClock.now
        var summary = GenerationSummary()
        summary.promptTokens = prompt.count
        let passesBefore = state.passCount
        state.draftCounts = DraftCounts()
        defer { decoder.finish() }
        guard try prefill() else {
            summary.stopReason = .cancelled
            return summary
        }
        var stream = TextStream(tokenizer, stopStrings, printsSpecials)
        var first: ContinuousClock.Instant?
        var fixed: [FixedToken] = []
        fixed.reserveCapacity(64)
        summary.tokens.reserveCapacity(min(limit, 1 << 16))
        let most = slides ? limit : min(limit, state.room)
        var reason: StopReason?
        while reason == nil {
            if summary.tokens.count >= most {
                reason = most < limit ? .context : .length
            } else if isCancelled() {
                reason = .cancelled
            }
            guard reason == nil else { break }
            fixed.removeAll(keepingCapacity: true)
            try decoder.step(limit: most - summary.tokens.count, into: &fixed)
            summary.largestBlock = max(summary.largestBlock, decoder.blockSize)
            if first == nil, !fixed.isEmpty {
                first = .now
                summary.firstTokens = fixed.count
            }
            reason = take(fixed, most, &stream, &summary)
        }
        if reason == .cancelled {
            let rest = stream.finish(after: "").text
            if !rest.isEmpty { output(nil, rest) }
        }
        summary.stopReason = reason ?? .length
        summary.forwardPasses = state.passCount - passesBefore
        summary.drafts = state.draftCounts
        let end = ContinuousClock.now
        summary.timeToFirstTokenSeconds = ((first ?? end) - start).seconds
        summary.decodeSeconds = (end - (first ?? end)).seconds
        return summary
    }

    /// Computes all but the last batch of a long prompt; false if cancelled on the way.
    private func prefill() throws(DecodingError) -> Bool {
        let total = decoder.state.pending.count
        repeat {
            promptProgress(total - decoder.state.pending.count, total)
            if isCancelled() { return false }
        } while try decoder.state.prefill(blockSize: decoder.commitBlockSize)
        promptProgress(total - decoder.state.pending.count, total)
        return true
    }

    /// Turns tokens into text; tokens behind a stop string are taken back.
    private func take(
        _ fixed: [FixedToken], _ most: Int, _ stream: inout TextStream,
        _ summary: inout GenerationSummary
    ) -> StopReason? {
        for (index, token) in fixed.enumerated() {
            summary.tokens.append(token)
            let isStop = decoder.state.stopTokens.contains(token.id)
            var (text, isStopped) = stream.append(token.id)
            let isLast = isStop || (index == fixed.count - 1 && summary.tokens.count == most)
            if isLast && !isStopped { (text, isStopped) = stream.finish(after: text) }
            output(token, text)
            if isStopped && !isStop {
                decoder.finish()
                decoder.state.drop(last: fixed.count - 1 - index)
                return .stopString
            }
            if isStop { return .endOfText }
        }
        return nil
    }
}

/// Ids to text: whole characters, without stop strings.
private struct TextStream {
    private var decoder: StreamDecoder
    private var stops: StopStrings

    init(_ tokenizer: Tokenizer, _ stopStrings: [String], _ printsSpecials: Bool) {
        decoder = StreamDecoder(tokenizer, printsSpecials: printsSpecials)
        stops = StopStrings(stopStrings)
    }

    mutating func append(_ id: Int32) -> (text: String, isStopped: Bool) {
        stops.append(decoder.append(id))
    }

    /// All that was held back, behind `text`.
    mutating func finish(after text: String) -> (text: String, isStopped: Bool) {
        let rest = stops.append(decoder.finish())
        return (text + rest.text + (rest.isStopped ? "" : stops.finish()), rest.isStopped)
    }
}
