package import TesseraReporting

extension Grammar {
    /// The JSON texts that a JSON Schema accepts, or a part of them: members come in the order of `properties`,
    /// and there are no further members unless the schema names them.
    ///
    /// - Parameter schema: The schema's own text.
    /// - Throws: `schema` with the path of a part that is not supported or cannot be satisfied.
    public init(schema: String) throws(GrammarError) {
        let value: JSONValue
        do throws(JSONParser.Failure) {
            value = try JSONParser.parse(Array(schema.utf8))
        } catch {
            throw .schema(path: "", "is not JSON at byte \(error.offset): \(error.reason)")
        }
        try self.init(schema: value)
    }

    package init(schema: JSONValue) throws(GrammarError) {
        var compiler = SchemaCompiler(schema)
        let root = try compiler.compile()
        try self.init(compiler.rules, root: root)
    }
}

/// A part of a schema and where it is.
struct SchemaPart {
    var value: JSONValue
    /// JSON pointer, without `#`.
    var path: String

    func member(_ name: String) -> SchemaPart? {
        value[name].map { SchemaPart(value: $0, path: "\(path)/\(Self.escaped(name))") }
    }

    func element(_ index: Int, _ value: JSONValue) -> SchemaPart {
        SchemaPart(value: value, path: "\(path)/\(index)")
    }

    func failure(_ reason: String) -> GrammarError { .schema(path: path, reason) }

    private static func escaped(_ name: String) -> String {
        var result = ""
        for character in name.unicodeScalars {
            switch character {
            case "~": result += "~0"
            case "/": result += "~1"
            default: result.unicodeScalars.append(character)
            }
        }
        return result
    }

    /// A whole number of 0 or more.
    func count(_ name: String) throws(GrammarError) -> Int? {
        guard let member = member(name) else { return nil }
        guard let count = member.value.int, count >= 0 else {
            throw member.failure("is not a whole number of 0 or more")
        }
        return count
    }
}

/// Rules for a schema, one for each part of it.
struct SchemaCompiler {
    private let root: SchemaPart
    private(set) var rules: [Grammar.Rule]
    private var places: [String: Int] = [:]
    /// Parts that have a rule without a body.
    private var waiting: [(part: SchemaPart, rule: Int)] = []
    private var work = 0

    /// Parts, each counted as often as it is looked at.
    private static let workLimit = 20_000

    /// The first rules of every schema: any value.
    static let firstRules = [Grammar.Rule(name: "any value", body: JSONParts.anyValue(anything))]
    static let anything = Expression.rule(0)

    /// - Parameter rules: The rules so far; the first stands for any value.
    init(_ schema: JSONValue, after rules: [Grammar.Rule] = firstRules) {
        root = SchemaPart(value: schema, path: "")
        self.rules = rules
    }

    /// Adds the rules.
    ///
    /// - Returns: The one that stands for the whole.
    mutating func compile() throws(GrammarError) -> Int {
        let whole = rules.count
        _ = try rule(root)
        while let next = waiting.popLast() {
            rules[next.rule].body = try expression(next.part)
        }
        return whole
    }

    /// The rule of a part; each place of the schema has one.
    mutating func rule(_ part: SchemaPart) throws(GrammarError) -> Expression {
        if let place = places[part.path] { return .rule(place) }
        let rule = add(.never, part)
        places[part.path] = rule
        waiting.append((part, rule))
        return .rule(rule)
    }

    mutating func add(_ body: Expression, _ part: SchemaPart) -> Int {
        let name = part.path.isEmpty ? "the schema" : "'\(part.path)' of the schema"
        rules.append(Grammar.Rule(name: name, body: body))
        return rules.count - 1
    }

    mutating func countWork(_ part: SchemaPart) throws(GrammarError) {
        work += 1
        guard work <= Self.workLimit else { throw part.failure("makes the schema too large") }
    }

    // MARK: One part

