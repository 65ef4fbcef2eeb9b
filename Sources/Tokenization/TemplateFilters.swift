/// Jinja's filters and tests, as far as chat templates use them.
enum TemplateFilters {
    static func apply(
        _ name: String, _ value: TemplateValue, _ arguments: [TemplateValue],
        _ named: [String: TemplateValue]
    ) throws(TemplateError) -> TemplateValue {
        switch name {
        case "trim": return .string(value.printed.trimmed(arguments.first?.string))
        case "upper": return .string(value.printed.mapScalars { $0.properties.uppercaseMapping })
        case "lower": return .string(value.printed.mapScalars { $0.properties.lowercaseMapping })
        case "title": return .string(title(value.printed))
        case "capitalize": return .string(capitalized(value.printed))
        case "string": return .string(value.printed)
        case "safe": return value
        case "escape", "e": return value
        case "length", "count": return .int(try count(value))
        case "first": return try elements(value).first ?? .undefined("first")
        case "last": return try elements(value).last ?? .undefined("last")
        case "list": return .list(try elements(value))
        case "reverse": return try reversed(value)
        case "int": return .int(try int(value, arguments))
        case "float": return .float(value.double ?? Double(value.printed.text) ?? 0)
        case "abs": return value.int.map { .int(abs($0)) } ?? .float(abs(value.double ?? 0))
        case "default", "d":
            let onFalse = arguments.count > 1 ? arguments[1] : named["boolean"] ?? .bool(false)
            let isMissing = value.isUndefined || onFalse.isTrue && !value.isTrue
            return isMissing ? arguments.first ?? .text("") : value
        case "join":
            let separator = arguments.first?.string ?? TemplateString()
            return .string(joined(try elements(value), by: separator))
        case "replace":
            guard arguments.count >= 2 else { throw .evaluation("'replace' takes two strings") }
            return .string(
                TemplateMethods.replaced(
                    value.printed, arguments[0].printed, with: arguments[1].printed))
        case "items", "dictsort": return .list(try items(value, sorted: name == "dictsort"))
        case "tojson":
            let indent = (named["indent"] ?? arguments.first)?.int
            return .string(TemplateJSON.text(value, indent: indent))
        case "indent": return .string(try indented(value.printed, arguments, named))
        case "select", "reject", "selectattr", "rejectattr", "map":
            return .list(try picked(name, value, arguments, named))
        case "unique": return .list(unique(try elements(value)))
        case "sort": return .list(try sorted(value))
        default: throw .evaluation("the filter '\(name)' is not supported")
        }
    }

    static func test(
        _ name: String, _ value: TemplateValue, _ arguments: [TemplateValue]
    ) throws(TemplateError) -> Bool {
        switch (name, value) {
        case ("defined", _): return !value.isUndefined
        case ("undefined", _): return value.isUndefined
        case ("none", .none), ("string", .string), ("mapping", .dict), ("boolean", .bool):
            return true
        case ("number", .int), ("number", .float), ("integer", .int), ("float", .float): return true
        case ("iterable", .string), ("iterable", .list), ("iterable", .dict): return true
        case ("sequence", .string), ("sequence", .list), ("sequence", .dict): return true
        case ("callable", .callable): return true
        case ("true", .bool(let flag)): return flag
        case ("false", .bool(let flag)): return !flag
        case ("odd", _): return value.int.map { $0 % 2 != 0 } ?? false
        case ("even", _): return value.int.map { $0 % 2 == 0 } ?? false
        case ("equalto", _), ("eq", _), ("==", _), ("ne", _):
            guard let other = arguments.first else { throw .evaluation("'\(name)' of what?") }
            return TemplateValue.equal(value, other) == (name != "ne")
        case ("in", _):
            guard let other = arguments.first else { throw .evaluation("'in' what?") }
            return try TemplateOperations.contains(other, value)
        default:
            let known: Set<String> = [
                "none", "string", "mapping", "boolean", "number", "integer", "float", "iterable",
                "sequence", "callable", "true", "false",
            ]
            guard known.contains(name) else {
                throw .evaluation("the test '\(name)' is not supported")
            }
            return false
        }
    }

