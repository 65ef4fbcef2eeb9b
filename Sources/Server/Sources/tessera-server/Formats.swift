import HTTPTypes
import Tessera

extension AnswerFormat {
    /// `response_format`: what an answer is to be. Next to OpenAI's types there is `grammar`, in GBNF.
    init(asked: OrderedJSON?) throws {
        func refusal(_ reason: String) -> Refusal {
            Refusal(.badRequest, "'response_format' \(reason)", "response_format")
        }
        guard let asked else {
            self = .text
            return
        }
        switch asked["type"]?.string ?? "text" {
        case "text": self = .text
        case "json_object": self = .json
        case "json_schema":
            guard let schema = asked["json_schema"]?["schema"] else {
                throw refusal("lacks 'json_schema' with its 'schema'")
            }
            self = .schema(schema.text)
        case "grammar":
            guard let grammar = asked["grammar"]?.string else {
                throw refusal("lacks its 'grammar'")
            }
            self = .grammar(grammar)
        case let type: throw refusal("of type '\(type)' is not supported")
        }
    }
}

extension Tools {
    /// `tools` and `tool_choice`; nil if none is to be called.
    init?(asked: OrderedJSON) throws {
        guard let tools = asked["tools"], tools.elements?.isEmpty != true else { return nil }
        let choice: Choice
        switch asked["tool_choice"].map({ $0.string ?? $0["type"]?.string ?? "?" }) ?? "auto" {
        case "none": return nil
        case "auto": choice = .auto
        case "required": choice = .required
        case "function":
            guard let name = asked["tool_choice"]?["function"]?["name"]?.string else { fallthrough }
            choice = .named(name)
        default:
            throw Refusal(
                .badRequest, "'tool_choice' takes none, auto, required or a function", "tool_choice"
            )
        }
        try self.init(
            tools, choice: choice, inParallel: asked["parallel_tool_calls"]?.text != "false")
    }
}
