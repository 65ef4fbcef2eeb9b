#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

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
/// transformers does (trim_blocks, lstrip_blocks).
///
/// What users wrote is tracked through the template, so that a spelled-out `<|im_end|>` in a message
/// stays text.
public struct ChatTemplate: @unchecked Sendable {
    // Immutable after parsing; only literals, so no shared mutable value is inside.
    private let nodes: [TemplateNode]

    public init(parsing source: String) throws(TemplateError) {
        nodes = try TemplateParser.parse(source)
    }

    /// The prompt for a conversation.
    ///
    /// - Parameters:
    ///   - addGenerationPrompt: End with the opening of the assistant's turn.
    ///   - flags: Further variables, e.g. `enable_thinking`.
    public func render(
        _ messages: [Message], addGenerationPrompt: Bool = true, bosToken: String = "",
        eosToken: String = "", flags: [String: Bool] = [:]
    ) throws(TemplateError) -> [Segment] {
        let list = messages.map { message in
            TemplateValue.dict([
                (TemplateString("role"), .text(message.role)),
                (
                    TemplateString("content"),
                    .string(TemplateString(message.content, isUserText: true))
                ),
            ])
        }
        var globals = Self.functions
        globals["messages"] = .list(list)
        globals["add_generation_prompt"] = .bool(addGenerationPrompt)
        globals["bos_token"] = .text(bosToken)
        globals["eos_token"] = .text(eosToken)
        for (name, value) in flags { globals[name] = .bool(value) }
        return try TemplateInterpreter.render(nodes, globals: globals).segments
    }

    private static var functions: [String: TemplateValue] {
        [
            "raise_exception": .callable { (arguments, _) throws(TemplateError) in
                throw .refused(arguments.first?.printed.text ?? "no reason given")
            },
            "namespace": .callable { (_, named) in
                let space = TemplateValue.Namespace()
                space.members = named
                return .namespace(space)
            },
            "dict": .callable { (_, named) in
                .dict(named.sorted { $0.key < $1.key }.map { (TemplateString($0.key), $0.value) })
            },
            "range": .callable { (arguments, _) throws(TemplateError) in
                let numbers = arguments.compactMap(\.int)
                let (begin, end) =
                    numbers.count > 1 ? (numbers[0], numbers[1]) : (0, numbers.first ?? 0)
                let step = numbers.count > 2 ? numbers[2] : 1
                guard step != 0, abs(end - begin) <= 1 << 16 else { throw .limit("a long range") }
                return .list(stride(from: begin, to: end, by: step).map { .int($0) })
            },
            "strftime_now": .callable { (arguments, _) in
                .text(formattedNow(arguments.first?.printed.text ?? "%Y-%m-%d"))
            },
        ]
    }

    /// Local time by strftime's rules.
    private static func formattedNow(_ format: String) -> String {
        var now = time(nil)
        var parts = unsafe tm()
        unsafe localtime_r(&now, &parts)
        var bytes = [CChar](repeating: 0, count: 256)
        let count = unsafe strftime(&bytes, bytes.count, format, &parts)
        return String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