    // MARK: Sequences

    private static func elements(_ value: TemplateValue) throws(TemplateError) -> [TemplateValue] {
        switch value {
        case .list(let values): return values
        case .dict(let members): return members.map { .string($0.key) }
        case .string(let text): return text.units.map { .string(TemplateString(units: [$0])) }
        case .undefined: return []
        default: throw .evaluation("\(value.represented) is no sequence")
        }
    }

    private static func count(_ value: TemplateValue) throws(TemplateError) -> Int {
        switch value {
        case .list(let values): return values.count
        case .dict(let members): return members.count
        case .string(let text): return text.units.count
        case .undefined: return 0
        default: throw .evaluation("\(value.represented) has no length")
        }
    }

    private static func reversed(_ value: TemplateValue) throws(TemplateError) -> TemplateValue {
        if case .string(let text) = value {
            return .string(TemplateString(units: text.units.reversed()))
        }
        return .list(try elements(value).reversed())
    }

    static func joined(_ parts: [TemplateValue], by separator: TemplateString) -> TemplateString {
        TemplateString(
            units: parts.map(\.printed.units).joined(separator: separator.units))
    }

    private static func items(
        _ value: TemplateValue, sorted: Bool
    ) throws(TemplateError) -> [TemplateValue] {
        if case .undefined = value { return [] }
        guard case .dict(var members) = value else {
            throw .evaluation("\(value.represented) has no items")
        }
        if sorted {
            members.sort {
                $0.key.plain.lexicographicallyPrecedes($1.key.plain)
            }
        }
        return TemplateOperations.pairs(members)
    }

    private static func picked(
        _ name: String, _ value: TemplateValue, _ arguments: [TemplateValue],
        _ named: [String: TemplateValue]
    ) throws(TemplateError) -> [TemplateValue] {
        var result: [TemplateValue] = []
        for element in try elements(value) {
            if name == "map" {
                if let attribute = named["attribute"]?.string {
                    result.append(try TemplateOperations.attribute(element, attribute.text))
                } else if let filter = arguments.first?.string {
                    result.append(
                        try apply(filter.text, element, Array(arguments.dropFirst()), named))
                }
                continue
            }
            let byAttribute = name.hasSuffix("attr")
            var rest = arguments[...]
            var subject = element
            if byAttribute {
                guard let attribute = rest.popFirst()?.string else {
                    throw .evaluation("'\(name)' takes an attribute")
                }
                subject = try TemplateOperations.attribute(element, attribute.text)
            }
            let kept: Bool
            if let title = rest.popFirst()?.string {
                kept = try test(title.text, subject, Array(rest))
            } else {
                kept = subject.isTrue
            }
            if kept == name.hasPrefix("select") { result.append(element) }
        }
        return result
    }

    private static func unique(_ values: [TemplateValue]) -> [TemplateValue] {
        var result: [TemplateValue] = []
        for value in values where !result.contains(where: { TemplateValue.equal($0, value) }) {
            result.append(value)
        }
        return result
    }

    private static func sorted(_ value: TemplateValue) throws(TemplateError) -> [TemplateValue] {
        let values = try elements(value)
        if values.allSatisfy({ $0.double != nil }) {
            return values.sorted { ($0.double ?? 0) < ($1.double ?? 0) }
        }
        // Jinja sorts strings without regard to case.
        return values.sorted {
            $0.printed.text.lowercased().unicodeScalars.lexicographicallyPrecedes(
                $1.printed.text.lowercased().unicodeScalars)
        }
    }

    // MARK: Text

    private static func int(
        _ value: TemplateValue, _ arguments: [TemplateValue]
    ) throws(TemplateError) -> Int {
        let standard = arguments.first?.int ?? 0
        if let number = value.double {
            guard abs(number) < 0x1p62 else { return standard }
            return Int(number)
        }
        return Int(value.printed.trimmed(nil).text) ?? standard
    }

