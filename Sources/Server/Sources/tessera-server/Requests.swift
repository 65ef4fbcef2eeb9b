import HTTPTypes
import NIOCore
import Tessera

/// What clients may ask for. Members that would change the answer and are not understood are refused by
/// name; others are ignored, as clients of this interface expect.
struct Asked: Decodable {
    var messages: [AskedMessage]?
    var prompt: Prompts?
    var maxTokens: Int?
    var temperature: Float?
    var topP: Float?
    var topK: Int?
    var minP: Float?
    var repeatPenalty: Float?
    var seed: Int64?
    var stop: [String]
    var count: Int
    var streams: Bool
    var includesUsage: Bool
    var includesPasses: Bool
    var wantsLogprobs: Bool
    var echo: Bool
    /// Set by ``init(_:)``.
    var format = AnswerFormat.text
    var tools: Tools?

    /// One or several texts to continue.
    enum Prompts: Decodable {
        case texts([String])

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let text = try? container.decode(String.self) {
                self = .texts([text])
            } else if let texts = try? container.decode([String].self) {
                self = .texts(texts)
            } else {
                throw Refusal(
                    .badRequest, "'prompt' takes a string or an array of strings", "prompt")
            }
        }
    }

    private enum Key: String, CodingKey {
        case messages, prompt, temperature, seed, stop, n, stream, logprobs, echo, suffix
        case maxTokens = "max_tokens"
        case maxCompletionTokens = "max_completion_tokens"
        case topP = "top_p"
        case topK = "top_k"
        case minP = "min_p"
        case repeatPenalty = "repeat_penalty"
        case streamOptions = "stream_options"
        case topLogprobs = "top_logprobs"
        case presencePenalty = "presence_penalty"
        case frequencyPenalty = "frequency_penalty"
        case logitBias = "logit_bias"
        case bestOf = "best_of"
    }

    /// - Parameter body: JSON.
    init(_ body: ByteBuffer) throws {
        self = try JSON.decode(Asked.self, body)
        // Once more, since Foundation's decoder does not keep the order of members.
        let ordered = try OrderedJSON(Array(body.readableBytesView))
        format = try AnswerFormat(asked: ordered["response_format"])
        tools = try Tools(asked: ordered)
    }

    private enum StreamKey: String, CodingKey {
        case includeUsage = "include_usage"
        case includePasses = "include_passes"
    }

    init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: Key.self)
        func value<Value: Decodable>(_ key: Key, _ type: Value.Type = Value.self) throws -> Value? {
            do {
                return try values.decodeIfPresent(type, forKey: key)
            } catch let refusal as Refusal {
                throw refusal
            } catch {
                throw Refusal(
                    .badRequest, "'\(key.rawValue)' has a value of another type", key.rawValue)
            }
        }
        try Self.refuseUnknown(values)
        messages = try value(.messages)
        prompt = try value(.prompt)
        maxTokens = try value(.maxCompletionTokens) ?? value(.maxTokens)
        temperature = try value(.temperature)
        topP = try value(.topP)
        topK = try value(.topK)
        minP = try value(.minP)
        repeatPenalty = try value(.repeatPenalty)
        seed = try value(.seed)
        stop = []
        if let one = try? values.decodeIfPresent(String.self, forKey: .stop) {
            stop = [one]
        } else {
            stop = try value(.stop) ?? []
        }
        count = try value(.n) ?? 1
        streams = try value(.stream) ?? false
        (includesUsage, includesPasses) = (false, false)
        if let options = try? values.nestedContainer(
            keyedBy: StreamKey.self, forKey: .streamOptions)
        {
            includesUsage = try options.decodeIfPresent(Bool.self, forKey: .includeUsage) ?? false
            includesPasses = try options.decodeIfPresent(Bool.self, forKey: .includePasses) ?? false
        }
        // A flag for chats; for texts the number of alternatives.
        if let flag = try? values.decodeIfPresent(Bool.self, forKey: .logprobs) {
            wantsLogprobs = flag
        } else {
            let alternatives: Int? = try value(.logprobs)
            wantsLogprobs = alternatives != nil
            try Self.check((alternatives ?? 0) == 0, .logprobs, "alternatives are not given; use 0")
        }
        echo = try value(.echo) ?? false
        try Self.check((1...64).contains(count), .n, "takes 1 to 64")
        try Self.check(maxTokens.map { $0 >= 1 } ?? true, .maxTokens, "takes 1 or more")
        try Self.check(stop.allSatisfy { !$0.isEmpty }, .stop, "has an empty string")
    }

    private static func check(_ isGood: Bool, _ key: Key, _ reason: String) throws {
        guard isGood else {
            throw Refusal(.badRequest, "'\(key.rawValue)' \(reason)", key.rawValue)
        }
    }

    /// Refuses members that would change answers and are not supported.
    private static func refuseUnknown(_ values: KeyedDecodingContainer<Key>) throws {
        for key in [Key.presencePenalty, .frequencyPenalty, .topLogprobs] {
            let number = try? values.decodeIfPresent(Double.self, forKey: key)
            try check((number ?? 0) == 0, key, "is not supported")
        }
        for key in [Key.logitBias, .suffix] where values.contains(key) {
            let isEmpty =
                (try? values.decodeNil(forKey: key)) == true
                || (try? values.decode([String: Double].self, forKey: key))?.isEmpty == true
                || (try? values.decode(String.self, forKey: key))?.isEmpty == true
                || (try? values.nestedUnkeyedContainer(forKey: key))?.count == 0
            try check(isEmpty, key, "is not supported")
        }
        if let best = try? values.decodeIfPresent(Int.self, forKey: .bestOf) {
            try check(best <= 1, .bestOf, "is not supported")
        }
    }

    /// How tokens are drawn: as the request says, and otherwise as the model does by default.
    func sampling(_ model: Model, answering: Bool) -> Sampling {
        // Who asks for the likeliest token wants it without a penalty.
        var sampling = temperature == 0 ? .greedy : model.defaultSampling(answering: answering)
        if let temperature { sampling.temperature = temperature }
        if let topP { sampling.topP = topP }
        if let topK { sampling.topK = topK }
        if let minP { sampling.minP = minP }
        if let repeatPenalty { sampling.repeatPenalty = repeatPenalty }
        sampling.seed = seed.map { UInt64(bitPattern: $0) }
        return sampling
    }
}

