/// How Python prints a value.
struct Representation {
    let work: Work

    /// Python's `str`: the text of `{{ value }}`.
    func printed(_ value: Value) throws(TemplateError) -> MarkedText {
        switch value {
        case .undefined: return MarkedText()
        case .string(let text), .markup(let text): return text
        default: return try represented(value)
        }
    }

    /// Python's `repr`.
    func represented(_ value: Value) throws(TemplateError) -> MarkedText {
        var result = MarkedText()
        try append(value, to: &result)
        return result
    }

    private func append(_ value: Value, to result: inout MarkedText) throws(TemplateError) {
        try work.charge()
        switch value {
        case .undefined: result.append("Undefined")
        case .none: result.append("None")
        case .bool(let flag): result.append(flag ? "True" : "False")
        case .int(let number): result.append(String(number))
        case .float(let number): result.append(NumberText.shortest(number))
        case .string(let text): try append(text, to: &result)
        case .markup(let text):
            result.append("Markup(")
            try append(text, to: &result)
            result.append(")")
        case .list(let items): try append(items.values, between: "[", "]", to: &result)
        case .tuple(let items):
            try append(
                items.values, between: "(", items.values.count == 1 ? ",)" : ")", to: &result)
        case .view(let name, _) where name.hasPrefix("range("): result.append(name)
        case .view(let name, let items):
            try append(items.values, between: name + "([", "])", to: &result)
        case .dict(let members):
            result.append("{")
            for index in 0..<members.count {
                if index > 0 { result.append(", ") }
                try append(members.keys[index], to: &result)
                result.append(": ")
                try append(members.values[index], to: &result)
            }
            result.append("}")
        case .iterator, .namespace, .function, .method, .macro, .loop:
            throw .failure("\(value.kind) cannot be printed")
        }
    }

    private func append(
        _ values: [Value], between open: String, _ close: String, to result: inout MarkedText
    ) throws(TemplateError) {
        result.append(open)
        for (index, value) in values.enumerated() {
            if index > 0 { result.append(", ") }
            try append(value, to: &result)
        }
        result.append(close)
    }

    private func append(_ text: MarkedText, to result: inout MarkedText) throws(TemplateError) {
        try work.charge(scalars: text.units.count)
        let hasSingle = text.contains(MarkedText("'"))
        let quote: Unicode.Scalar = hasSingle && !text.contains(MarkedText("\"")) ? "\"" : "'"
        result.append(String(quote))
        result.units += text.map { Self.escaped($1, quote) }.units
        result.append(String(quote))
        guard result.units.count <= Work.textLimit else {
            throw .limit("a text of \(result.units.count) characters")
        }
    }

    private static func escaped(_ scalar: Unicode.Scalar, _ quote: Unicode.Scalar) -> String {
        switch scalar {
        case "\n": return "\\n"
        case "\r": return "\\r"
        case "\t": return "\\t"
        case "\\": return "\\\\"
        case quote: return "\\" + String(quote)
        case " "..."~": return String(scalar)
        default: break
        }
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
            .paragraphSeparator, .spaceSeparator:
            let (letter, width) =
                scalar.value < 0x100 ? ("x", 2) : scalar.value < 0x10000 ? ("u", 4) : ("U", 8)
            return "\\" + letter + NumberText.hexadecimal(scalar.value, digits: width)
        default: return String(scalar)
        }
    }
}

extension MarkedText {
    /// Appends text of the template's own.
    mutating func append(_ text: String) {
        for scalar in text.unicodeScalars { units.append(scalar.value) }
    }
}