    private mutating func expression(_ part: SchemaPart) throws(GrammarError) -> Expression {
        try countWork(part)
        if let flag = part.value.bool { return flag ? Self.anything : .never }
        guard part.value.members != nil else {
            throw part.failure("is neither an object nor true or false")
        }
        try Keywords.check(part)
        if let reference = part.value["$ref"] {
            let target = try resolve(reference, part)
            let rest = part.value.without("$ref")
            guard Keywords.asserts(rest) else { return try rule(target) }
            return try expression(
                merge(target, SchemaPart(value: rest, path: part.path), path: part.path))
        }
        if let all = part.member("allOf") {
            var whole = SchemaPart(value: part.value.without("allOf"), path: part.path)
            for (index, schema) in try alternatives(all).enumerated() {
                whole = try merge(whole, all.element(index, schema), path: part.path)
            }
            return try expression(whole)
        }
        if let any = part.member("anyOf") { return try choice(of: any, "anyOf", part) }
        if let one = part.member("oneOf") { return try choice(of: one, "oneOf", part) }
        if let values = try part.listedValues() {
            return .choice(values.map { JSONParts.text(of: $0) })
        }
        var parts: [Expression] = []
        guard let types = try part.types() else { return Self.anything }
        for type in types { parts.append(try expression(part, type)) }
        return parts.count == 1 ? parts[0] : .choice(parts)
    }

    private func alternatives(_ part: SchemaPart) throws(GrammarError) -> [JSONValue] {
        guard let schemas = part.value.array, !schemas.isEmpty else {
            throw part.failure("is not a list of schemas")
        }
        return schemas
    }

    private mutating func choice(
        of alternatives: SchemaPart, _ keyword: String, _ part: SchemaPart
    ) throws(GrammarError) -> Expression {
        let schemas = try self.alternatives(alternatives).enumerated().map {
            alternatives.element($0, $1)
        }
        if keyword == "oneOf" {
            for (index, schema) in schemas.enumerated() {
                for other in schemas[..<index] {
                    guard try areDisjoint(schema, other, depth: 0) else {
                        throw schema.failure(
                            "may accept what '\(other.path)' does; 'oneOf' needs alternatives that "
                                + "differ in type or in the value of a required member; use 'anyOf'"
                        )
                    }
                }
            }
        }
        let base = SchemaPart(value: part.value.without(keyword), path: part.path)
        var parts: [Expression] = []
        for schema in schemas {
            guard Keywords.asserts(base.value) else {
                parts.append(try rule(schema))
                continue
            }
            parts.append(try expression(merge(base, schema, path: schema.path)))
        }
        return parts.count == 1 ? parts[0] : .choice(parts)
    }

    private mutating func expression(
        _ part: SchemaPart, _ type: JSONType
    ) throws(GrammarError) -> Expression {
        switch type {
        case .null: return .text("null")
        case .boolean: return .choice([.text("true"), .text("false")])
        case .string: return try string(part)
        case .integer: return try integer(part)
        case .number: return try number(part)
        case .array: return try array(part)
        case .object: return try object(part)
        }
    }

    // MARK: References

    /// - Throws: Where it names nothing in this schema.
    func resolve(_ reference: JSONValue, _ part: SchemaPart) throws(GrammarError) -> SchemaPart {
        guard let text = reference.string, text.hasPrefix("#") else {
            throw part.failure("refers to another document; copy its schema under '$defs'")
        }
        var target = root
        for step in text.dropFirst().split(separator: "/", omittingEmptySubsequences: true) {
            let name = Self.unescaped(step)
            var next = target.member(name)
            if next == nil, let elements = target.value.array, let index = Int(name),
                elements.indices.contains(index)
            {
                next = target.element(index, elements[index])
            }
            guard let next else { throw part.failure("refers to '\(text)', which does not exist") }
            target = next
        }
        return target
    }

    private static func unescaped(_ step: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = ArraySlice(step.utf8)
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "~"): bytes.append(rest.popFirst() == UInt8(ascii: "1") ? 0x2f : 0x7e)
            case UInt8(ascii: "%"):
                let hex = String(decoding: rest.prefix(2), as: UTF8.self)
                guard rest.count >= 2, let value = UInt8(hex, radix: 16) else { fallthrough }
                bytes.append(value)
                rest = rest.dropFirst(2)
            default: bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension JSONValue {
    func without(_ name: String) -> JSONValue {
        .object((members ?? []).filter { !$0.name.elementsEqual(name.utf8) })
    }

    /// The same text for values that JSON Schema treats as equal, whatever the order of members.
    var canonical: String {
        switch self {
        case .object(let members):
            let sorted = members.map { ($0.name, $0.value.canonical) }
                .sorted { $0.0.lexicographicallyPrecedes($1.0) }
            return "{" + sorted.map { "\($0.0):\($0.1)" }.joined(separator: ",") + "}"
        case .array(let values): return "[" + values.map(\.canonical).joined(separator: ",") + "]"
        default: return JSONOutput(self).text
        }
    }
}
