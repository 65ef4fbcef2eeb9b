import Tessera

/// What an answer has said so far: text, and calls of functions.
struct AnswerMessage {
    private(set) var text: String
    private var calls: [ToolCall] = []

    init(text: String) { self.text = text }

    /// Takes the next part.
    ///
    /// - Returns: The part of a call that is sent; nil for text.
    @discardableResult
    mutating func add(_ part: AnswerReader.Part) -> Completion.Delta.Call? {
        switch part {
        case .text(let more):
            text += more
            return nil
        case .call(let name):
            let id = "call_" + String(UInt64.random(in: 0 ... .max), radix: 36)
            calls.append(ToolCall(id: id, name: name, arguments: ""))
            return .init(
                index: calls.count - 1, id: id, type: "function",
                function: .init(name: name, arguments: ""))
        case .arguments(let more):
            guard !calls.isEmpty else { return nil }
            calls[calls.count - 1].arguments += more
            return .init(index: calls.count - 1, function: .init(arguments: more))
        }
    }

    var whole: Completion.Delta {
        guard !calls.isEmpty else { return .init(role: "assistant", content: text) }
        return .init(
            role: "assistant", content: text.isEmpty ? nil : text,
            toolCalls: calls.map {
                .init(
                    id: $0.id, type: "function",
                    function: .init(name: $0.name, arguments: $0.arguments))
            })
    }

    func finishReason(_ end: Answer.End) -> String {
        let reason = end.finishReason
        return calls.isEmpty || reason != "stop" ? reason : "tool_calls"
    }
}
