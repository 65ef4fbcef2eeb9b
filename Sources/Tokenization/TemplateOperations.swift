/// Operators, attributes and methods, with Python's meaning.
enum TemplateOperations {
    static func attribute(
        _ base: TemplateValue, _ name: String
    ) throws(TemplateError) -> TemplateValue {
        switch base {
        case .undefined(let what): throw .evaluation("'\(what)' is undefined")
        case .namespace(let space): return space.members[name] ?? .undefined(name)
        case .dict(let members):
            if let member = members.first(where: { $0.key == TemplateString(name) }) {
                return member.value
            }
            return dictMethod(members, name) ?? .undefined(name)
        case .string(let text): return TemplateMethods.method(of: text, name) ?? .undefined(name)
        default: return .undefined(name)
        }
    }

    static func item(
        _ base: TemplateValue, _ index: TemplateValue
    ) throws(TemplateError) -> TemplateValue {
        switch base {
        case .undefined(let what): throw .evaluation("'\(what)' is undefined")
        case .list(let values):
            guard let at = index.int else { return .undefined("item") }
            let position = at < 0 ? at + values.count : at
            return values.indices.contains(position) ? values[position] : .undefined("item \(at)")
        case .string(let text):
            guard let at = index.int else { return .undefined("item") }
            let position = at < 0 ? at + text.units.count : at
            guard text.units.indices.contains(position) else { return .undefined("item \(at)") }
            return .string(TemplateString(units: [text.units[position]]))
        default:
            guard let name = index.string else { return .undefined("item") }
            return try attribute(base, name.text)
        }
    }

    static func slice(
        _ base: TemplateValue, _ begin: TemplateValue?, _ end: TemplateValue?,
        _ stride: TemplateValue?
    ) throws(TemplateError) -> TemplateValue {
        let step = stride?.int ?? 1
        guard step != 0 else { throw .evaluation("a slice with step 0") }
        func indices(_ count: Int) -> [Int] {
            func clamp(_ value: TemplateValue?, _ standard: Int) -> Int {
                guard let at = value?.int else { return standard }
                let position = at < 0 ? at + count : at
                return step > 0
                    ? min(max(position, 0), count) : min(max(position, -1), count - 1)
            }
            let first = clamp(begin, step > 0 ? 0 : count - 1)
            let last = clamp(end, step > 0 ? count : -1)
            return Array(Swift.stride(from: first, to: last, by: step))
        }
        switch base {
        case .list(let values): return .list(indices(values.count).map { values[$0] })
        case .string(let text):
            return .string(TemplateString(units: indices(text.units.count).map { text.units[$0] }))
        default: throw .evaluation("\(base.represented) cannot be sliced")
        }
    }

    static func unary(
        _ symbol: String, _ operand: TemplateValue
    ) throws(TemplateError) -> TemplateValue {
        if symbol == "not" { return .bool(!operand.isTrue) }
        if let value = operand.int { return .int(symbol == "-" ? 0 &- value : value) }
        guard case .float(let value) = operand else {
            throw .evaluation("'\(symbol)' of \(operand.represented)")
        }
        return .float(symbol == "-" ? -value : value)
    }

    static func binary(
        _ symbol: String, _ a: TemplateValue, _ b: TemplateValue
    ) throws(TemplateError) -> TemplateValue {
        switch symbol {
        case "==": return .bool(TemplateValue.equal(a, b))
        case "!=": return .bool(!TemplateValue.equal(a, b))
        case "~": return .string(joined(a.printed, b.printed))
        case "in": return .bool(try contains(b, a))
        case "<", ">", "<=", ">=": return .bool(try compare(symbol, a, b))
        default: break
        }
        switch (symbol, a, b) {
        case ("+", .string(let x), .string(let y)): return .string(joined(x, y))
        case ("+", .list(let x), .list(let y)): return .list(x + y)
        case ("*", .string(let x), _):
            guard let times = b.int, max(times, 0) * x.units.count <= 1 << 22 else { break }
            return .string(
                TemplateString(units: (0..<max(times, 0)).flatMap { _ in x.units }))
        default: break
        }
        guard let x = a.double, let y = b.double else {
            if case .undefined(let what) = a { throw .evaluation("'\(what)' is undefined") }
            if case .undefined(let what) = b { throw .evaluation("'\(what)' is undefined") }
            throw .evaluation("\(a.represented) \(symbol) \(b.represented)")
        }
        return try arithmetic(symbol, a, b, x, y)
    }