    static func title(_ text: TemplateString) -> TemplateString {
        var startsWord = true
        return text.mapScalars { scalar in
            defer { startsWord = !scalar.properties.isAlphabetic }
            return startsWord
                ? scalar.properties.titlecaseMapping : scalar.properties.lowercaseMapping
        }
    }

    static func capitalized(_ text: TemplateString) -> TemplateString {
        var isFirst = true
        return text.mapScalars { scalar in
            defer { isFirst = false }
            return isFirst
                ? scalar.properties.titlecaseMapping : scalar.properties.lowercaseMapping
        }
    }

    private static func indented(
        _ text: TemplateString, _ arguments: [TemplateValue], _ named: [String: TemplateValue]
    ) throws(TemplateError) -> TemplateString {
        let width = (arguments.first ?? named["width"])?.int ?? 4
        guard (0...200).contains(width) else { throw .evaluation("'indent' by \(width)") }
        let first = (arguments.count > 1 ? arguments[1] : named["first"])?.isTrue ?? false
        let margin = TemplateString(String(repeating: " ", count: width))
        let lines = text.split(by: TemplateString("\n"))
        var units: [UInt32] = []
        for (index, line) in lines.enumerated() {
            if index > 0 { units.append(10) }
            if index == 0 ? first : !line.units.isEmpty { units += margin.units }
            units += line.units
        }
        return TemplateString(units: units)
    }
}

/// `tojson`: Python's `json.dumps(value, ensure_ascii=False)`.
enum TemplateJSON {
    static func text(_ value: TemplateValue, indent: Int?) -> TemplateString {
        var units: [UInt32] = []
        append(value, indent, 0, &units)
        return TemplateString(units: units)
    }

    private static func append(
        _ value: TemplateValue, _ indent: Int?, _ level: Int, _ units: inout [UInt32]
    ) {
        func add(_ text: String) { units += TemplateString(text).units }
        func newline(_ level: Int) {
            guard let indent else { return }
            add("\n" + String(repeating: " ", count: min(indent, 64) * level))
        }
        let comma = indent == nil ? ", " : ","
        switch value {
        case .undefined, .none, .callable: add("null")
        case .bool(let flag): add(flag ? "true" : "false")
        case .int, .float: add(value.represented)
        case .string(let text): append(text, &units)
        case .list(let values):
            guard !values.isEmpty else { return add("[]") }
            add("[")
            for (index, element) in values.enumerated() {
                if index > 0 { add(comma) }
                newline(level + 1)
                append(element, indent, level + 1, &units)
            }
            newline(level)
            add("]")
        case .dict(let members):
            guard !members.isEmpty else { return add("{}") }
            add("{")
            for (index, member) in members.enumerated() {
                if index > 0 { add(comma) }
                newline(level + 1)
                append(member.key, &units)
                add(": ")
                append(member.value, indent, level + 1, &units)
            }
            newline(level)
            add("}")
        case .namespace: add("{}")
        }
    }

    private static func append(_ text: TemplateString, _ units: inout [UInt32]) {
        units.append(0x22)
        for unit in text.units {
            let mark = unit & TemplateString.userBit
            let escape: String? =
                switch unit & ~TemplateString.userBit {
                case 0x22: "\\\""
                case 0x5c: "\\\\"
                case 0x08: "\\b"
                case 0x0c: "\\f"
                case 0x0a: "\\n"
                case 0x0d: "\\r"
                case 0x09: "\\t"
                case let code where code < 0x20:
                    "\\u00" + (code < 16 ? "0" : "") + String(code, radix: 16)
                default: nil
                }
            if let escape {
                units += escape.unicodeScalars.map { $0.value | mark }
            } else {
                units.append(unit)
            }
        }
        units.append(0x22)
    }
}
