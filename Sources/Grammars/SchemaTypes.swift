internal import TesseraReporting

extension SchemaCompiler {
    // MARK: Strings

    func string(_ part: SchemaPart) throws(GrammarError) -> Expression {
        let (least, most) = (try part.count("minLength") ?? 0, try part.count("maxLength"))
        let hasLength = least > 0 || most != nil
        if let pattern = part.member("pattern") {
            guard let text = pattern.value.string else { throw pattern.failure("is no string") }
            guard !hasLength, part.value["format"] == nil else {
                throw part.failure(
                    "has 'pattern' next to a length or 'format', which is not supported; "
                        + "say the length in the pattern")
            }
            return try Self.matching(text, pattern)
        }
        if let format = part.member("format") {
            guard let known = format.value.string.flatMap(Formats.pattern) else {
                throw format.failure(
                    "names a format that is not supported; use 'pattern', or leave it out")
            }
            guard !hasLength else {
                throw part.failure("has 'format' next to a length, which is not supported")
            }
            return try Self.matching(known, format)
        }
        guard most.map({ least <= $0 }) ?? true else { return .never }
        return JSONParts.string(least: least, most: most)
    }

    private static func matching(
        _ pattern: String, _ part: SchemaPart
    ) throws(GrammarError) -> Expression {
        do throws(Pattern.Failure) {
            return try Pattern.string(pattern)
        } catch {
            throw part.failure(error.reason)
        }
    }

    // MARK: Numbers

    /// Bounds as decimals: the numbers themselves may be outside of them where they are exclusive.
    private struct Bounds {
        var (least, most): (Double?, Double?)
        var (isOpenBelow, isOpenAbove) = (false, false)

        init(_ part: SchemaPart) throws(GrammarError) {
            func number(_ name: String) throws(GrammarError) -> Double? {
                guard let member = part.member(name) else { return nil }
                guard let value = member.value.double else { throw member.failure("is no number") }
                return value
            }
            (least, most) = (try number("minimum"), try number("maximum"))
            if let open = try number("exclusiveMinimum"), open >= least ?? -.infinity {
                (least, isOpenBelow) = (open, true)
            }
            if let open = try number("exclusiveMaximum"), open <= most ?? .infinity {
                (most, isOpenAbove) = (open, true)
            }
            if let step = try number("multipleOf"),
                step != 1 || part.value["type"]?.string != "integer"
            {
                throw part.failure("has 'multipleOf', which is not supported")
            }
        }

        /// Whole numbers within the bounds.
        var whole: (least: Int?, most: Int?) {
            let limit = 1e15
            let low = least.map { value in
                value.rounded(.up) + (isOpenBelow && value == value.rounded(.up) ? 1 : 0)
            }
            let high = most.map { value in
                value.rounded(.down) - (isOpenAbove && value == value.rounded(.down) ? 1 : 0)
            }
            return (
                low.map { Int(max(-limit, min(limit, $0))) },
                high.map { Int(max(-limit, min(limit, $0))) }
            )
        }
    }

    func integer(_ part: SchemaPart) throws(GrammarError) -> Expression {
        let bounds = try Bounds(part)
        if bounds.least == nil, bounds.most == nil { return JSONParts.integer }
        return IntegerRange.expression(bounds.whole.least, bounds.whole.most)
    }

    func number(_ part: SchemaPart) throws(GrammarError) -> Expression {
        let bounds = try Bounds(part)
        if bounds.least == nil, bounds.most == nil { return JSONParts.number }
        for bound in [bounds.least, bounds.most] {
            guard bound.map({ $0 == $0.rounded() }) ?? true else {
                throw part.failure(
                    "bounds a number by one that is not whole, which is not supported")
            }
        }
        let limit = 999_999_999_999_999.0
        let (least, most) = (max(bounds.least ?? -limit, -limit), min(bounds.most ?? limit, limit))
        var parts = [IntegerRange.expression(bounds.whole.least, bounds.whole.most)]
        if most > 0, least < most {
            parts += fractions("", from: max(0, least), bounds.isOpenBelow && least >= 0, to: most)
        }
        if least < 0, least < most {
            parts += fractions(
                "-", from: max(0, -most), bounds.isOpenAbove && most <= 0, to: -least)
        }
        return .choice(parts)
    }

    /// Numbers with a fraction between two whole ones of one sign.
    ///
    /// - Parameter isOpen: The lower bound itself is none of them.
    private func fractions(
        _ sign: String, from least: Double, _ isOpen: Bool, to most: Double
    ) -> [Expression] {
        let (first, last) = (Int(least), Int(most) - 1)
        guard first <= last else { return [] }
        var parts: [Expression] = []
        if isOpen {
            let nonZero = Expression.sequence([
                .text("."), .repeated(.text("0"), least: 0, most: 5), .characters([0x31...0x39]),
                .repeated(JSONParts.digit, least: 0, most: 9),
            ])
            parts.append(.sequence([.text(sign), IntegerRange.expression(first, first), nonZero]))
        }
        let begin = isOpen ? first + 1 : first
        if begin <= last {
            parts.append(
                .sequence([
                    .text(sign), IntegerRange.expression(begin, last), JSONParts.fraction,
                ]))
        }
        return parts
    }

    // MARK: Arrays

