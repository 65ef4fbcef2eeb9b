public import TesseraDecoding
public import TesseraGrammars
public import TesseraReporting

/// One line of a batch: a text to continue, and settings for this text only.
public struct BatchRequest: Sendable {
    public var prompt: String
    public var system: String?
    public var maxTokens: Int?
    public var temperature: Float?
    public var topP: Float?
    public var topK: Int?
    public var seed: UInt64?
    public var stop: [String]?
    /// The grammar that the text must follow.
    public var grammar: Grammar?

    /// Why a line is not a request.
    public struct Failure: Error, CustomStringConvertible {
        public var description: String
    }

    /// A line of a file: its number and its request.
    public struct Line: Sendable {
        /// Counted from 1, lines without a request included.
        public var number: Int
        /// The id that the line has; printed with its answer.
        public var id: JSONOutput?
        public var request: Result<BatchRequest, Failure>

        public init(
            number: Int, id: JSONOutput? = nil, request: Result<BatchRequest, Failure>
        ) {
            self.number = number
            self.id = id
            self.request = request
        }
    }

    /// The requests of a file, one on each line: an object with a `prompt`, a JSON string, or plain
    /// text. Empty lines are skipped.
    public static func lines(_ bytes: [UInt8]) -> [Line] {
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        return lines.enumerated().compactMap { index, line in
            let text = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
            let isBlank = text.allSatisfy { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
            return isBlank ? nil : Self.line(Array(text), number: index + 1)
        }
    }

    private static func line(_ bytes: [UInt8], number: Int) -> Line {
        func line(
            _ id: JSONOutput? = nil, _ make: () throws(Failure) -> BatchRequest
        ) -> Line {
            Line(number: number, id: id, request: Result(catching: make))
        }
        let first = bytes.first { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") }
        guard let first, "{[\"".utf8.contains(first) else {
            let text = String(decoding: bytes, as: UTF8.self)
            return line { () throws(Failure) in BatchRequest(prompt: text) }
        }
        let value: JSONValue
        do throws(JSONParser.Failure) {
            value = try JSONParser.parse(bytes)
        } catch {
            let reason = "not JSON at byte \(error.offset): \(error.reason)"
            return line { () throws(Failure) in throw Failure(description: reason) }
        }
        if let text = value.string {
            return line { () throws(Failure) in BatchRequest(prompt: text) }
        }
        return line(value["id"].map(JSONOutput.init)) { () throws(Failure) in
            try BatchRequest(value)
        }
    }

    public init(prompt: String) { self.prompt = prompt }

    private init(_ value: JSONValue) throws(Failure) {
        guard let members = value.members else {
            throw Failure(description: "neither a text nor an object with a \"prompt\"")
        }
        guard let prompt = value["prompt"]?.string else {
            throw Failure(description: "no \"prompt\", which is to be a string")
        }
        self.init(prompt: prompt)
        for member in members {
            let name = String(decoding: member.name, as: UTF8.self)
            guard try set(name, member.value) else {
                throw Failure(description: "\"\(name)\" is not \(Self.expected(name))")
            }
        }
        do throws(DecodingError) {
            try drawing(SamplingOptions()).validate()
        } catch {
            throw Failure(description: error.description)
        }
    }

    /// Whether the value is one that `name` can have.
    private mutating func set(_ name: String, _ value: JSONValue) throws(Failure) -> Bool {
        func store<T>(_ value: T?, _ place: inout T?) -> Bool {
            place = value
            return value != nil
        }
        switch name {
        case "id", "prompt": return true
        case "system": return store(value.string, &system)
        case "max_tokens": return store(value.int.flatMap { $0 >= 0 ? $0 : nil }, &maxTokens)
        case "temperature": return store(value.double.map { Float($0) }, &temperature)
        case "top_p": return store(value.double.map { Float($0) }, &topP)
        case "top_k": return store(value.int, &topK)
        case "seed": return store(value.int.flatMap { UInt64(exactly: $0) }, &seed)
        case "stop":
            let strings = value.string.map { [$0] } ?? value.array?.compactMap(\.string)
            return store(strings, &stop) && strings?.count == value.array?.count ?? 1
        case "json_schema":
            do throws(GrammarError) {
                grammar = try Grammar(schema: value)
                return true
            } catch {
                throw Failure(description: error.description)
            }
        default: throw Failure(description: "\"\(name)\" is not known here")
        }
    }

    private static func expected(_ name: String) -> String {
        switch name {
        case "max_tokens", "top_k": "a whole number of 0 or more"
        case "seed": "a whole number of 0 to 2^53"
        case "system": "a string"
        case "stop": "a string or a list of strings"
        default: "a number"
        }
    }

    /// `options` with the settings of the line.
    public func drawing(_ options: SamplingOptions) -> SamplingOptions {
        var options = options
        if let temperature { options.temperature = temperature }
        if let topP { options.topP = topP }
        if let topK { options.topK = topK }
        if let seed { options.seed = seed }
        return options
    }
}
