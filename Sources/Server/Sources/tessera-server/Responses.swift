import Tessera

/// What clients are sent, member by member as OpenAI's interface names them.
struct Completion: Encodable, Sendable {
    var id: String
    var object: String
    var created: Int
    var model: String
    var choices: [Choice]
    var usage: Usage?
    /// Of a part that has a token, where it was asked for.
    var tessera: Pass?

    /// Which pass decided a token, and what the process used then. No other server has it.
    struct Pass: Encodable, Sendable {
        /// Of the answer, from 1.
        var pass: Int
        var memoryBytes: Int
        var bytesRead: Int

        enum CodingKeys: String, CodingKey {
            case pass
            case memoryBytes = "memory_bytes"
            case bytesRead = "bytes_read"
        }
    }

    struct Choice: Encodable, Sendable {
        var index: Int
        /// In a whole chat answer.
        var message: Delta?
        /// In a part of a streamed chat answer.
        var delta: Delta?
        /// In a text completion.
        var text: String?
        var finishReason: String?
        var logprobs: Logprobs?

        enum CodingKeys: String, CodingKey {
            case index, message, delta, text, logprobs
            case finishReason = "finish_reason"
        }

        func encode(to encoder: any Encoder) throws {
            var values = encoder.container(keyedBy: CodingKeys.self)
            try values.encode(index, forKey: .index)
            try values.encodeIfPresent(message, forKey: .message)
            try values.encodeIfPresent(delta, forKey: .delta)
            try values.encodeIfPresent(text, forKey: .text)
            // Clients expect these two even where they are null.
            try values.encode(finishReason, forKey: .finishReason)
            try values.encode(logprobs, forKey: .logprobs)
        }
    }

    struct Delta: Encodable, Sendable {
        var role: String?
        var content: String?
        var toolCalls: [Call]?

        enum CodingKeys: String, CodingKey {
            case role, content
            case toolCalls = "tool_calls"
        }

        /// A call, or a part of one.
        struct Call: Encodable, Sendable {
            /// Only in parts of a streamed answer.
            var index: Int?
            var id: String?
            var type: String?
            var function: Function

            struct Function: Encodable, Sendable {
                var name: String?
                var arguments: String
            }
        }
    }

    /// Chats have `content`, text completions the other two.
    struct Logprobs: Encodable, Sendable {
        var content: [Entry]?
        var tokens: [String]?
        var tokenLogprobs: [Float]?

        struct Entry: Encodable, Sendable {
            var token: String
            var logprob: Float
            var bytes: [UInt8]
            var topLogprobs: [Entry] = []

            enum CodingKeys: String, CodingKey {
                case token, logprob, bytes
                case topLogprobs = "top_logprobs"
            }
        }

        enum CodingKeys: String, CodingKey {
            case content, tokens
            case tokenLogprobs = "token_logprobs"
        }
    }

    struct Usage: Encodable, Sendable {
        var promptTokens = 0
        var completionTokens = 0
        var cachedTokens = 0
        var passes = 0
        var draftedTokens = 0
        var acceptedTokens = 0

        mutating func add(_ summary: Answer.Summary) {
            // The prompt is one, whatever the number of answers.
            promptTokens = max(promptTokens, summary.promptTokens)
            cachedTokens = max(cachedTokens, summary.cachedTokens)
            completionTokens += summary.tokens
            passes += summary.passes
            draftedTokens += summary.draftedTokens
            acceptedTokens += summary.acceptedTokens
        }

        enum CodingKeys: String, CodingKey {
            case promptTokens = "prompt_tokens"
            case completionTokens = "completion_tokens"
            case totalTokens = "total_tokens"
            case promptDetails = "prompt_tokens_details"
            case tessera
        }
        enum DetailKeys: String, CodingKey { case cachedTokens = "cached_tokens" }
        /// What no other server has: how many passes the tokens took.
        enum PassKeys: String, CodingKey {
            case passes
            case draftedTokens = "drafted_tokens"
            case acceptedTokens = "accepted_tokens"
        }

        func encode(to encoder: any Encoder) throws {
            var values = encoder.container(keyedBy: CodingKeys.self)
            try values.encode(promptTokens, forKey: .promptTokens)
            try values.encode(completionTokens, forKey: .completionTokens)
            try values.encode(promptTokens + completionTokens, forKey: .totalTokens)
            var details = values.nestedContainer(keyedBy: DetailKeys.self, forKey: .promptDetails)
            try details.encode(cachedTokens, forKey: .cachedTokens)
            var own = values.nestedContainer(keyedBy: PassKeys.self, forKey: .tessera)
            try own.encode(passes, forKey: .passes)
            try own.encode(draftedTokens, forKey: .draftedTokens)
            try own.encode(acceptedTokens, forKey: .acceptedTokens)
        }
    }
}

extension Answer.End {
    /// As OpenAI's interface calls it.
    var finishReason: String {
        switch self {
        case .endOfText, .stopString, .cancelled: "stop"
        case .length, .context: "length"
        }
    }
}
