internal import TesseraReporting

/// `tojson`: Python's `json.dumps`.
struct TemplateJSON {
    let work: Work
    var ensuresASCII = false
    /// What a level is indented by; nil: all on one line.
    var margin: MarkedText?
    var itemSeparator: MarkedText?
    var keySeparator = MarkedText(": ")
    var sortsKeys = false

    func text(_ value: Value) throws(TemplateError) -> MarkedText {
        var result = MarkedText()
        try append(value, 0, &result)
        return result
    }

    private func append(
        _ value: Value, _ level: Int, _ result: inout MarkedText
    ) throws(TemplateError) {
        try work.charge()
        switch value {
        case .none: result.append("null")
        case .bool(let flag): result.append(flag ? "true" : "false")
        case .int(let number): result.append(String(number))
        case .float(let number): result.append(Self.number(number))
        case .string(let text), .markup(let text): try append(text, &result)
        case .list(let items), .tuple(let items):
            try list("[", "]", items.values.count, level, &result) {
                index, result throws(TemplateError) in
                try append(items.values[index], level + 1, &result)
            }
        case .dict(let members):
            let entries = try entries(members)
            try list("{", "}", entries.count, level, &result) {
                index, result throws(TemplateError) in
                try append(try Self.key(entries[index].key), &result)
                result.units += keySeparator.units
                try append(entries[index].value, level + 1, &result)
            }
        default: throw .failure("'tojson' of \(value.kind)")
        }
    }

    private func list(
        _ open: String, _ close: String, _ count: Int, _ level: Int, _ result: inout MarkedText,
        _ element: (Int, inout MarkedText) throws(TemplateError) -> Void
    ) throws(TemplateError) {
        result.append(open)
        for index in 0..<count {
            if index > 0 {
                result.units += (itemSeparator ?? MarkedText(margin == nil ? ", " : ",")).units
            }
            try newline(level + 1, &result)
            try element(index, &result)
        }
        if count > 0 { try newline(level, &result) }
        result.append(close)
    }

    private func newline(_ level: Int, _ result: inout MarkedText) throws(TemplateError) {
        guard let margin else { return }
        try work.charge(scalars: margin.units.count * level)
        try check(result)
        result.append("\n")
        result.units += margin.repeated(level).units
    }

    private func entries(
        _ members: Mapping
    ) throws(TemplateError) -> [(key: Value, value: Value)] {
        let entries = zip(members.keys, members.values).map { (key: $0, value: $1) }
        guard sortsKeys else { return entries }
        return try Comparison(work: work).sorted(entries, descending: false)
    }

    private static func key(_ value: Value) throws(TemplateError) -> MarkedText {
        switch value {
        case .string(let text), .markup(let text): return text
        case .none: return MarkedText("null")
        case .bool(let flag): return MarkedText(flag ? "true" : "false")
        case .int(let value): return MarkedText(String(value))
        case .float(let value): return MarkedText(number(value))
        default: throw .failure("'tojson' of a dictionary with \(value.kind) as a key")
        }
    }

    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        guard value.isFinite else { return value < 0 ? "-Infinity" : "Infinity" }
        return NumberText.shortest(value)
    }

    private func append(_ text: MarkedText, _ result: inout MarkedText) throws(TemplateError) {
        try work.charge(scalars: text.units.count)
        result.append("\"")
        result.units += text.map { escaped($1) }.units
        result.append("\"")
        try check(result)
    }

    private func check(_ result: MarkedText) throws(TemplateError) {
        guard result.units.count <= Work.textLimit else {
            throw .limit("a text of \(result.units.count) characters")
        }
    }

    private func escaped(_ scalar: Unicode.Scalar) -> String {
        switch scalar {
        case "\"": return "\\\""
        case "\\": return "\\\\"
        case "\u{8}": return "\\b"
        case "\u{c}": return "\\f"
        case "\n": return "\\n"
        case "\r": return "\\r"
        case "\t": return "\\t"
        case _ where scalar.value < 0x20, _ where ensuresASCII && scalar.value > 0x7e:
            return UTF16.encode(scalar)?.map {
                "\\u" + NumberText.hexadecimal(UInt32($0), digits: 4)
            }.joined() ?? ""
        default: return String(scalar)
        }
    }
}

extension Value {
    /// A value of a JSON document.
    ///
    /// - Parameter isUserText: Whether its strings count as written by a user.
    init(_ json: JSONValue, isUserText: Bool = true) throws(TemplateError) {
        switch json {
        case .null: self = .none
        case .bool(let flag): self = .bool(flag)
        case .number(let number): self = json.int.map(Value.int) ?? .float(number)
        case .string(let bytes):
            self = .string(
                MarkedText(String(decoding: bytes, as: UTF8.self), isUserText: isUserText))
        case .array(let elements):
            var values: [Value] = []
            for element in elements { values.append(try Value(element, isUserText: isUserText)) }
            self = try .list(values)
        case .object(let members):
            var mapping = Mapping()
            for member in members {
                try mapping.set(
                    try Value(.string(member.name), isUserText: isUserText),
                    to: try Value(member.value, isUserText: isUserText))
            }
            self = .dict(mapping)
        }
    }
}
