public import TesseraChatTemplates
public import TesseraTokenization
internal import TesseraWeightFile

/// One message of a conversation.
public struct Turn: Equatable, Sendable {
    public var message: Message
    /// The tokens that the model gave for a message of its own; nil for others' messages.
    public var tokens: [Int32]?

    public init(_ message: Message, tokens: [Int32]? = nil) {
        self.message = message
        self.tokens = tokens
    }
}

/// How conversations with a model become tokens: its chat template and its tokenizer.
public struct ChatFormat: Sendable {
    public let tokenizer: Tokenizer
    private let template: ChatTemplate
    /// How calls of functions are written; nil if the template knows none.
    package let tools: ToolFormat?
    private let bosToken: String?
    private let eosToken: String?

    public init(template source: String, tokenizer: Tokenizer) throws(TemplateError) {
        self.tokenizer = tokenizer
        template = try ChatTemplate(parsing: source)
        tools = ToolFormat(template: source)
        let tables = tokenizer.tables
        func spelled(_ id: Int?) -> String? {
            id.map { String(decoding: tokenizer.bytes(of: Int32($0)), as: UTF8.self) }
        }
        bosToken = spelled(tables.namesBOS ? tables.bosToken : nil)
        eosToken = spelled(tables.namesEOS ? tables.eosTokens.first : nil)
    }

    /// The prompt that asks for the next answer; its words are those of the last message of a user.
    ///
    /// - Parameter tools: Functions that the model may call, a list as JSON text; empty for none.
    public func prompt(_ turns: [Turn], tools: String = "") throws(TemplateError) -> Prompt {
        let segments = try template.render(
            turns.map(\.message), bosToken: bosToken, eosToken: eosToken, tools: tools,
            isPlain: {
                tokenizer.encode($0, specials: .parse) == tokenizer.encode($0, specials: .asText)
            })
        var prompt = Prompt(ids: [], words: 0..<0)
        var rest = turns[...]  // not reached by the segments so far
        for segment in segments {
            let begin = prompt.ids.count
            let turn = segment.isUserText ? Self.take(segment.text, from: &rest) : nil
            // The model's own words keep their tokens: encoded again they might become others.
            prompt.ids += turn?.tokens ?? tokenizer.encode([segment])
            if segment.isUserText { prompt.words = begin..<prompt.ids.count }
        }
        return prompt
    }

    /// The first turn with this text, if there is one; it and the turns before it are removed from `turns`.
    private static func take(_ text: String, from turns: inout ArraySlice<Turn>) -> Turn? {
        guard let index = turns.firstIndex(where: { $0.message.content == text }) else {
            return nil
        }
        defer { turns = turns[(index + 1)...] }
        return turns[index]
    }
}
