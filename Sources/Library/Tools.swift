internal import TesseraChat
internal import TesseraChatTemplates
internal import TesseraGrammars
internal import TesseraReporting

/// Functions that a model may call in its answer.
public struct Tools: Sendable {
    /// Which functions an answer calls.
    public enum Choice: Sendable, Equatable {
        /// As the model sees fit.
        case auto
        /// At least one, and the answer has no other text.
        case required
        /// This one.
        case named(String)
    }

    private let definitions: JSONValue
    private let functions: [CalledFunction]
    public let choice: Choice
    /// Calls of one answer at most; nil for any number.
    private let most: Int?

    /// - Parameters:
    ///   - definitions: A list of `{"type": "function", "function": {"name": ..., "description": ...,
    ///     "parameters": a JSON Schema}}`, as OpenAI's interface has it. Arguments follow the schema; where it is not
    ///     supported they are any object, or refused with `"strict": true`.
    ///   - choice: Which functions the model may call, or has to call.
    ///   - inParallel: Whether an answer may have several calls.
    /// - Throws: `badOption` where the list has another form.
    public init(
        _ definitions: OrderedJSON, choice: Choice = .auto, inParallel: Bool = true
    ) throws(ModelError) {
        self.definitions = definitions.value
        var functions: [CalledFunction] = []
        for tool in definitions.elements ?? [] {
            guard tool["type"]?.string == "function", let function = tool["function"],
                let name = function["name"]?.string
            else {
                throw ModelError(.badOption, "a tool that is not a function with a name")
            }
            guard !name.isEmpty, name.utf8.count <= 64, name.utf8.allSatisfy(Self.isNamed) else {
                throw ModelError(
                    .badOption,
                    "a function's name that has other characters than letters, digits, '_', '-' and '.', or more than 64"
                )
            }
            functions.append(
                CalledFunction(
                    name: name, parameters: function["parameters"]?.value,
                    isStrict: function.value["strict"]?.bool ?? false))
        }
        guard !functions.isEmpty else { throw ModelError(.badOption, "no list of tools") }
        if case .named(let name) = choice {
            guard functions.contains(where: { $0.name == name }) else {
                throw ModelError(.badOption, "there is no tool '\(name)'")
            }
            functions.removeAll { $0.name != name }
        }
        self.functions = functions
        self.choice = choice
        if case .named = choice { most = 1 } else { most = inParallel ? nil : 1 }
    }

    private static func isNamed(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x5f, 0x2d, 0x2e: true
        default: false
        }
    }

    /// The form in which templates get them.
    var text: String { JSONOutput(definitions).text }

    /// - Throws: `badOption` where arguments must follow a schema that is not supported.
    func grammar(_ format: ToolFormat) throws(ModelError) -> AnswerGrammar {
        do throws(GrammarError) {
            let grammar = try Grammar(
                calls: format.form, functions, isRequired: choice != .auto, most: most)
            return AnswerGrammar(
                key: "calls \(format) \(choice) \(most ?? 0) \(text)", grammar: grammar)
        } catch {
            throw ModelError(.badOption, error.description)
        }
    }
}

/// A call of a function.
public struct ToolCall: Sendable, Equatable {
    public var id: String
    public var name: String
    /// JSON.
    public var arguments: String

    public init(id: String, name: String, arguments: String) {
        (self.id, self.name, self.arguments) = (id, name, arguments)
    }

    /// The form in which templates get it: arguments as a JSON value, where they are valid JSON.
    var json: JSONOutput {
        let value = try? JSONParser.parse(Array(arguments.utf8))
        return .object([
            ("id", .string(id)), ("type", "function"),
            (
                "function",
                .object([
                    ("name", .string(name)),
                    ("arguments", value.map { JSONOutput($0) } ?? .string(arguments)),
                ])
            ),
        ])
    }
}

/// Separates text and calls of an answer, as its tokens come.
public struct AnswerReader: Sendable {
    public enum Part: Sendable, Equatable {
        case text(String)
        /// A call begins: the function's name.
        case call(String)
        /// The next part of the last call's arguments, which are JSON.
        case arguments(String)
    }

    private var reader: ToolCallReader?

    /// - Parameter model: The model that answers; nil if there are no tools: everything is text.
    public init(_ model: Model?) { reader = model?.toolFormat.map { ToolCallReader($0) } }

    public mutating func read(_ text: String) -> [Part] {
        guard reader != nil else { return text.isEmpty ? [] : [.text(text)] }
        return reader?.read(text).map(Part.init) ?? []
    }

    /// The part that was held back.
    public mutating func finish() -> [Part] { reader?.finish().map(Part.init) ?? [] }
}

extension AnswerReader.Part {
    init(_ part: ToolCallReader.Part) {
        self =
            switch part {
            case .text(let text): .text(text)
            case .call(let name): .call(name)
            case .arguments(let text): .arguments(text)
            }
    }
}
