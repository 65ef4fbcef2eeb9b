/// A string of a template that remembers, scalar by scalar, what a user wrote: slicing, trimming and
/// joining keep the mark, so that user text stays user text wherever a template puts it.
struct TemplateString: Equatable {
    /// Scalars; `userBit` marks those of a user.
    var units: [UInt32] = []
    static let userBit: UInt32 = 1 << 31

    init() {}
    init(units: some Sequence<UInt32>) { self.units = Array(units) }
    init(_ text: String, isUserText: Bool = false) {
        units = text.unicodeScalars.map { $0.value | (isUserText ? Self.userBit : 0) }
    }

    var text: String {
        var view = String.UnicodeScalarView()
        for unit in units { view.append(Unicode.Scalar(unit & ~Self.userBit) ?? "\u{fffd}") }
        return String(view)
    }

    /// Values without marks, for comparing.
    var plain: [UInt32] { units.map { $0 & ~Self.userBit } }

    static func == (a: Self, b: Self) -> Bool {
        a.units.count == b.units.count
            && zip(a.units, b.units).allSatisfy { ($0 ^ $1) & ~userBit == 0 }
    }

    /// Runs of one origin.
    var segments: [Segment] {
        var segments: [Segment] = []
        var begin = 0
        for index in units.indices
        where index + 1 == units.count || (units[index] ^ units[index + 1]) & Self.userBit != 0 {
            let run = TemplateString(units: units[begin...index])
            segments.append(
                Segment(text: run.text, isUserText: units[index] & Self.userBit != 0))
            begin = index + 1
        }
        return segments
    }

    func trimmed(_ set: TemplateString?, left: Bool = true, right: Bool = true) -> TemplateString {
        let members = set?.plain
        func isMember(_ unit: UInt32) -> Bool {
            let value = unit & ~Self.userBit
            if let members { return members.contains(value) }
            return Unicode.Scalar(value)?.properties.isWhitespace ?? false
                || (0x1c...0x1f).contains(value)
        }
        var slice = units[...]
        if left { slice = slice.drop(while: isMember) }
        if right { while let last = slice.last, isMember(last) { slice.removeLast() } }
        return TemplateString(units: slice)
    }

    func starts(with prefix: TemplateString) -> Bool { plain.starts(with: prefix.plain) }

    func ends(with suffix: TemplateString) -> Bool {
        plain.reversed().starts(with: suffix.plain.reversed())
    }

    /// Where `other` begins, from `start` on.
    func range(of other: TemplateString, from start: Int = 0) -> Range<Int>? {
        let (text, wanted) = (plain, other.plain)
        guard !wanted.isEmpty, text.count >= wanted.count, start <= text.count - wanted.count
        else { return nil }
        for index in start...(text.count - wanted.count)
        where text[index..<index + wanted.count].elementsEqual(wanted) {
            return index..<index + wanted.count
        }
        return nil
    }

    func split(by separator: TemplateString, most: Int = .max) -> [TemplateString] {
        var parts: [TemplateString] = []
        var begin = 0
        while parts.count < most, let found = range(of: separator, from: begin) {
            parts.append(TemplateString(units: units[begin..<found.lowerBound]))
            begin = found.upperBound
        }
        return parts + [TemplateString(units: units[begin...])]
    }

    /// Maps each scalar, keeping its mark.
    func mapScalars(_ transform: (Unicode.Scalar) -> String) -> TemplateString {
        TemplateString(
            units: units.flatMap { unit -> [UInt32] in
                guard let scalar = Unicode.Scalar(unit & ~Self.userBit) else { return [unit] }
                return transform(scalar).unicodeScalars.map { $0.value | (unit & Self.userBit) }
            })
    }
}

