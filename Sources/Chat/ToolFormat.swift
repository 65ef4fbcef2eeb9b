package import TesseraGrammars

/// How a model writes calls of functions, as its chat template has it.
package enum ToolFormat: Sendable, Equatable {
    /// `<tool_call>`, an object with "name" and "arguments", `</tool_call>`: Hermes, Qwen 2.5 and 3.
    case hermes
    /// An object with "name" and "parameters" alone: Llama 3.1 and later.
    case llama

    /// The format of a template; nil if it has none that is known.
    package init?(template: String) {
        func has(_ text: String) -> Bool { Self.contains(template, text) }
        guard has("tools") else { return nil }
        if has("<tool_call>"), has("arguments"), !has("<function=") {
            self = .hermes
        } else if has("ipython"), has("parameters") {
            self = .llama
        } else {
            return nil
        }
    }

    private static func contains(_ text: String, _ wanted: String) -> Bool {
        var rest = ArraySlice(text.utf8)
        while !rest.isEmpty {
            if rest.starts(with: wanted.utf8) { return true }
            rest = rest.dropFirst()
        }
        return false
    }

    package var form: CallForm {
        switch self {
        case .hermes:
            CallForm(
                marker: "<tool_call>", opening: "\n", closing: "\n</tool_call>",
                arguments: "arguments")
        case .llama: CallForm(marker: "", opening: "", closing: "", arguments: "parameters")
        }
    }
}

/// Separates text and calls of an answer, as they come.
package struct ToolCallReader {
    package enum Part: Equatable, Sendable {
        case text(String)
        /// A call begins: the function's name.
        case call(String)
        /// The next part of the last call's arguments, which are JSON.
        case arguments(String)
    }

    private let form: CallForm
    private var state = State.text
    /// Bytes that were read and not reported yet.
    private var held: [UInt8] = []
    /// Whether nothing has been reported.
    private var isFirst = true
    private var depth = 0
    private var isInString = false
    private var isEscaped = false

    private enum State { case text, head, arguments, tail }

    package init(_ format: ToolFormat) { form = format.form }

    package mutating func read(_ text: String) -> [Part] {
        held += Array(text.utf8)
        var parts: [Part] = []
        while step(&parts) {}
        return parts
    }

    /// The part that was held back.
    package mutating func finish() -> [Part] {
        defer { held.removeAll() }
        guard !held.isEmpty, state != .tail else { return [] }
        let rest = String(decoding: held, as: UTF8.self)
        switch state {
        case .arguments: return [.arguments(rest)]
        case .head: return [.text(form.marker + rest)]
        case .text, .tail: return [.text(rest)]
        }
    }

    /// Reports the parts that are complete; false where more bytes must come first.
    private mutating func step(_ parts: inout [Part]) -> Bool {
        switch state {
        case .text: readText(&parts)
        case .head: readHead(&parts)
        case .arguments: readArguments(&parts)
        case .tail: readTail()
        }
    }

    private mutating func tell(_ count: Int, _ part: (String) -> Part, _ parts: inout [Part]) {
        guard count > 0 else { return }
        parts.append(part(String(decoding: held[..<count], as: UTF8.self)))
        held.removeFirst(count)
        isFirst = false
    }

    private mutating func readText(_ parts: inout [Part]) -> Bool {
        guard !form.marker.isEmpty else {
            if isFirst, held.first == UInt8(ascii: "{") {
                state = .head
                return true
            }
            tell(held.count, Part.text, &parts)
            return false
        }
        let marker = Array(form.marker.utf8)
        let begin = held.indices.first { held[$0...].starts(with: marker.prefix(held.count - $0)) }
        // White space in front of a call belongs to neither.
        var count = begin ?? held.count
        while count > 0, held[count - 1] <= 0x20 { count -= 1 }
        tell(count, Part.text, &parts)
        guard let begin, begin - count + marker.count <= held.count else { return false }
        held.removeFirst(begin - count + marker.count)
        state = .head
        return true
    }

    /// Up to the arguments' own beginning.
    private mutating func readHead(_ parts: inout [Part]) -> Bool {
        var at = 0
        func skip() { while at < held.count, held[at] <= 0x20 { at += 1 } }
        func string() -> String? {
            skip()
            guard at < held.count, held[at] == UInt8(ascii: "\"") else { return nil }
            guard let end = held[(at + 1)...].firstIndex(of: UInt8(ascii: "\"")) else { return nil }
            defer { at = end + 1 }
            return String(decoding: held[(at + 1)..<end], as: UTF8.self)
        }
        func take(_ scalar: Unicode.Scalar) -> Bool {
            skip()
            guard at < held.count, held[at] == UInt8(ascii: scalar) else { return false }
            at += 1
            return true
        }
        guard take("{"), string() == "name", take(":"), let name = string(), take(","),
            string() == form.arguments, take(":")
        else { return false }
        skip()
        guard at < held.count else { return false }
        held.removeFirst(at)
        parts.append(.call(name))
        isFirst = false
        (state, depth, isInString, isEscaped) = (.arguments, 0, false, false)
        return true
    }

    private mutating func readArguments(_ parts: inout [Part]) -> Bool {
        var count = 0
        var isOver = false
        while count < held.count, !isOver {
            let byte = held[count]
            count += 1
            if isInString {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    isInString = false
                }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): isInString = true
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                isOver = depth == 0
            default: break
            }
        }
        tell(count, Part.arguments, &parts)
        if isOver { state = .tail }
        return isOver
    }

    /// Goes over the call's end.
    private mutating func readTail() -> Bool {
        let end = Array("}".utf8) + Array(form.closing.utf8)
        guard held.count >= end.count else { return false }
        held.removeFirst(end.count)
        state = .text
        return !held.isEmpty
    }
}
