public import TesseraReporting
internal import TesseraChatTemplates
internal import TesseraTokenization

/// A conversation as a file: JSON with `messages` of `role` and `content`, as many programs take it.
/// Answers keep the tokens that the model gave, for the model that gave them.
public enum ConversationFile {
    /// Why a file is not a conversation.
    public struct Failure: Error, CustomStringConvertible {
        public var description: String
    }

    public static func json(_ turns: [Turn], model: String) -> JSONOutput {
        let messages = turns.map { turn -> JSONOutput in
            var members: [(String, JSONOutput)] = [
                ("role", .string(turn.message.role)), ("content", .string(turn.message.content)),
            ]
            if let tokens = turn.tokens {
                members.append(("token_ids", .array(tokens.map { .int(Int($0)) })))
            }
            return .object(members)
        }
        return .object([
            ("schema_version", 1), ("model", .string(model)), ("messages", .array(messages)),
        ])
    }

    /// - Parameter format: The format of the model that continues the conversation.
    public static func turns(
        _ bytes: [UInt8], model: String, _ format: ChatFormat
    ) throws(Failure) -> [Turn] {
        guard let value = try? JSONParser.parse(bytes),
            let messages = value["messages"]?.array ?? value.array
        else {
            throw Failure(description: "not a saved conversation: no list of messages")
        }
        let isOwn = value["model"]?.string == model
        var turns: [Turn] = []
        for (index, message) in messages.enumerated() {
            guard let role = message["role"]?.string, let content = message["content"]?.string,
                ["user", "assistant"].contains(role) || (role == "system" && index == 0)
            else {
                throw Failure(
                    description: "message \(index + 1) has no content, or a role other than "
                        + "system (first), user and assistant")
            }
            let ids = isOwn ? tokens(message["token_ids"], for: content, format.tokenizer) : nil
            turns.append(Turn(Message(role: role, content: content), tokens: ids))
        }
        return turns
    }

    /// Saved tokens, if they spell the text.
    private static func tokens(
        _ value: JSONValue?, for text: String, _ tokenizer: Tokenizer
    ) -> [Int32]? {
        guard let values = value?.array else { return nil }
        let ids = values.compactMap { $0.int.flatMap { Int32(exactly: $0) } }
        guard ids.count == values.count else { return nil }
        var decoder = StreamDecoder(tokenizer, beginsText: true)
        let spelled = ids.map { decoder.append($0) }.joined() + decoder.finish()
        return spelled == text ? ids : nil
    }
}
