package import Reporting
public import Tokenization

/// One turn of a conversation.
public struct Message: Equatable, Sendable {
    /// `system`, `user` or `assistant`.
    public var role: String
    public var content: String

    public init(role: String, content: String) {
        self.role = role
        self.content = content
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

    /// Why `source` is of no use, found by rendering a short conversation; nil where it is. A
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
    ///   - bosToken: How the token is spelled; nil where the model has none.
    ///   - eosToken: Likewise.
    ///   - flags: Further variables, e.g. `enable_thinking`.
    public func render(
        _ messages: [Message], addGenerationPrompt: Bool = true, bosToken: String? = nil,
        eosToken: String? = nil, flags: [String: Bool] = [:]
    ) throws(TemplateError) -> [Segment] {
        var list: [Value] = []
        for message in messages {
            let content = Value.string(MarkedText(message.content, isUserText: true))
            list.append(
                .dict(try Mapping([("role", .text(message.role)), ("content", content)])))
        }
        var variables = flags.mapValues(Value.bool)
        variables["messages"] = try .list(list)
        variables["add_generation_prompt"] = .bool(addGenerationPrompt)
        variables["bos_token"] = bosToken.map(Value.text)
        variables["eos_token"] = eosToken.map(Value.text)
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
