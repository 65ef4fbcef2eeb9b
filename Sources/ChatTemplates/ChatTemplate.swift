package import TesseraReporting
public import TesseraTokenization

/// One turn of a conversation.
public struct Message: Equatable, Sendable {
    /// `system`, `user`, `assistant` or `tool`.
    public var role: String
    public var content: String
    /// Further members, such as `tool_calls`: a JSON object as text; empty for none.
    public var further: String

    public init(role: String, content: String, further: String = "") {
        self.role = role
        self.content = content
        self.further = further
    }
}

/// A model's own chat template: the part of Jinja that such templates use, rendered as Hugging Face
/// transformers does, or refused.
///
/// What users wrote is tracked through the template, so that a spelled-out `<|im_end|>` in a message
/// stays text.
public struct ChatTemplate: Sendable {
    private let statements: [Statement]

    public init(parsing source: String) throws(TemplateError) {
        statements = try Parser.parse(source)
    }

    /// Why `source` is of no use, found by rendering a short conversation; nil if it is. A
    /// template that refuses that conversation may accept others.
    public static func problem(of source: String) -> TemplateError? {
        do throws(TemplateError) {
            _ = try ChatTemplate(parsing: source).render(
                [Message(role: "user", content: "Hi")], bosToken: "<s>", eosToken: "</s>")
            return nil
        } catch .refused {
            return nil
        } catch {
            return error
        }
    }

    /// The prompt for a conversation.
    ///
    /// - Parameters:
    ///   - addGenerationPrompt: End with the opening of the assistant's turn.
    ///   - bosToken: How the token is spelled; nil if the model has none.
    ///   - eosToken: Likewise.
    ///   - flags: Further variables, e.g. `enable_thinking`.
    ///   - tools: A list of functions as JSON text; empty for none.
    ///   - isPlain: Whether a text of `tools` or of a message's further members spells no special token; such texts
    ///     count as the template's own, so that they become the tokens that the model knows.
    public func render(
        _ messages: [Message], addGenerationPrompt: Bool = true, bosToken: String? = nil,
        eosToken: String? = nil, flags: [String: Bool] = [:], tools: String = "",
        isPlain: (String) -> Bool = { _ in false }
    ) throws(TemplateError) -> [Segment] {
        func value(_ json: String) throws(TemplateError) -> Value {
            guard let parsed = try? JSONParser.parse(Array(json.utf8)) else {
                throw .failure("tools or calls of them that are no JSON")
            }
            return try Value(parsed, isUserText: !isPlain(json))
        }
        var list: [Value] = []
        for message in messages {
            let content = Value.string(MarkedText(message.content, isUserText: true))
            var members = try Mapping([("role", .text(message.role)), ("content", content)])
            if !message.further.isEmpty, case .dict(let further) = try value(message.further) {
                for (key, value) in zip(further.keys, further.values) {
                    try members.set(key, to: value)
                }
            }
            list.append(.dict(members))
        }
        var variables = flags.mapValues(Value.bool)
        variables["messages"] = try .list(list)
        variables["add_generation_prompt"] = .bool(addGenerationPrompt)
        variables["bos_token"] = bosToken.map(Value.text)
        variables["eos_token"] = eosToken.map(Value.text)
        if !tools.isEmpty { variables["tools"] = try value(tools) }
        return try render(variables)
    }

    /// - Parameter variables: An object; its strings count as written by a user.
    package func render(_ variables: JSONValue) throws(TemplateError) -> [Segment] {
        var values: [String: Value] = [:]
        for member in variables.members ?? [] {
            values[String(decoding: member.name, as: UTF8.self)] = try Value(member.value)
        }
        return try render(values)
    }

    private func render(_ variables: [String: Value]) throws(TemplateError) -> [Segment] {
        var globals: [String: Value] = [:]
        for name in Interpreter.functions { globals[name] = .function(name) }
        // As transformers passes them where nobody gives any.
        globals["tools"] = Value.none
        globals["documents"] = Value.none
        globals.merge(variables) { $1 }
        return try Interpreter.render(statements, globals: globals).segments
    }
}
