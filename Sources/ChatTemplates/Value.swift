/// A value of a template, as Python has it.
enum Value {
    /// What is not there; the text says what.
    case undefined(String)
    case none
    case bool(Bool)
    case int(Int)
    case float(Double)
    case string(MarkedText)
    /// What `safe` and `escape` make: escapes whatever is joined to it.
    case markup(MarkedText)
    case list(Items)
    case tuple(Items)
    /// `range(...)` and the views of a dictionary, called by the name that Python prints.
    case view(String, Items)
    /// A Python generator: gives its elements once.
    case iterator(Iterator)
    case dict(Mapping)
    case namespace(Namespace)
    case function(String)
    indirect case method(Value, String)
    case macro(Macro)
    case loop(LoopState)

    static func text(_ text: String) -> Value { .string(MarkedText(text)) }
    static func list(_ values: [Value]) throws(TemplateError) -> Value { .list(try Items(values)) }
    static func tuple(_ values: [Value]) throws(TemplateError) -> Value {
        .tuple(try Items(values))
    }
    static func iterator(_ values: [Value]) throws(TemplateError) -> Value {
        .iterator(Iterator(try Items(values)))
    }

    /// How deeply its elements nest: bounded, so that recursion over a value is.
    var depth: Int {
        switch self {
        case .list(let items), .tuple(let items), .view(_, let items): items.depth
        case .iterator(let iterator): iterator.depth
        case .dict(let members): members.depth
        case .method(let base, _): base.depth + 1
        default: 0
        }
    }

    var isTrue: Bool {
        switch self {
        case .undefined, .none: false
        case .bool(let value): value
        case .int(let value): value != 0
        case .float(let value): value != 0
        case .string(let value), .markup(let value): !value.isEmpty
        case .list(let items), .tuple(let items), .view(_, let items): !items.values.isEmpty
        case .dict(let members): members.count > 0
        case .iterator, .namespace, .function, .method, .macro, .loop: true
        }
    }

    var isUndefined: Bool { if case .undefined = self { true } else { false } }
    var isNone: Bool { if case .none = self { true } else { false } }
    var isMarkup: Bool { if case .markup = self { true } else { false } }

    /// A text, marked safe or not.
    var string: MarkedText? {
        switch self {
        case .string(let value), .markup(let value): value
        default: nil
        }
    }

    /// A whole number; truth values count as 0 and 1.
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

    /// Its elements, as a loop sees them. An iterator is used up.
    func elements() throws(TemplateError) -> [Value] {
        switch self {
        case .list(let items), .tuple(let items), .view(_, let items): return items.values
        case .iterator(let iterator): return iterator.takeAll()
        case .dict(let members): return members.keys
        case .string(let text), .markup(let text):
            guard text.units.count <= Work.elementLimit else {
                throw .limit("a list of \(text.units.count) elements")
            }
            return text.units.map { .string(MarkedText(units: [$0])) }
        case .undefined: return []
        default: throw .failure("\(kind) cannot be looped over")
        }
    }

    /// Python's `len`.
    func count() throws(TemplateError) -> Int {
        switch self {
        case .list(let items), .tuple(let items), .view(_, let items): return items.values.count
        case .dict(let members): return members.count
        case .string(let text), .markup(let text): return text.units.count
        case .undefined: return 0
        default: throw .failure("\(kind) has no length")
        }
    }

    /// What it is, for messages.
    var kind: String {
        switch self {
        case .undefined(let what): "'\(what)', which is undefined,"
        case .none: "none"
        case .bool: "a truth value"
        case .int: "a whole number"
        case .float: "a number"
        case .string: "a string"
        case .markup: "a text marked safe"
        case .list: "a list"
        case .tuple: "a tuple"
        case .view(let name, _): "\(name)"
        case .iterator: "an iterator"
        case .dict: "a dictionary"
        case .namespace: "a namespace"
        case .function(let name): "the function '\(name)'"
        case .method(_, let name): "the method '\(name)'"
        case .macro(let macro): "the macro '\(macro.name)'"
        case .loop: "a loop"
        }
    }
}

/// The elements of a list, and how deeply they nest.
struct Items {
    let values: [Value]
    let depth: Int

    init(_ values: [Value]) throws(TemplateError) {
        self.values = values
        depth = try Self.depth(over: values.lazy.map(\.depth).max() ?? 0)
        guard values.count <= Work.elementLimit else {
            throw .limit("a list of \(values.count) elements")
        }
    }

    static func depth(over depth: Int) throws(TemplateError) -> Int {
        guard depth < Work.depthLimit / 2 else { throw .limit("a value nested too deeply") }
        return depth + 1
    }
}

/// Elements that are given once.
final class Iterator {
    private(set) var left: ArraySlice<Value>
    let depth: Int

    init(_ items: Items) {
        left = items.values[...]
        depth = items.depth
    }

    func next() -> Value? { left.popFirst() }

    func takeAll() -> [Value] {
        defer { left = [] }
        return Array(left)
    }
}

/// `namespace(...)`: the one thing a template may change.
final class Namespace {
    var members: [String: Value] = [:]
}

/// A dictionary, in the order of insertion.
struct Mapping {
    private(set) var keys: [Value] = []
    private(set) var values: [Value] = []
    private(set) var depth = 1
    private var places: [Key: Int] = [:]

    init() {}

    init(_ members: [(String, Value)]) throws(TemplateError) {
        for (name, value) in members { try set(.text(name), to: value) }
    }

    var count: Int { keys.count }

    subscript(key: Key) -> Value? { places[key].map { values[$0] } }
    subscript(name: String) -> Value? { self[.string(MarkedText(name))] }

    mutating func set(_ key: Value, to value: Value) throws(TemplateError) {
        guard let hashed = Key(key) else { throw .failure("\(key.kind) cannot be a key") }
        depth = max(depth, try Items.depth(over: max(key.depth, value.depth)))
        if let place = places[hashed] {
            values[place] = value
            return
        }
        guard keys.count < Work.elementLimit else { throw .limit("a dictionary this large") }
        places[hashed] = keys.count
        keys.append(key)
        values.append(value)
    }

    func pairs() throws(TemplateError) -> [Value] {
        var pairs: [Value] = []
        for (key, value) in zip(keys, values) { pairs.append(try .tuple([key, value])) }
        return pairs
    }
}

/// What dictionaries find values by: 1, 1.0 and true are one key.
indirect enum Key: Hashable {
    case none
    case int(Int)
    case float(Double)
    case string(MarkedText)
    case tuple([Key])

    /// Nil for what has no hash in Python, or none that a template should rely on, and for tuples of
    /// tuples, which could take exponential time.
    init?(_ value: Value) {
        switch value {
        case .none: self = .none
        case .bool(let flag): self = .int(flag ? 1 : 0)
        case .int(let number): self = .int(number)
        case .float(let number): self = Int(exactly: number).map(Key.int) ?? .float(number)
        case .string(let text), .markup(let text): self = .string(text)
        case .tuple(let items):
            guard items.depth == 1 else { return nil }
            let keys = items.values.compactMap(Key.init)
            guard keys.count == items.values.count else { return nil }
            self = .tuple(keys)
        default: return nil
        }
    }
}