    private static func arithmetic(
        _ symbol: String, _ a: TemplateValue, _ b: TemplateValue, _ x: Double, _ y: Double
    ) throws(TemplateError) -> TemplateValue {
        if ["/", "//", "%"].contains(symbol), y == 0 { throw .evaluation("division by zero") }
        guard let i = a.int, let j = b.int, symbol != "/" else {
            switch symbol {
            case "+": return .float(x + y)
            case "-": return .float(x - y)
            case "*": return .float(x * y)
            case "/": return .float(x / y)
            case "//": return .float((x / y).rounded(.down))
            case "%": return .float(x - y * (x / y).rounded(.down))
            default: throw .evaluation("'\(symbol)' of fractions")
            }
        }
        let remainder = j == 0 || j == -1 ? 0 : (i % j + j) % j
        let (value, overflow): (Int, Bool) =
            switch symbol {
            case "+": i.addingReportingOverflow(j)
            case "-": i.subtractingReportingOverflow(j)
            case "*": i.multipliedReportingOverflow(by: j)
            case "//": j == -1 ? (0 &- i, false) : ((i - remainder) / j, false)
            case "%": (remainder, false)
            default: try power(i, j)
            }
        guard !overflow else { throw .evaluation("a number too large") }
        return .int(value)
    }

    private static func power(_ base: Int, _ exponent: Int) throws(TemplateError) -> (Int, Bool) {
        guard exponent >= 0 else { throw .evaluation("a negative exponent") }
        var result = 1
        for _ in 0..<min(exponent, 64) {
            let (product, overflow) = result.multipliedReportingOverflow(by: base)
            if overflow { return (0, true) }
            result = product
        }
        return (result, exponent > 64 && abs(base) > 1)
    }

    private static func joined(_ a: TemplateString, _ b: TemplateString) -> TemplateString {
        TemplateString(units: a.units + b.units)
    }

    private static func compare(
        _ symbol: String, _ a: TemplateValue, _ b: TemplateValue
    ) throws(TemplateError) -> Bool {
        let order: Int
        if let x = a.double, let y = b.double {
            order = x < y ? -1 : x > y ? 1 : 0
        } else if let x = a.string?.plain, let y = b.string?.plain {
            order = x == y ? 0 : x.lexicographicallyPrecedes(y) ? -1 : 1
        } else {
            throw .evaluation("\(a.represented) \(symbol) \(b.represented)")
        }
        switch symbol {
        case "<": return order < 0
        case ">": return order > 0
        case "<=": return order <= 0
        default: return order >= 0
        }
    }

    static func contains(
        _ container: TemplateValue, _ item: TemplateValue
    ) throws(TemplateError) -> Bool {
        switch container {
        case .list(let values): return values.contains { TemplateValue.equal($0, item) }
        case .dict(let members): return members.contains { $0.key == item.string }
        case .string(let text):
            guard let part = item.string else {
                throw .evaluation("\(item.represented) in a string")
            }
            return part.units.isEmpty || text.range(of: part) != nil
        case .namespace(let space):
            return item.string.map { space.members[$0.text] != nil } ?? false
        case .undefined: return false
        default: throw .evaluation("'in' \(container.represented)")
        }
    }

