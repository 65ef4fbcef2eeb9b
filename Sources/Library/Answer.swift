/// A token of an answer.
public struct Token: Sendable, Equatable {
    /// Its id in the model's vocabulary.
    public var id: Int
    /// The text that it completes; empty where a character needs further tokens, where the text may be
    /// the beginning of a stop string, and for tokens that end a text.
    public var text: String
    /// The natural logarithm of its probability.
    public var logProbability: Float
    /// The pass of the answer that decided it, counted from 1. A pass decides one token or several.
    public var pass: Int
}

/// The tokens of an answer, as they are decided. Can be read once.
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
        /// The reader stopped, or its task was cancelled.
        case cancelled
    }

    /// Counts and times of an answer.
    public struct Summary: Sendable, Equatable {
        public var end: End
        /// Tokens of the prompt.
        public var promptTokens = 0
        /// Prompt tokens that a cache held already.
        public var cachedTokens = 0
        /// Tokens of the answer.
        public var tokens = 0
        /// Forward passes that gave them.
        public var passes = 0
        /// Draft tokens that passes verified, and how many of them were right.
        public var draftedTokens = 0
        public var acceptedTokens = 0
    }

    /// Earlier questions of the session that no longer fitted the context, and are left out from now on.
    public let leftOut: Int
    private let request: AnswerRequest
    private let stream: AsyncThrowingStream<Token, any Error>

    init(
        _ request: AnswerRequest, _ stream: AsyncThrowingStream<Token, any Error>, leftOut: Int = 0
    ) {
        (self.request, self.stream, self.leftOut) = (request, stream, leftOut)
    }

    /// What it took; nil as long as it has not ended, and where it failed.
    public var summary: Summary? { request.summary }

    /// Why it failed; nil if it has not failed. An error of the prompt is known at once.
    public var failure: ModelError? { request.failure }

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

    /// Waits for the whole answer and returns its text.
    ///
    /// - Throws: As ``Iterator/next()``.
    public func text() async throws -> String {
        var text = ""
        for try await token in self { text += token.text }
        return text
    }
}