    mutating func array(_ part: SchemaPart) throws(GrammarError) -> Expression {
        if part.value["uniqueItems"]?.bool == true {
            throw part.failure("has 'uniqueItems', which is not supported")
        }
        let (least, most) = (try part.count("minItems") ?? 0, try part.count("maxItems"))
        guard most.map({ least <= $0 }) ?? true else { return .never }
        var first: [Expression] = []
        var rest = part.member("items")
        var prefix = part.member("prefixItems")
        if let items = rest, items.value.array != nil {
            (prefix, rest) = (items, part.member("additionalItems"))
        }
        if let prefix {
            guard let schemas = prefix.value.array else { throw prefix.failure("is no list") }
            for (index, schema) in schemas.enumerated() {
                first.append(try rule(prefix.element(index, schema)))
            }
        }
        if first.isEmpty {
            let element =
                try rest.map { part throws(GrammarError) in try rule(part) } ?? Self.anything
            return JSONParts.list("[", element, "]", least: least, most: most)
        }
        // Without a rule for further elements there are none, unless there must be some.
        var further = Expression.never
        if let rest {
            further = try rule(rest)
        } else if least > first.count {
            further = Self.anything
        }
        let comma = Expression.sequence([.text(","), JSONParts.space])
        var tail = Expression.repeated(
            .sequence([comma, further]), least: max(0, least - first.count),
            most: most.map { max(0, $0 - first.count) })
        for index in first.indices.reversed() where index < most ?? .max {
            let element = Expression.sequence(
                index == 0 ? [first[0], tail] : [comma, first[index], tail])
            tail = index < least ? element : .optional(element)
        }
        return .sequence([.text("["), JSONParts.space, tail, JSONParts.space, .text("]")])
    }

    // MARK: Objects

    mutating func object(_ part: SchemaPart) throws(GrammarError) -> Expression {
        let (least, most) = (
            try part.count("minProperties") ?? 0, try part.count("maxProperties")
        )
        let further = try self.further(part)
        var members = try properties(part)
        for name in try required(part) where !members.contains(where: { $0.name == name }) {
            // A required member that only 'additionalProperties' covers.
            members.append(
                (
                    name,
                    further ?? (part.value["additionalProperties"] == nil ? Self.anything : .never),
                    true
                ))
        }
        guard !members.isEmpty else {
            guard let further else {
                return least > 0 ? .never : JSONParts.list("{", .never, "}", most: 0)
            }
            guard most.map({ least <= $0 }) ?? true else { return .never }
            let member = Expression.sequence([
                JSONParts.string(), .text(":"), JSONParts.space, further,
            ])
            return JSONParts.list("{", member, "}", least: least, most: most)
        }
        guard least <= members.filter(\.isRequired).count,
            most.map({ further == nil && $0 >= members.count }) ?? true
        else {
            throw part.failure(
                "counts members with 'minProperties' or 'maxProperties' next to 'properties', which is "
                    + "not supported")
        }
        return try object(members, further, part)
    }

    /// The value of members that `properties` does not name; nil if there are none.
    private mutating func further(_ part: SchemaPart) throws(GrammarError) -> Expression? {
        guard let further = part.member("additionalProperties") else {
            return part.value["properties"] == nil ? Self.anything : nil
        }
        return further.value.bool == false ? nil : try rule(further)
    }

    private mutating func properties(
        _ part: SchemaPart
    ) throws(GrammarError) -> [(name: [UInt8], value: Expression, isRequired: Bool)] {
        guard let properties = part.member("properties") else { return [] }
        guard let named = properties.value.members else {
            throw properties.failure("is no object")
        }
        let required = try required(part)
        var members: [(name: [UInt8], value: Expression, isRequired: Bool)] = []
        for member in named {
            let name = String(decoding: member.name, as: UTF8.self)
            guard let schema = properties.member(name),
                !members.contains(where: { $0.name == member.name })
            else { continue }
            members.append((member.name, try rule(schema), required.contains(member.name)))
        }
        return members
    }

    private func required(_ part: SchemaPart) throws(GrammarError) -> [[UInt8]] {
        guard let required = part.member("required") else { return [] }
        let names = required.value.array?.compactMap(\.bytes)
        guard let names, names.count == required.value.array?.count else {
            throw required.failure("is no list of names")
        }
        var distinct: [[UInt8]] = []
        for name in names where !distinct.contains(name) { distinct.append(name) }
        return distinct
    }

    /// Members in their order, those that are not required perhaps left out, and further ones after them.
    private mutating func object(
        _ members: [(name: [UInt8], value: Expression, isRequired: Bool)], _ further: Expression?,
        _ part: SchemaPart
    ) throws(GrammarError) -> Expression {
        let comma = Expression.sequence([.text(","), JSONParts.space])
        // What may follow after a member, and at the beginning.
        var (after, first) = (Expression.empty, Expression.empty)
        if let further {
            guard members.allSatisfy({ $0.name.count <= 256 }) else {
                throw part.failure("has a member whose name is longer than 256 bytes")
            }
            let name = JSONParts.name(otherThan: members.map(\.name))
            let member = Expression.sequence([name, .text(":"), JSONParts.space, further])
            after = .any(of: .sequence([comma, member]))
            first = .optional(.sequence([member, after]))
        }
        for member in members.reversed() {
            let own = JSONParts.member(member.name, member.value)
            let rest = Expression.rule(add(after, part))
            let begun = Expression.sequence([own, rest])
            let continued = Expression.sequence([comma, own, rest])
            if member.isRequired {
                (after, first) = (continued, begun)
            } else {
                let none = Expression.rule(add(first, part))
                (after, first) = (.choice([continued, rest]), .choice([begun, none]))
            }
        }
        return .sequence([
            .text("{"), JSONParts.space, first, JSONParts.space, .text("}"),
        ])
    }
}
