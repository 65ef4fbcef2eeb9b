internal import TesseraDecoding
internal import Synchronization

/// The request for an answer, and the stream for its tokens. Its reader may cancel it from any thread.
final class AnswerRequest: Sendable {
    let prompt: [Int32]
    let sampling: SamplingOptions
    let maxTokens: Int
    let stop: [String]
    /// Nil where the text may be anything.
    let grammar: AnswerGrammar?
    /// Whether the text answers a message; else it continues one.
    let isAnswer: Bool
    /// Called once, with the text and the tokens that there are in the end.
    private let finished: @Sendable (String, [FixedToken]) -> Void
    private let output: AsyncThrowingStream<Token, any Error>.Continuation
    private let cancelled = Atomic(false)
    private let result = Mutex<Result<Answer.Summary, ModelError>?>(nil)

    /// - Parameter finished: Called once, with the text and the tokens that there are in the end.
    private init(
        _ prompt: [Int32], _ sampling: SamplingOptions, maxTokens: Int, stop: [String],
        _ grammar: AnswerGrammar?, isAnswer: Bool,
        _ output: AsyncThrowingStream<Token, any Error>.Continuation,
        finished: @escaping @Sendable (String, [FixedToken]) -> Void
    ) {
        (self.prompt, self.sampling, self.maxTokens) = (prompt, sampling, max(0, maxTokens))
        (self.stop, self.isAnswer, self.output) = (stop, isAnswer, output)
        self.grammar = grammar
        self.finished = finished
    }

    /// Asks an engine for an answer.
    static func answer(
        _ engine: Engine, _ prompt: [Int32], _ sampling: SamplingOptions, maxTokens: Int,
        stop: [String], _ grammar: AnswerGrammar?, isAnswer: Bool,
        leftOut: Int = 0,
        finished: @escaping @Sendable (String, [FixedToken]) -> Void = { _, _ in }
    ) -> Answer {
        let (stream, output) = AsyncThrowingStream.makeStream(of: Token.self)
        let request = AnswerRequest(
            prompt, sampling, maxTokens: maxTokens, stop: stop, grammar,
            isAnswer: isAnswer, output, finished: finished)
        output.onTermination = { if case .cancelled = $0 { request.cancel() } }
        Task { await engine.answer(request) }
        return Answer(request, stream, leftOut: leftOut)
    }

    /// An answer that fails at once.
    static func failed(_ error: ModelError) -> Answer {
        let (stream, output) = AsyncThrowingStream.makeStream(of: Token.self)
        let request = AnswerRequest(
            [], SamplingOptions(), maxTokens: 0, stop: [], nil, isAnswer: false, output,
            finished: { _, _ in })
        request.finish(throwing: error)
        return Answer(request, stream)
    }

    var isCancelled: Bool { cancelled.load(ordering: .relaxed) }
    func cancel() { cancelled.store(true, ordering: .relaxed) }

    var summary: Answer.Summary? { result.withLock { try? $0?.get() } }

    var failure: ModelError? {
        result.withLock {
            guard case .failure(let error) = $0 else { return nil }
            return error
        }
    }

    func send(_ token: Token) { output.yield(token) }

    /// Ends an answer that has begun.
    func finish(
        _ text: String, _ summary: GenerationSummary, cached: Int, failure: ModelError? = nil
    ) {
        finished(text, summary.tokens)
        if let failure { return fail(failure) }
        var result = Answer.Summary(end: Answer.End(summary.stopReason))
        (result.promptTokens, result.cachedTokens) = (summary.promptTokens, cached)
        (result.tokens, result.passes) = (summary.tokens.count, summary.forwardPasses)
        result.draftedTokens = summary.drafts.drafted
        result.acceptedTokens = summary.drafts.accepted
        let whole = result
        self.result.withLock { $0 = .success(whole) }
        output.finish()
    }

    /// Ends an answer that has not begun.
    func finish(_ end: Answer.End) {
        finished("", [])
        result.withLock { $0 = .success(Answer.Summary(end: end)) }
        output.finish()
    }

    func finish(throwing error: ModelError) {
        finished("", [])
        fail(error)
    }

    private func fail(_ error: ModelError) {
        result.withLock { $0 = .failure(error) }
        output.finish(throwing: error)
    }
}

extension Answer.End {
    init(_ reason: StopReason) {
        self =
            switch reason {
            case .endOfText: .endOfText
            case .stopString: .stopString
            case .length: .length
            case .context: .context
            case .cancelled: .cancelled
            }
    }
}
