public import TesseraDecoding
public import TesseraChatTemplates
internal import TesseraTokenization

/// Why a message cannot be answered. The conversation is then as it was before.
public enum ConversationError: Error, CustomStringConvertible {
    case template(TemplateError)
    /// The message does not fit even without earlier ones.
    case tooLong(tokens: Int, context: Int)

    public var description: String {
        switch self {
        case .template(let error): error.description
        case .tooLong(let tokens, let context):
            "the message makes a prompt of \(tokens) tokens, and the context has \(context) "
                + "positions; send a shorter message"
        }
    }
}

/// A conversation, and how much of it fits the context.
///
/// ``TokenDecoder/rest(of:)`` keeps the tokens that earlier questions and answers share with the next prompt
/// in the cache; only the others are computed. So answers equal those of a conversation that is computed
/// anew.
public struct Conversation: Sendable {
    private let format: ChatFormat
    /// Positions of the context.
    private let context: Int
    /// Tokens that end an answer and do not belong to it.
    private let stopTokens: Set<Int32>
    /// Every message, the system message first where there is one.
    public private(set) var turns: [Turn] = []
    /// The oldest message that the model is still given, except the system message.
    private var oldest = 0
    /// How often the conversation has begun anew or an answer has been asked for again: each time
    /// calls for other random numbers.
    public private(set) var restarts = 0

    public init(
        _ format: ChatFormat, context: Int, stopTokens: Set<Int32>, system: String? = nil
    ) {
        self.format = format
        self.context = context
        self.stopTokens = stopTokens
        self.system = system
    }

    /// The system message. A new one holds from the next question on.
    public var system: String? {
        get { hasSystem ? turns[0].message.content : nil }
        set {
            let message = newValue.map { Turn(Message(role: "system", content: $0)) }
            oldest += (message == nil ? 0 : 1) - (hasSystem ? 1 : 0)
            turns.replaceSubrange(0..<(hasSystem ? 1 : 0), with: message.map { [$0] } ?? [])
        }
    }

    private var hasSystem: Bool { turns.first?.message.role == "system" }

    /// Forgets everything except the system message.
    public mutating func reset() {
        turns.removeSubrange((hasSystem ? 1 : 0)...)
        oldest = turns.count
        restarts += 1
    }

    /// Goes on with another conversation.
    ///
    /// - Parameter restarts: How often that conversation has drawn anew, where it continues; nil: keeps the own number.
    public mutating func replace(with turns: [Turn], restarts: Int? = nil) {
        self.turns = turns
        if let restarts { self.restarts = restarts }
        oldest = hasSystem ? 1 : 0
    }

    /// The prompt of a question, and how many earlier questions were left out for it.
    public struct Question: Equatable {
        /// The whole prompt.
        public var ids: [Int32]
        /// Earlier questions that no longer fit, and are left out from now on.
        public var leftOut: Int
    }

    /// Adds a user's message. Where the conversation no longer fits the context, its oldest questions
    /// are left out, with their answers; the system message stays.
    ///
    /// - Parameter limit: Most tokens of the answer. Room for them is made, up to a quarter of the
    ///   context.
    public mutating func ask(
        _ text: String, limit: Int
    ) throws(ConversationError) -> Question {
        let before = oldest
        turns.append(Turn(Message(role: "user", content: text)))
        do {
            let (ids, leftOut) = try fit(limit: limit)
            return Question(ids: ids, leftOut: leftOut)
        } catch {
            turns.removeLast()
            oldest = before
            throw error
        }
    }

    /// Adds the model's answer to the last question. A question without any answer is taken back.
    public mutating func answer(_ text: String, _ tokens: [FixedToken]) {
        guard !tokens.isEmpty else {
            turns.removeLast()
            return
        }
        var ids = tokens.map(\.id)
        if let last = ids.last, stopTokens.contains(last) { ids.removeLast() }
        turns.append(Turn(Message(role: "assistant", content: text), tokens: ids))
    }

    /// Takes back the last question and its answer.
    ///
    /// - Returns: The question; nil if there is none.
    @discardableResult
    public mutating func undo() -> String? {
        guard let index = turns.lastIndex(where: { $0.message.role == "user" }) else { return nil }
        defer {
            turns.removeSubrange(index...)
            oldest = min(oldest, turns.count)
        }
        return turns[index].message.content
    }

    /// Takes back the last question, to be asked again with other random numbers.
    public mutating func retry() -> String? {
        restarts += 1
        return undo()
    }

    /// The prompt for the part of the conversation that fits, and how many questions no longer fit.
    private mutating func fit(
        limit: Int
    ) throws(ConversationError) -> (ids: [Int32], leftOut: Int) {
        let room = min(limit, context / 4)
        var ids = try render()
        var leftOut = 0
        guard ids.count + room > context else { return (ids, 0) }
        // A quarter of the context more than needed is left out: everything is computed anew now, and the next
        // questions should find room.
        while ids.count + room + context / 4 > context, let next = nextQuestion {
            oldest = next
            leftOut += 1
            ids = try render()
        }
        guard ids.count < context else { throw .tooLong(tokens: ids.count, context: context) }
        return (ids, leftOut)
    }

    /// The second oldest question that the model is given.
    private var nextQuestion: Int? {
        turns.indices.dropFirst(oldest + 1).first { turns[$0].message.role == "user" }
    }

    private func render() throws(ConversationError) -> [Int32] {
        do throws(TemplateError) {
            return try format.prompt((hasSystem ? [turns[0]] : []) + turns[oldest...]).ids
        } catch {
            throw .template(error)
        }
    }
}

extension TokenDecoder {
    /// Drops cached tokens that `ids` do not begin with.
    ///
    /// - Returns: The tokens that the decoder still needs: the rest of `ids`, at least one token.
    public func rest(of ids: [Int32]) -> [Int32] {
        Array(ids[state.keep(commonWith: ids, blockSize: commitBlockSize)...])
    }
}
