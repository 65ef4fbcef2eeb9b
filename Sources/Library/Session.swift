internal import TesseraChat
internal import TesseraChatTemplates
internal import TesseraDecoding
internal import TesseraReporting
internal import Synchronization

/// A conversation with a model.
///
/// The key/value cache keeps the tokens that earlier questions and answers share with the next prompt, as
/// long as no other session needs the place. So only new tokens are computed. Where the conversation
/// no longer fits the context, its oldest questions are left out; the system message stays.
public final class Session: Sendable {
    public let model: Model
    private let sampling: SamplingOptions
    private let talk: Mutex<Talk>

    private struct Talk {
        var conversation: Conversation
        var isAnswering = false
    }

    /// Begins a conversation.
    ///
    /// - Parameters:
    ///   - model: The model that answers.
    ///   - system: Instructions that precede the conversation; not all models take them.
    ///   - sampling: How tokens are drawn; by default the model's own way.
    /// - Throws: ``ModelError`` where the model has no chat template, or `sampling` is out of range.
    public init(
        _ model: Model, system: String? = nil, sampling: Sampling? = nil
    ) throws(ModelError) {
        self.model = model
        self.sampling = try model.drawing(sampling, chat: true)
        talk = Mutex(
            Talk(
                conversation: Conversation(
                    try model.format(), context: model.contextLength,
                    stopTokens: model.source.stopTokens, system: system)))
    }

    /// Asks a question.
    ///
    /// The answer is computed while its tokens are read, and ahead of the reader. A reader that stops,
    /// or whose task is cancelled, ends it; the answer so far stays in the conversation.
    ///
    /// - Parameters:
    ///   - message: What the user says.
    ///   - maxTokens: Most tokens of the answer.
    ///   - stop: Strings that end the answer; they are not part of it.
    ///   - format: What the answer must be, such as JSON.
    /// - Returns: The answer's tokens. Reading them throws ``ModelError`` where the question does not fit
    ///   the context, the session is answering already, or weights cannot be read.
    public func respond(
        to message: String, maxTokens: Int = 1024, stop: [String] = [],
        format: AnswerFormat = .text
    ) -> Answer {
        let question: Conversation.Question
        let sampling: SamplingOptions
        let grammar: AnswerGrammar?
        do {
            grammar = try format.grammar()
            (question, sampling) = try talk.withLock { talk in
                try Self.checkIdle(talk)
                let question = try talk.conversation.ask(message, limit: maxTokens)
                talk.isAnswering = true
                return (question, self.sampling.forSequence(talk.conversation.restarts))
            }
        } catch {
            return AnswerRequest.failed(ModelError(error))
        }
        return AnswerRequest.answer(
            model.engine, question.ids, sampling, maxTokens: maxTokens, stop: stop, grammar,
            isAnswer: true, leftOut: question.leftOut
        ) { [self] text, tokens in
            talk.withLock {
                $0.conversation.answer(text, tokens)
                $0.isAnswering = false
            }
        }
    }

    /// The conversation so far, the system message first where there is one.
    public var messages: [Message] {
        talk.withLock {
            $0.conversation.turns.map {
                Message(role: $0.message.role, content: $0.message.content)
            }
        }
    }

    /// Takes back the last question and its answer.
    ///
    /// - Returns: The question; nil if there is none.
    /// - Throws: ``ModelError`` while an answer is being computed.
    @discardableResult
    public func undo() throws(ModelError) -> String? {
        try talk.withLock { talk throws(ModelError) in
            try Self.checkIdle(talk)
            // A question that is asked again wants another answer, so other random numbers are drawn from here on.
            return talk.conversation.retry()
        }
    }

    /// Forgets everything except the system message.
    ///
    /// - Throws: ``ModelError`` while an answer is on its way.
    public func reset() throws(ModelError) {
        try talk.withLock { talk throws(ModelError) in
            try Self.checkIdle(talk)
            talk.conversation.reset()
        }
    }

    private static func checkIdle(_ talk: borrowing Talk) throws(ModelError) {
        guard !talk.isAnswering else {
            throw ModelError(.busy, "the session is answering; read its answer to the end first")
        }
    }
}

/// One message of a conversation.
public struct Message: Sendable, Equatable {
    /// "system", "user" or "assistant", or "tool" for what a function gave.
    public var role: String
    public var content: String
    /// Calls of an assistant's message.
    public var toolCalls: [ToolCall]
    /// In the message of a tool: the call that it answers.
    public var toolCallID: String?

    public init(
        role: String, content: String, toolCalls: [ToolCall] = [], toolCallID: String? = nil
    ) {
        (self.role, self.content) = (role, content)
        (self.toolCalls, self.toolCallID) = (toolCalls, toolCallID)
    }

    /// The form in which templates get it.
    var forTemplates: TesseraChatTemplates.Message {
        var members: [(String, JSONOutput)] = []
        if !toolCalls.isEmpty { members.append(("tool_calls", .array(toolCalls.map(\.json)))) }
        if let toolCallID { members.append(("tool_call_id", .string(toolCallID))) }
        return TesseraChatTemplates.Message(
            role: role, content: content,
            further: members.isEmpty ? "" : JSONOutput.object(members).text)
    }
}
