internal import TesseraReporting

extension SchemaCompiler {
    /// A schema for the values that two schemas accept.
    ///
    /// - Throws: Where one schema cannot express both.
    mutating func merge(
        _ first: SchemaPart, _ second: SchemaPart, path: String
    ) throws(GrammarError) -> SchemaPart {
        try countWork(first)
        let (a, b) = (try followed(first), try followed(second))
        func result(_ value: JSONValue) -> SchemaPart { SchemaPart(value: value, path: path) }
        if let flag = a.value.bool { return result(flag ? b.value : a.value) }
        if let flag = b.value.bool { return result(flag ? a.value : b.value) }
        guard let members = a.value.members, let others = b.value.members else {
            throw a.failure("is neither an object nor true or false")
        }
        try Keywords.check(a)
        try Keywords.check(b)
        try Self.checkClosed(a, b)
        try Self.checkClosed(b, a)
        var merged = members
        for other in others {
            guard let place = merged.firstIndex(where: { $0.name == other.name }) else {
                merged.append(other)
                continue
            }
            let name = String(decoding: other.name, as: UTF8.self)
            merged[place].value = try merge(
                name, merged[place].value, other.value, at: b, path: path)
        }
        return result(.object(merged))
    }

    /// The part that a chain of references ends with, where there is nothing next to them.
    private func followed(_ part: SchemaPart) throws(GrammarError) -> SchemaPart {
        var part = part
        for _ in 0..<64 {
            guard let reference = part.value["$ref"] else { return part }
            guard !Keywords.asserts(part.value.without("$ref")) else {
                throw part.failure("has '$ref' next to other keywords, which is not supported here")
            }
            part = try resolve(reference, part)
        }
        throw part.failure("refers to itself")
    }

    private mutating func merge(
        _ name: String, _ a: JSONValue, _ b: JSONValue, at part: SchemaPart, path: String
    ) throws(GrammarError) -> JSONValue {
        // Members are compared one by one: all together they may be many, and are merged again and again.
        if Keywords.isAnnotation(name) || name != "properties" && a.canonical == b.canonical {
            return a
        }
        switch name {
        case "minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties":
            if let x = a.double, let y = b.double { return .number(max(x, y)) }
        case "maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties":
            if let x = a.double, let y = b.double { return .number(min(x, y)) }
        case "required":
            if let x = a.array, let y = b.array { return .array(x + y) }
        case "enum":
            if let x = a.array, let y = b.array {
                let known = Set(y.map(\.canonical))
                return .array(x.filter { known.contains($0.canonical) })
            }
        case "type":
            let mine = try SchemaPart(value: a, path: path).namedTypes()
            let theirs = try SchemaPart(value: b, path: path).namedTypes()
            let both = JSONType.allCases.filter { type in
                func has(_ types: [JSONType]) -> Bool {
                    types.contains(type) || type == .integer && types.contains(.number)
                }
                return has(mine) && has(theirs)
            }
            return .array(both.map { .string(Array($0.rawValue.utf8)) })
        case "properties":
            if var members = a.members, let others = b.members {
                let places = Dictionary(
                    members.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { one, _ in one })
                for other in others {
                    guard let place = places[other.name] else {
                        members.append(other)
                        continue
                    }
                    if members[place].value.canonical == other.value.canonical { continue }
                    let name = String(decoding: other.name, as: UTF8.self)
                    let at = "\(path)/properties/\(name)"
                    members[place].value = try merge(
                        SchemaPart(value: members[place].value, path: at),
                        SchemaPart(value: other.value, path: at), path: at
                    ).value
                }
                return .object(members)
            }
        default: break
        }
        throw part.failure(
            "has another '\(name)' than the schema it is combined with, which is not supported")
    }

    /// Refuses members that the other schema excludes: `additionalProperties` counts the members of its own schema.
    private static func checkClosed(_ a: SchemaPart, _ b: SchemaPart) throws(GrammarError) {
        guard let further = a.value["additionalProperties"], further.bool != true else { return }
        let own = a.value["properties"]?.members ?? []
        for member in b.value["properties"]?.members ?? []
        where !own.contains(where: { $0.name == member.name }) {
            throw a.failure(
                "has 'additionalProperties' and is combined with further members, which is not supported"
            )
        }
    }

    // MARK: Disjoint schemas

    /// Whether no value is accepted by both, as far as types, listed values and required members tell.
    mutating func areDisjoint(
        _ first: SchemaPart, _ second: SchemaPart, depth: Int
    ) throws(GrammarError) -> Bool {
        try countWork(first)
        guard depth < 8 else { return false }
        let (a, b) = (try followed(first), try followed(second))
        if a.value.bool == false || b.value.bool == false { return true }
        let (mine, theirs) = (try a.plainValues(), try b.plainValues())
        if let mine, let theirs {
            return Set(mine.map(\.canonical)).isDisjoint(with: theirs.map(\.canonical))
        }
        guard let x = try a.kinds(mine), let y = try b.kinds(theirs) else { return false }
        func general(_ types: [JSONType]) -> Set<JSONType> {
            Set(types.map { $0 == .integer ? .number : $0 })
        }
        let both = general(x).intersection(general(y))
        if both.isEmpty { return true }
        guard both == [.object], mine == nil, theirs == nil else { return false }
        for member in a.value["properties"]?.members ?? [] {
            let name = String(decoding: member.name, as: UTF8.self)
            guard a.requires(name), b.requires(name),
                let own = a.member("properties")?.member(name),
                let other = b.member("properties")?.member(name)
            else { continue }
            if try areDisjoint(own, other, depth: depth + 1) { return true }
        }
        return false
    }
}

extension SchemaPart {
    fileprivate func requires(_ name: String) -> Bool {
        value["required"]?.array?.contains { $0.string == name } ?? false
    }

    /// Types of the listed values, or else those of `type`; nil if the schema has neither.
    fileprivate func kinds(_ listed: [JSONValue]?) throws(GrammarError) -> [JSONType]? {
        if let listed { return listed.map(\.type) }
        return value["type"] == nil ? nil : try types()
    }

    /// Listed values; nil if there are none or other keywords would have to be looked at.
    fileprivate func plainValues() throws(GrammarError) -> [JSONValue]? {
        value["const"] == nil && value["enum"] == nil ? nil : try listedValues()
    }
}
