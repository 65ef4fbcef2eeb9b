/// Methods of strings, lists and dictionaries. Those of Python that are not here are refused by name.
extension Interpreter {
    func method(
        _ base: Value, _ name: String, _ arguments: Arguments
    ) throws(TemplateError) -> Value {
        switch base {
        case .string(let text): return try StringMethods(self, text).call(name, arguments)
        case .dict(let members): return try method(members, name, arguments)
        case .list(let items), .tuple(let items): return try method(items, name, arguments)
        case .loop(let state): return try method(state, name, arguments)
        default: throw .failure("the method '\(name)' of \(base.kind) is not supported")
        }
    }

    private func method(
        _ members: Mapping, _ name: String, _ arguments: Arguments
    ) throws(TemplateError) -> Value {
        switch name {
        case "get":
            let bound = try arguments.unnamed(for: name, ["key", "default"], required: 1)
            guard let key = bound[0].flatMap(Key.init) else { throw .failure("'get' by no key") }
            return members[key] ?? bound[1] ?? .none
        case "items", "keys", "values", "copy":
            _ = try arguments.bound(to: name, [])
            if name == "copy" { return .dict(members) }
            let values =
                switch name {
                case "items": try members.pairs()
                case "keys": members.keys
                default: members.values
                }
            return .view("dict_" + name, try Items(values))
        default: throw .failure("the method '\(name)' of dictionaries is not supported")
        }
    }

    private func method(
        _ items: Items, _ name: String, _ arguments: Arguments
    ) throws(TemplateError) -> Value {
        if name == "copy" {
            _ = try arguments.bound(to: name, [])
            return .list(items)
        }
        let wanted = try arguments.unnamed(for: name, ["value"], required: 1)[0] ?? .none
        var places: [Int] = []
        for (index, value) in items.values.enumerated()
        where try Comparison(work: work).equal(value, wanted) {
            places.append(index)
        }
        if name == "count" { return .int(places.count) }
        guard let first = places.first else { throw .failure("'index' of what is not there") }
        return .int(first)
    }

    private func method(
        _ state: LoopState, _ name: String, _ arguments: Arguments
    ) throws(TemplateError) -> Value {
        let values = arguments.positional
        guard arguments.named.isEmpty, name == "changed" || !values.isEmpty else {
            throw .failure("bad arguments of 'loop.\(name)'")
        }
        if name == "cycle" { return values[state.index % values.count] }
        defer { state.last = values }
        guard let last = state.last else { return .bool(true) }
        return .bool(
            try !Comparison(work: work).equal(try .tuple(last), try .tuple(values)))
    }
}

/// Methods of one string.
struct StringMethods {
    let interpreter: Interpreter
    let text: MarkedText
    private var work: Work { interpreter.work }

    init(_ interpreter: Interpreter, _ text: MarkedText) {
        self.interpreter = interpreter
        self.text = text
    }

    func call(_ name: String, _ arguments: Arguments) throws(TemplateError) -> Value {
        if let method = Self.plain[name] {
            _ = try arguments.bound(to: name, [])
            return method(text)
        }
        switch name {
        case "strip", "lstrip", "rstrip":
            let bound = try arguments.unnamed(for: name, ["chars"])
            return .string(
                text.trimmed(
                    try bound.optionalText(0), left: name != "rstrip", right: name != "lstrip"))
        case "split", "rsplit": return try split(arguments, fromEnd: name == "rsplit")
        case "splitlines":
            let bound = try arguments.bound(to: name, ["keepends"])
            return try strings(text.lines(keepingEnds: bound.flag(0)))
        case "partition", "rpartition":
            return try partition(arguments, fromEnd: name == "rpartition")
        case "startswith", "endswith": return .bool(try hasAffix(name, arguments))
        case "removeprefix", "removesuffix":
            let affix = try arguments.unnamed(for: name, ["affix"], required: 1).text(0)
            let length = text.units.count - affix.units.count
            if name == "removeprefix", text.starts(with: affix) {
                return .string(text[affix.units.count..<text.units.count])
            }
            return .string(
                name == "removesuffix" && text.ends(with: affix) ? text[0..<length] : text)
        case "replace":
            let bound = try arguments.unnamed(for: name, ["old", "new", "count"], required: 2)
            return .string(
                try interpreter.replaced(
                    text, try bound.text(0), try bound.text(1), try bound.most(2)))
        case "join": return try join(arguments)
        case "format":
            var format = BraceFormat(interpreter, arguments)
            return .string(try format.text(text))
        case "find", "rfind", "index", "rindex", "count": return try find(name, arguments)
        case "center", "ljust", "rjust", "zfill": return try padded(name, arguments)
        default: throw .failure("the method '\(name)' of strings is not supported")
        }
    }

    private static let plain: [String: @Sendable (MarkedText) -> Value] = [
        "upper": { .string($0.uppercased()) }, "lower": { .string($0.lowercased()) },
        "title": { .string($0.titlecased()) }, "capitalize": { .string($0.capitalized()) },
        "swapcase": { .string($0.swappingCase()) }, "isalpha": { .bool($0.isAlpha) },
        "isalnum": { .bool($0.isAlphanumeric) }, "isspace": { .bool($0.isSpace) },
        "isnumeric": { .bool($0.isNumeric) }, "isdecimal": { .bool($0.isDecimal) },
        "isdigit": { .bool($0.isDigit) }, "isascii": { .bool($0.isASCII) },
        "isupper": { .bool($0.isUppercase) }, "islower": { .bool($0.isLowercase) },
    ]

    private func strings(_ parts: [MarkedText]) throws(TemplateError) -> Value {
        try work.charge(elements: parts.count)
        return try .list(parts.map { .string($0) })
    }