    private static func dictMethod(
        _ members: [(key: TemplateString, value: TemplateValue)], _ name: String
    ) -> TemplateValue? {
        switch name {
        case "get":
            return .callable { (positional, _) throws(TemplateError) in
                let key = positional.first?.string
                let found = members.first { $0.key == key }?.value
                return found ?? (positional.count > 1 ? positional[1] : .none)
            }
        case "items": return .callable { (_, _) in .list(pairs(members)) }
        case "keys": return .callable { (_, _) in .list(members.map { .string($0.key) }) }
        case "values": return .callable { (_, _) in .list(members.map(\.value)) }
        default: return nil
        }
    }

    static func pairs(
        _ members: [(key: TemplateString, value: TemplateValue)]
    ) -> [TemplateValue] {
        members.map { .list([.string($0.key), $0.value]) }
    }
}

/// Methods of strings.
enum TemplateMethods {
    static func method(of text: TemplateString, _ name: String) -> TemplateValue? {
        guard supported.contains(name) else { return nil }
        return .callable { (arguments, _) throws(TemplateError) in
            try call(text, name, arguments)
        }
    }

    private static let supported: Set<String> = [
        "strip", "lstrip", "rstrip", "split", "startswith", "endswith", "replace", "upper",
        "lower", "title", "capitalize", "join", "find", "count",
    ]

    private static func call(
        _ text: TemplateString, _ name: String, _ arguments: [TemplateValue]
    ) throws(TemplateError) -> TemplateValue {
        let first = arguments.first?.string
        switch name {
        case "strip": return .string(text.trimmed(first))
        case "lstrip": return .string(text.trimmed(first, right: false))
        case "rstrip": return .string(text.trimmed(first, left: false))
        case "split":
            guard let first else { return .list(words(text)) }
            guard !first.units.isEmpty else { throw .evaluation("an empty separator") }
            let most = arguments.count > 1 ? arguments[1].int ?? -1 : -1
            return .list(
                text.split(by: first, most: most < 0 ? .max : most).map { .string($0) })
        case "startswith": return .bool(try affixes(arguments).contains { text.starts(with: $0) })
        case "endswith": return .bool(try affixes(arguments).contains { text.ends(with: $0) })
        case "replace":
            return .string(
                replaced(text, try argument(arguments, 0), with: try argument(arguments, 1)))
        case "upper": return .string(text.mapScalars { $0.properties.uppercaseMapping })
        case "lower": return .string(text.mapScalars { $0.properties.lowercaseMapping })
        case "title": return .string(TemplateFilters.title(text))
        case "capitalize": return .string(TemplateFilters.capitalized(text))
        case "join":
            guard case .list(let parts) = arguments.first else {
                throw .evaluation("'join' takes a list")
            }
            return .string(TemplateFilters.joined(parts, by: text))
        case "find":
            return .int(text.range(of: try argument(arguments, 0))?.lowerBound ?? -1)
        default:
            return .int(text.split(by: try argument(arguments, 0)).count - 1)
        }
    }

    private static func argument(
        _ arguments: [TemplateValue], _ index: Int
    ) throws(TemplateError) -> TemplateString {
        guard index < arguments.count, let value = arguments[index].string else {
            throw .evaluation("a string expected")
        }
        return value
    }

    private static func affixes(
        _ arguments: [TemplateValue]
    ) throws(TemplateError) -> [TemplateString] {
        if case .list(let values) = arguments.first { return values.compactMap(\.string) }
        return [try argument(arguments, 0)]
    }

    static func replaced(
        _ text: TemplateString, _ old: TemplateString, with new: TemplateString
    ) -> TemplateString {
        guard !old.units.isEmpty else { return text }
        return TemplateString(
            units: text.split(by: old).map(\.units).joined(separator: new.units))
    }

    /// Runs between white space.
    private static func words(_ text: TemplateString) -> [TemplateValue] {
        text.units.split { unit in
            Unicode.Scalar(unit & ~TemplateString.userBit)?.properties.isWhitespace ?? false
        }.map { .string(TemplateString(units: $0)) }
    }
}
