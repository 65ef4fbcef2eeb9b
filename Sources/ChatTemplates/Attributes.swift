/// Attributes, items and slices.
extension Interpreter {
    /// `base.name`: what Python has under that name comes before a member of a dictionary.
    func attribute(_ base: Value, _ name: String) throws(TemplateError) -> Value {
        if case .undefined = base { throw .failure("\(base.kind) has no attributes") }
        if let own = try Self.own(base, name) { return own }
        if case .dict(let members) = base, let member = members[name] { return member }
        return .undefined(name)
    }

    /// `base[index]`: a member comes before what Python has under that name.
    func item(_ base: Value, _ index: Value) throws(TemplateError) -> Value {
        try work.charge(read: index)
        switch base {
        case .undefined: throw .failure("\(base.kind) has no items")
        case .dict(let members):
            if let value = Key(index).flatMap({ members[$0] }) { return value }
        case .list(let items), .tuple(let items):
            if let place = index.int { return Self.element(items.values, place) }
        case .view(let name, let items) where name.hasPrefix("range("):
            if let place = index.int { return Self.element(items.values, place) }
        case .string(let text):
            guard let place = index.int else { break }
            let position = place < 0 ? place + text.units.count : place
            guard text.units.indices.contains(position) else { return .undefined("item \(place)") }
            return .string(MarkedText(units: [text.units[position]]))
        case .markup: throw .failure("an item of a text marked safe is not supported")
        default: break
        }
        guard let name = index.string?.text else { return .undefined("item") }
        return try Self.own(base, name) ?? .undefined(name)
    }

    private static func element(_ values: [Value], _ place: Int) -> Value {
        let position = place < 0 ? place + values.count : place
        return values.indices.contains(position) ? values[position] : .undefined("item \(place)")
    }

    /// An item by way of a path as filters take it: `a.b.0`.
    func item(_ base: Value, path: Value) throws(TemplateError) -> Value {
        var value = base
        for part in try parts(of: path) { value = try item(value, part) }
        return value
    }

    func parts(of path: Value) throws(TemplateError) -> [Value] {
        guard let text = path.string else { return [path] }
        try work.charge(scalars: text.units.count)
        return text.split(by: MarkedText(".")).map {
            $0.isDigit ? .int(Int($0.text) ?? .max) : .string($0)
        }
    }

    /// What Python itself has under `name`.
    private static func own(_ base: Value, _ name: String) throws(TemplateError) -> Value? {
        guard !name.hasPrefix("_") else { return nil }
        switch base {
        case .namespace(let space): return space.members[name]
        case .loop(let state): return state.attribute(name)
        case .macro(let macro) where name == "name": return .text(macro.name)
        default: break
        }
        // The sandbox hides what changes a value.
        if mutators(of: base).contains(name) { return .undefined(name) }
        guard names(of: base).contains(name) else { return nil }
        return .method(base, name)
    }

    private static func mutators(of base: Value) -> Set<String> {
        switch base {
        case .list: listMutators
        case .dict: dictionaryMutators
        default: []
        }
    }

    /// All that Python has, supported or not: what is not supported is refused when it is called.
    private static func names(of base: Value) -> Set<String> {
        switch base {
        case .string, .markup: stringNames
        case .list: ["copy", "count", "index"]
        case .tuple: ["count", "index"]
        case .dict: ["copy", "fromkeys", "get", "items", "keys", "values"]
        case .view: ["count", "index", "isdisjoint", "mapping", "start", "step", "stop"]
        case .int, .bool:
            [
                "as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator",
                "from_bytes", "imag", "numerator", "real", "to_bytes",
            ]
        case .float:
            ["as_integer_ratio", "conjugate", "fromhex", "hex", "imag", "is_integer", "real"]
        case .macro: ["arguments", "caller", "catch_kwargs", "catch_varargs", "explicit_caller"]
        default: []
        }
    }

    private static let listMutators: Set<String> = [
        "append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort",
    ]
    private static let dictionaryMutators: Set<String> = [
        "clear", "pop", "popitem", "setdefault", "update",
    ]
    private static let stringNames: Set<String> = [
        "capitalize", "casefold", "center", "count", "encode", "endswith", "expandtabs", "find",
        "format", "format_map", "index", "isalnum", "isalpha", "isascii", "isdecimal", "isdigit",
        "isidentifier", "islower", "isnumeric", "isprintable", "isspace", "istitle", "isupper",
        "join", "ljust", "lower", "lstrip", "maketrans", "partition", "removeprefix",
        "removesuffix", "replace", "rfind", "rindex", "rjust", "rpartition", "rsplit", "rstrip",
        "split", "splitlines", "startswith", "strip", "swapcase", "title", "translate", "upper",
        "zfill",
    ]

    func slice(
        _ base: Value, _ begin: Value?, _ end: Value?, _ stride: Value?
    ) throws(TemplateError) -> Value {
        try work.charge(read: base)
        func picked(_ count: Int) throws(TemplateError) -> [Int] {
            try Self.indices(count, begin, end, stride)
        }
        switch base {
        case .list(let items):
            return try .list(try picked(items.values.count).map { items.values[$0] })
        case .tuple(let items):
            return try .tuple(try picked(items.values.count).map { items.values[$0] })
        case .string(let text):
            return .string(MarkedText(units: try picked(text.units.count).map { text.units[$0] }))
        default: throw .failure("\(base.kind) cannot be sliced")
        }
    }

    /// Places that a slice of `count` elements takes.
    private static func indices(
        _ count: Int, _ begin: Value?, _ end: Value?, _ stride: Value?
    ) throws(TemplateError) -> [Int] {
        func number(_ value: Value?) throws(TemplateError) -> Int? {
            guard let value, !value.isNone else { return nil }
            guard let number = value.int else { throw .failure("a slice by \(value.kind)") }
            return number
        }
        let step = min(max(try number(stride) ?? 1, -count - 1), count + 1)
        guard step != 0 else { throw .failure("a slice with step 0") }
        func clamped(_ value: Value?, _ standard: Int) throws(TemplateError) -> Int {
            guard let place = try number(value) else { return standard }
            let position = place < 0 ? place + count : place
            return step > 0 ? min(max(position, 0), count) : min(max(position, -1), count - 1)
        }
        let first = try clamped(begin, step > 0 ? 0 : count - 1)
        let last = try clamped(end, step > 0 ? count : -1)
        return Array(Swift.stride(from: first, to: last, by: step))
    }
}