    private func split(_ arguments: Arguments, fromEnd: Bool) throws(TemplateError) -> Value {
        let bound = try arguments.bound(to: "split", ["sep", "maxsplit"])
        let most = try bound.most(1)
        guard let separator = try bound.optionalText(0) else {
            let source = fromEnd ? text.reversed() : text
            let words = source.words(most: most)
            return try strings(fromEnd ? words.reversed().map { $0.reversed() } : words)
        }
        guard !separator.isEmpty else { throw .failure("'split' by an empty text") }
        return try strings(
            fromEnd
                ? text.splitFromEnd(by: separator, most: most)
                : text.split(by: separator, most: most))
    }

    private func partition(_ arguments: Arguments, fromEnd: Bool) throws(TemplateError) -> Value {
        let separator = try arguments.unnamed(for: "partition", ["sep"], required: 1).text(0)
        guard !separator.isEmpty else { throw .failure("'partition' by an empty text") }
        let parts =
            fromEnd
            ? text.splitFromEnd(by: separator, most: 1) : text.split(by: separator, most: 1)
        let empty = Value.text("")
        guard parts.count == 2 else {
            return try .tuple(
                fromEnd ? [empty, empty, .string(text)] : [.string(text), empty, empty])
        }
        return try .tuple([.string(parts[0]), .string(separator), .string(parts[1])])
    }

    private func hasAffix(
        _ name: String, _ arguments: Arguments
    ) throws(TemplateError) -> Bool {
        let bound = try arguments.unnamed(for: name, ["affix", "start", "end"], required: 1)
        let part = try range(bound)
        let affixes: [Value] =
            if case .tuple(let items) = bound[0] { items.values } else { [bound[0] ?? .none] }
        var found = false
        for value in affixes {
            guard let affix = value.string else { throw .failure("'\(name)' of \(value.kind)") }
            try work.charge(scalars: affix.units.count)
            let isThere = name == "startswith" ? part?.starts(with: affix) : part?.ends(with: affix)
            if isThere ?? false { found = true }
        }
        return found
    }

    /// The part of the text that the arguments `start` and `end` (1 and 2) leave; nil if they
    /// begin after the end.
    private func range(_ bound: Arguments.Bound) throws(TemplateError) -> MarkedText? {
        func place(_ index: Int, _ standard: Int) throws(TemplateError) -> Int {
            guard let given = try bound.optionalInt(index) else { return standard }
            return given < 0 ? max(0, given + text.units.count) : given
        }
        let begin = try place(1, 0)
        let end = min(try place(2, text.units.count), text.units.count)
        return begin <= end ? text[begin..<end] : nil
    }

    private func find(_ name: String, _ arguments: Arguments) throws(TemplateError) -> Value {
        let bound = try arguments.unnamed(for: name, ["sub", "start", "end"], required: 1)
        let wanted = try bound.text(0)
        let part = try range(bound)
        let isReversed = name.hasPrefix("r")
        if name == "count" {
            guard let part else { return .int(0) }
            return .int(wanted.isEmpty ? part.units.count + 1 : part.places(of: wanted).count)
        }
        var found: Int?
        if let part {
            let begin = max(
                0, try bound.optionalInt(1).map { $0 < 0 ? $0 + text.units.count : $0 } ?? 0)
            if wanted.isEmpty {
                found = begin + (isReversed ? part.units.count : 0)
            } else if isReversed {
                found = part.reversed().places(of: wanted.reversed(), most: 1).first.map {
                    begin + part.units.count - $0 - wanted.units.count
                }
            } else {
                found = part.places(of: wanted, most: 1).first.map { begin + $0 }
            }
        }
        guard found != nil || name.hasSuffix("find") else {
            throw .failure("'\(name)' of a text that is not there")
        }
        return .int(found ?? -1)
    }

    private func join(_ arguments: Arguments) throws(TemplateError) -> Value {
        let list = try arguments.unnamed(for: "join", ["iterable"], required: 1)[0] ?? .none
        if list.isUndefined { throw .failure("'join' of \(list.kind)") }
        var parts: [MarkedText] = []
        for value in try list.elements() {
            guard case .string(let part) = value else { throw .failure("'join' of \(value.kind)") }
            parts.append(part)
        }
        return .string(try interpreter.joined(parts, by: text))
    }

    private func padded(_ name: String, _ arguments: Arguments) throws(TemplateError) -> Value {
        let bound = try arguments.unnamed(
            for: name, name == "zfill" ? ["width"] : ["width", "fillchar"], required: 1)
        let width = try bound.int(0, default: 0)
        guard name == "zfill" || bound[1] == nil || bound[1]?.string?.units.count == 1 else {
            throw .failure("'\(name)' with a filler that is no single character")
        }
        let filler = name == "zfill" ? MarkedText("0") : bound[1]?.string ?? MarkedText(" ")
        try work.charge(scalars: max(0, width))
        return .string(text.padded(to: width, filler, name))
    }
}

extension MarkedText {
    /// With `filler` up to a width, by the rule of the method `name`.
    func padded(to width: Int, _ filler: MarkedText, _ name: String) -> MarkedText {
        let missing = width - units.count
        guard missing > 0 else { return self }
        switch name {
        case "ljust": return self + filler.repeated(missing)
        case "rjust": return filler.repeated(missing) + self
        case "center":
            let left = missing / 2 + (missing & width & 1)
            return filler.repeated(left) + self + filler.repeated(missing - left)
        default:
            let sign = units.first.map { [0x2b, 0x2d].contains($0 & ~Self.userBit) } ?? false
            let head = sign ? 1 : 0
            return self[0..<head] + filler.repeated(missing) + self[head..<units.count]
        }
    }
}