/// A message: its content is a string or an array of parts that are text.
struct AskedMessage: Decodable {
    var message: Message

    private enum Key: String, CodingKey {
        case role, content
        case toolCalls = "tool_calls"
        case toolCallID = "tool_call_id"
    }

    private struct Part: Decodable {
        var type: String
        var text: String?
    }

    init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: Key.self)
        guard var role = try? values.decode(String.self, forKey: .role) else {
            throw Refusal(.badRequest, "a message lacks its 'role'", "messages")
        }
        if role == "developer" { role = "system" }
        guard ["system", "user", "assistant", "tool"].contains(role) else {
            throw Refusal(.badRequest, "messages of role '\(role)' are not supported", "messages")
        }
        let calls = try? values.decodeIfPresent([AskedCall].self, forKey: .toolCalls)
        if values.contains(.toolCalls), calls == nil,
            try !values.decodeNil(forKey: .toolCalls)
        {
            throw Refusal(.badRequest, "'tool_calls' are not calls of functions", "messages")
        }
        message = Message(
            role: role, content: "", toolCalls: calls?.map(\.call) ?? [],
            toolCallID: try? values.decodeIfPresent(String.self, forKey: .toolCallID))
        if calls?.isEmpty == false,
            try !values.contains(.content) || values.decodeNil(forKey: .content)
        {
            return
        }
        if let text = try? values.decode(String.self, forKey: .content) {
            message.content = text
            return
        }
        guard let parts = try? values.decode([Part].self, forKey: .content) else {
            throw Refusal(.badRequest, "a message's 'content' is not text", "messages")
        }
        let texts = try parts.map { part in
            guard part.type == "text", let text = part.text else {
                throw Refusal(
                    .badRequest, "parts of type '\(part.type)' are not supported", "messages")
            }
            return text
        }
        message.content = texts.joined(separator: "\n")
    }
}

/// A call in a message of an assistant.
private struct AskedCall: Decodable {
    var id: String?
    var function: Function

    struct Function: Decodable {
        var name: String
        var arguments: String
    }

    var call: ToolCall {
        ToolCall(id: id ?? "", name: function.name, arguments: function.arguments)
    }
}
