/// Jinja's filters. Those that are not here are refused by name.
extension Interpreter {
    func filter(
        _ name: String, _ value: Value, _ arguments: Arguments
    ) throws(TemplateError) -> Value {
        try work.charge(read: value)
        try work.charge(read: arguments)
        if value.isMarkup, !Self.filtersOfMarkup.contains(name) {
            throw .failure("'\(name)' of a text marked safe is not supported")
        }
        for family in [textFilter, numberFilter, elementFilter, sequenceFilter, choosingFilter] {
            if let result = try family(name, value, arguments) { return result }
        }
        throw .failure("the filter '\(name)' is not supported")
    }

    /// Filters whose result does not depend on how a text that is marked safe is joined.
    private static let filtersOfMarkup: Set<String> = [
        "safe", "string", "length", "count", "default", "d", "tojson", "wordcount", "int", "float",
    ]

    func printed(_ value: Value) throws(TemplateError) -> MarkedText {
        try Representation(work: work).printed(value)
    }

    private func textFilter(
        _ name: String, _ value: Value, _ arguments: Arguments
    ) throws(TemplateError) -> Value? {
        if let change = Self.textChanges[name] {
            _ = try arguments.bound(to: name, [])
            return .string(change(try printed(value)))
        }
        switch name {
        case "string", "safe":
            _ = try arguments.bound(to: name, [])
            if case .markup = value { return value }
            return name == "safe" ? .markup(try printed(value)) : .string(try printed(value))
        case "escape", "e":
            _ = try arguments.bound(to: name, [])
            return .markup(try printed(value).map { Self.escapes[$1] ?? String($1) })
        case "trim":
            let bound = try arguments.bound(to: name, ["chars"])
            return .string(try printed(value).trimmed(try bound.optionalText(0)))
        case "replace":
            let bound = try arguments.bound(to: name, ["old", "new", "count"], required: 2)
            return .string(
                try replaced(
                    try printed(value), try printed(bound[0] ?? .none),
                    try printed(bound[1] ?? .none), try bound.most(2)))
        case "center":
            let width = try arguments.bound(to: name, ["width"]).int(0, default: 80)
            try work.charge(scalars: max(0, width))
            return .string(try printed(value).padded(to: width, MarkedText(" "), "center"))
        case "indent": return .string(try indented(try printed(value), arguments))
        case "truncate": return .string(try truncated(try printed(value), arguments))
        case "wordcount":
            _ = try arguments.bound(to: name, [])
            return .int(try printed(value).wordCount)
        case "format": return .string(try formatted(try printed(value), arguments))
        case "tojson": return .string(try json(value, arguments))
        default: return nil
        }
    }

    private static let textChanges: [String: @Sendable (MarkedText) -> MarkedText] = [
        "upper": { $0.uppercased() }, "lower": { $0.lowercased() },
        "title": { $0.titleOfWords() }, "capitalize": { $0.capitalized() },
    ]

    private static let escapes: [Unicode.Scalar: String] = [
        "&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&#39;", "\"": "&#34;",
    ]

    /// With the size of the result checked before it is made.
    func replaced(
        _ text: MarkedText, _ old: MarkedText, _ new: MarkedText, _ most: Int
    ) throws(TemplateError) -> MarkedText {
        try work.charge(scalars: text.units.count + old.units.count)
        let count =
            old.isEmpty ? min(most, text.units.count + 1) : text.places(of: old, most: most).count
        try work.charge(
            scalars: text.units.count
                + (try Arithmetic.checked(count.multipliedReportingOverflow(by: new.units.count))))
        return text.replacing(old, with: new, most: most)
    }

    /// With the size of the result checked before it is made.
    func joined(
        _ parts: [MarkedText], by separator: MarkedText
    ) throws(TemplateError) -> MarkedText {
        try work.charge(elements: parts.count)
        let count = parts.reduce(0) { $0 + $1.units.count }
        let between = parts.count.multipliedReportingOverflow(by: separator.units.count)
        try work.charge(scalars: count + (try Arithmetic.checked(between)))
        return MarkedText.joined(parts, by: separator)
    }

    private func indented(
        _ text: MarkedText, _ arguments: Arguments
    ) throws(TemplateError) -> MarkedText {
        let bound = try arguments.bound(to: "indent", ["width", "first", "blank"])
        let margin: MarkedText
        if let given = bound[0]?.string {
            margin = given
        } else {
            let width = max(0, try bound.int(0, default: 4))
            try work.charge(scalars: width)
            margin = MarkedText(" ").repeated(width)
        }
        var lines = (text + MarkedText("\n")).lines()
        try work.charge(elements: lines.count)
        let added = try Arithmetic.checked(
            lines.count.multipliedReportingOverflow(by: margin.units.count))
        try work.charge(scalars: text.units.count + added)
        for index in lines.indices
        where index == 0 ? bound.flag(1) : bound.flag(2) || !lines[index].isEmpty {
            lines[index] = margin + lines[index]
        }
        return MarkedText.joined(lines, by: MarkedText("\n"))
    }