/// A value of a template.
indirect enum TemplateValue {
    case undefined(String)
    case none
    case bool(Bool)
    case int(Int)
    case float(Double)
    case string(TemplateString)
    case list([TemplateValue])
    case dict([(key: TemplateString, value: TemplateValue)])
    case namespace(Namespace)
    case callable(Callable)

    /// `namespace(...)`: the one thing a template may change.
    final class Namespace {
        var members: [String: TemplateValue] = [:]
    }

    typealias Callable = ([TemplateValue], [String: TemplateValue]) throws(TemplateError) ->
        TemplateValue

    static func text(_ text: String) -> TemplateValue { .string(TemplateString(text)) }

    var isTrue: Bool {
        switch self {
        case .undefined, .none: false
        case .bool(let value): value
        case .int(let value): value != 0
        case .float(let value): value != 0
        case .string(let value): !value.units.isEmpty
        case .list(let values): !values.isEmpty
        case .dict(let members): !members.isEmpty
        case .namespace, .callable: true
        }
    }

    var isUndefined: Bool {
        if case .undefined = self { true } else { false }
    }

    var string: TemplateString? {
        if case .string(let value) = self { value } else { nil }
    }

    var int: Int? {
        switch self {
        case .int(let value): value
        case .bool(let value): value ? 1 : 0
        default: nil
        }
    }

    var double: Double? {
        if case .float(let value) = self { return value }
        return int.map(Double.init)
    }

    /// What printing it gives: Python's `str`.
    var printed: TemplateString {
        switch self {
        case .undefined: TemplateString()
        case .string(let value): value
        default: TemplateString(represented)
        }
    }

    /// Python's `repr`.
    var represented: String {
        switch self {
        case .undefined: return ""
        case .none: return "None"
        case .bool(let value): return value ? "True" : "False"
        case .int(let value): return String(value)
        case .float(let value): return "\(value)"
        case .string(let value):
            let quote = value.text.contains("'") && !value.text.contains("\"") ? "\"" : "'"
            var result = quote
            for scalar in value.text.unicodeScalars {
                switch scalar {
                case "\n": result += "\\n"
                case "\r": result += "\\r"
                case "\t": result += "\\t"
                case "\\": result += "\\\\"
                case "'" where quote == "'": result += "\\'"
                default: result.unicodeScalars.append(scalar)
                }
            }
            return result + quote
        case .list(let values):
            return "[" + values.map(\.represented).joined(separator: ", ") + "]"
        case .dict(let members):
            let parts = members.map {
                TemplateValue.string($0.key).represented + ": " + $0.value.represented
            }
            return "{" + parts.joined(separator: ", ") + "}"
        case .namespace: return "<Namespace>"
        case .callable: return "<function>"
        }
    }

    static func equal(_ a: TemplateValue, _ b: TemplateValue) -> Bool {
        switch (a, b) {
        case (.none, .none), (.undefined, .undefined): return true
        case (.string(let x), .string(let y)): return x == y
        case (.list(let x), .list(let y)):
            return x.count == y.count && zip(x, y).allSatisfy(equal)
        case (.dict(let x), .dict(let y)):
            return x.count == y.count
                && x.allSatisfy { member in
                    y.contains { $0.key == member.key && equal($0.value, member.value) }
                }
        default:
            guard let x = a.double, let y = b.double else { return false }
            return x == y
        }
    }
}

/// Why a chat template could not be used.
public enum TemplateError: Error, Equatable, CustomStringConvertible {
    /// The template is not valid, or uses something outside of the supported part of Jinja.
    case syntax(line: Int, reason: String)
    /// Evaluating failed.
    case evaluation(String)
    /// The template refused the conversation (`raise_exception`).
    case refused(String)
    /// More work or output than any honest template needs.
    case limit(String)

    public var description: String {
        switch self {
        case .syntax(let line, let reason): "chat template, line \(line): \(reason)"
        case .evaluation(let reason): "chat template: \(reason)"
        case .refused(let reason): "the chat template refuses this conversation: \(reason)"
        case .limit(let reason): "chat template: too much work: \(reason)"
        }
    }
}
