/// A conversation with a model.
///
/// What earlier questions and answers have in common with the next prompt stays in the key/value cache, so
/// that only what is new is computed. Where the conversation no longer fits the context, its oldest
/// questions are left out; the system message stays.
public final class Session: Sendable {
    public let model: Model
    private let id: Int

    /// Begins a conversation. It takes memory for its cache until it is released.
    ///
    /// - Parameters:
    ///   - system: Instructions that precede the conversation; not all models take them.
    ///   - sampling: How tokens are drawn; by default the model's own way.
    /// - Throws: ``ModelError`` where the model has no chat template, or where memory has no room for
    ///   another session.
    public init(
        _ model: Model, system: String? = nil, sampling: Sampling? = nil
    ) async throws(ModelError) {
        self.model = model
        id = try await model.engine.begin(system: system, sampling)
    }

    deinit {
        let (engine, id) = (model.engine, id)
        Task { await engine.end(id) }
    }

    /// Asks a question.
    ///
    /// The answer is computed while its tokens are read, and ahead of the reader. Whoever stops reading,
    /// or whose task is cancelled, ends it; what was answered so far stays in the conversation.
    ///
    /// - Parameters:
    ///   - maxTokens: Most tokens of the answer.
    ///   - stop: Strings that end the answer; they are not part of it.
    /// - Returns: The answer's tokens. Reading them throws ``ModelError`` where the question does not fit
    ///   the context, the session is answering already, or weights cannot be read.
    public func respond(
        to message: String, maxTokens: Int = 1024, stop: [String] = []
    ) -> Answer {
        // The session lives as long as its answer is on its way.
        Answer(maxTokens: maxTokens, stop: stop) {
            await self.model.engine.respond(self.id, to: message, $0)
        }
    }

    /// The conversation so far, the system message first where there is one.
    public var messages: [Message] {
        get async { await model.engine.messages(id) }
    }

    /// Takes back the last question and its answer.
    ///
    /// - Returns: The question; nil where there is none.
    /// - Throws: ``ModelError`` while an answer is on its way.
    @discardableResult
    public func undo() async throws(ModelError) -> String? {
        try await model.engine.undo(id)
    }

    /// Forgets everything except the system message.
    ///
    /// - Throws: ``ModelError`` while an answer is on its way.
    public func reset() async throws(ModelError) {
        try await model.engine.reset(id)
    }
}

/// One message of a conversation.
public struct Message: Sendable, Equatable {
    /// "system", "user" or "assistant".
    public var role: String
    public var content: String

    public init(role: String, content: String) {
        self.role = role
        self.content = content
    }
}