    private func truncated(
        _ text: MarkedText, _ arguments: Arguments
    ) throws(TemplateError) -> MarkedText {
        let bound = try arguments.bound(to: "truncate", ["length", "killwords", "end", "leeway"])
        let length = try bound.int(0, default: 255)
        let end = try bound.optionalText(2) ?? MarkedText("...")
        let leeway = try bound.optionalInt(3) ?? 5
        guard length >= end.units.count, leeway >= 0 else { throw .failure("'truncate' to that") }
        guard text.units.count - leeway > length else { return text }
        let head = text[0..<length - end.units.count]
        if bound.flag(1) { return head + end }
        return head.splitFromEnd(by: MarkedText(" "), most: 1)[0] + end
    }

    private func formatted(
        _ format: MarkedText, _ arguments: Arguments
    ) throws(TemplateError) -> MarkedText {
        guard !arguments.named.isEmpty else {
            let value = try Value.tuple(arguments.positional)
            return try PercentFormat(work: work, arguments: arguments.positional, members: value)
                .text(format)
        }
        guard arguments.positional.isEmpty else {
            throw .failure("'format' with and without names")
        }
        var members = Mapping()
        for (name, value) in arguments.named { try members.set(.text(name), to: value) }
        return try PercentFormat(
            work: work, arguments: [.dict(members)], members: .dict(members)
        ).text(format)
    }

    private func json(_ value: Value, _ arguments: Arguments) throws(TemplateError) -> MarkedText {
        let bound = try arguments.bound(
            to: "tojson", ["ensure_ascii", "indent", "separators", "sort_keys"])
        var json = TemplateJSON(work: work)
        json.ensuresASCII = bound.flag(0)
        if let margin = bound[1]?.string {
            json.margin = margin
        } else if let width = try bound.optionalInt(1) {
            try work.charge(scalars: max(0, width))
            json.margin = MarkedText(" ").repeated(width)
        }
        if let separators = bound[2], !separators.isNone {
            let parts = try separators.elements().compactMap(\.string)
            guard parts.count == 2 else { throw .failure("'separators' are two strings") }
            (json.itemSeparator, json.keySeparator) = (parts[0], parts[1])
        }
        json.sortsKeys = bound.flag(3)
        return try json.text(value)
    }

    private func numberFilter(
        _ name: String, _ value: Value, _ arguments: Arguments
    ) throws(TemplateError) -> Value? {
        switch name {
        case "int":
            let bound = try arguments.bound(to: name, ["default", "base"])
            return try whole(value, base: try bound.int(1, default: 10)) ?? bound[0] ?? .int(0)
        case "float":
            let bound = try arguments.bound(to: name, ["default"])
            if value.isUndefined { throw .failure("'float' of \(value.kind)") }
            let number = value.string.map(NumberText.float) ?? value.double
            return number.map(Value.float) ?? bound[0] ?? .float(0)
        case "abs":
            _ = try arguments.bound(to: name, [])
            if let number = value.int { return .int(try Arithmetic.magnitude(number)) }
            guard case .float(let number) = value else { throw .failure("'abs' of \(value.kind)") }
            return .float(number.magnitude)
        case "round": return try rounded(value, arguments)
        default: return nil
        }
    }

    private func whole(_ value: Value, base: Int) throws(TemplateError) -> Value? {
        if value.isUndefined { throw .failure("'int' of \(value.kind)") }
        if let number = value.int { return .int(number) }
        var number: Double?
        if let text = value.string {
            if let read = try NumberText.int(text, base: base) { return .int(read) }
            number = NumberText.float(text)
        } else if case .float(let given) = value {
            guard !given.isInfinite else { throw Arithmetic.overflow }
            number = given
        }
        guard let number, number.isFinite else { return nil }
        guard abs(number) < 0x1p63 else { throw Arithmetic.overflow }
        return .int(Int(number))
    }

    private func rounded(_ value: Value, _ arguments: Arguments) throws(TemplateError) -> Value {
        let bound = try arguments.bound(to: "round", ["precision", "method"])
        let precision = try bound.int(0, default: 0)
        let method = try bound.optionalText(1)?.text ?? "common"
        guard (0...15).contains(precision), ["common", "ceil", "floor"].contains(method) else {
            throw .failure("'round' with precision \(precision) and method '\(method)'")
        }
        guard let number = value.double else { throw .failure("'round' of \(value.kind)") }
        if method == "common" {
            if let whole = value.int { return .int(whole) }
            return .float(Double(NumberText.fixed(number, decimals: precision)) ?? number)
        }
        let factor = (0..<precision).reduce(1.0) { product, _ in product * 10 }
        let scaled = (number * factor).rounded(method == "ceil" ? .up : .down)
        guard scaled.isFinite else { throw .failure("'round' of \(number)") }
        // Python rounds to a whole number here, which has no negative zero.
        return .float(scaled == 0 ? 0 : scaled / factor)
    }
}
