internal import Decoding
internal import Synchronization

/// A token of an answer.
public struct Token: Sendable, Equatable {
    /// Its id in the model's vocabulary.
    public var id: Int
    /// The text that it completes; empty where a character needs further tokens, where the text may be
    /// the beginning of a stop string, and for tokens that end a text.
    public var text: String
    /// The natural logarithm of its probability.
    public var logProbability: Float
}

/// The tokens of an answer, as they are decided. To be read once.
public struct Answer: AsyncSequence, Sendable {
    public typealias Element = Token

    /// Why an answer ended.
    public enum End: Sendable, Equatable {
        /// The model ended it.
        case endOfText
        /// At one of the stop strings.
        case stopString
        /// At as many tokens as were asked for.
        case length
        /// No position of the context was left.
        case context
        /// Nobody read on.
        case cancelled
    }

    private let request: AnswerRequest
    private let stream: AsyncThrowingStream<Token, any Error>

    /// - Parameter begin: Has an engine do what is asked for.
    init(
        maxTokens: Int, stop: [String],
        _ begin: @escaping @Sendable (AnswerRequest) async -> Void
    ) {
        let (stream, output) = AsyncThrowingStream.makeStream(of: Token.self)
        let request = AnswerRequest(maxTokens: maxTokens, stop: stop, output)
        output.onTermination = { if case .cancelled = $0 { request.cancel() } }
        (self.request, self.stream) = (request, stream)
        Task { await begin(request) }
    }

    /// Why it ended; nil as long as it has not.
    public var end: End? { request.end }

    public func makeAsyncIterator() -> Iterator { Iterator(tokens: stream.makeAsyncIterator()) }

    public struct Iterator: AsyncIteratorProtocol {
        var tokens: AsyncThrowingStream<Token, any Error>.AsyncIterator

        /// - Throws: ``ModelError``, or `CancellationError` where the task was cancelled.
        public mutating func next() async throws -> Token? {
            guard let token = try await tokens.next() else {
                try Task.checkCancellation()
                return nil
            }
            return token
        }
    }

    /// Waits for all of it.
    ///
    /// - Throws: As ``Iterator/next()``.
    public func text() async throws -> String {
        var text = ""
        for try await token in self { text += token.text }
        return text
    }
}

/// What an answer is asked for with, and where it goes. Its reader may cancel it from any thread.
final class AnswerRequest: Sendable {
    let maxTokens: Int
    let stop: [String]
    private let output: AsyncThrowingStream<Token, any Error>.Continuation
    private let cancelled = Atomic(false)
    private let reason = Mutex<Answer.End?>(nil)

    init(
        maxTokens: Int, stop: [String],
        _ output: AsyncThrowingStream<Token, any Error>.Continuation
    ) {
        (self.maxTokens, self.stop, self.output) = (max(0, maxTokens), stop, output)
    }

    var isCancelled: Bool { cancelled.load(ordering: .relaxed) }
    func cancel() { cancelled.store(true, ordering: .relaxed) }

    var end: Answer.End? { reason.withLock { $0 } }

    func send(_ token: Token) { output.yield(token) }

    func finish(_ end: Answer.End) {
        reason.withLock { $0 = end }
        output.finish()
    }

    func finish(throwing error: ModelError) { output.finish(throwing: error) }
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
