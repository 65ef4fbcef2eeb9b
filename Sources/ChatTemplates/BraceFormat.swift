/// `'{} {name:>5}'.format(...)`.
struct BraceFormat {
    let interpreter: Interpreter
    let arguments: Arguments
    private var next = 0
    private var usesNumbers = false

    init(_ interpreter: Interpreter, _ arguments: Arguments) {
        self.interpreter = interpreter
        self.arguments = arguments
    }

    mutating func text(_ format: MarkedText) throws(TemplateError) -> MarkedText {
        var result = MarkedText()
        let plain = format.plain
        var at = 0
        while at < plain.count {
            let value = plain[at]
            let isDoubled = at + 1 < plain.count && plain[at + 1] == value
            guard value == 0x7b || value == 0x7d else {
                result.units.append(format.units[at])
                at += 1
                continue
            }
            if isDoubled {
                result.units.append(format.units[at])
                at += 2
                continue
            }
            guard value == 0x7b, let end = plain[at...].firstIndex(of: 0x7d) else {
                throw .failure("a single brace in the text of 'format'")
            }
            guard !plain[(at + 1)..<end].contains(0x7b) else {
                throw .failure("a field inside a field of 'format' is not supported")
            }
            let piece = try field(format[at + 1..<end])
            try interpreter.work.charge(scalars: piece.units.count)
            result.units += piece.units
            guard result.units.count <= Work.textLimit else { throw .limit("a text this long") }
            at = end + 1
        }
        return result
    }

    /// `[name][!conversion][:specification]`
    private mutating func field(_ field: MarkedText) throws(TemplateError) -> MarkedText {
        let parts = field.split(by: MarkedText(":"), most: 1)
        let names = parts[0].split(by: MarkedText("!"), most: 1)
        var value = try value(names[0].text)
        let printing = Representation(work: interpreter.work)
        switch names.count > 1 ? names[1].text : "" {
        case "": break
        case "s": value = .string(try printing.printed(value))
        case "r": value = .string(try printing.represented(value))
        case let other: throw .failure("the conversion '!\(other)' is not supported")
        }
        return try FieldFormat(parts.count > 1 ? parts[1] : MarkedText())
            .text(value, work: interpreter.work)
    }

    /// A number, a name or nothing, then attributes.
    private mutating func value(_ path: String) throws(TemplateError) -> Value {
        guard !path.contains("[") else {
            throw .failure("an index in a field of 'format' is not supported")
        }
        let parts = path.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        var value: Value
        if parts[0].isEmpty || Int(parts[0]) != nil {
            let isNumbered = !parts[0].isEmpty
            guard next == 0 || isNumbered == usesNumbers else {
                throw .failure("fields of 'format' with and without numbers")
            }
            usesNumbers = isNumbered
            let index = Int(parts[0]) ?? next
            next += 1
            guard arguments.positional.indices.contains(index) else {
                throw .failure("'format' with too few values")
            }
            value = arguments.positional[index]
        } else {
            guard let named = arguments.named.first(where: { $0.name == parts[0] }) else {
                throw .failure("'format': there is no '\(parts[0])'")
            }
            value = named.value
        }
        for name in parts.dropFirst() {
            guard !value.isUndefined else { throw .failure("\(value.kind) has no attributes") }
            value = try interpreter.attribute(value, name)
            if value.isUndefined { throw .failure("'format': there is no attribute '\(name)'") }
        }
        return value
    }
}
