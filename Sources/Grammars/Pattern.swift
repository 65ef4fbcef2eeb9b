/// Regular expressions of JSON Schema (`pattern`) as strings of JSON. They may use everything that an automaton can
/// follow: literals, classes, groups, alternatives, repetitions, and anchors at the ends of alternatives.
///
/// Where ECMAScript and other dialects disagree about a class, only what all of them accept is made.
struct Pattern {
    private let text: [Unicode.Scalar]
    private var at = 0

    struct Failure: Error { var reason: String }

    private static let depthLimit = 32

    /// The strings that `pattern` finds something in, quotes included.
    static func string(_ pattern: String) throws(Failure) -> Expression {
        var parser = Pattern(text: Array(pattern.unicodeScalars))
        var parts: [Expression] = []
        repeat { parts.append(try parser.anchored()) } while parser.take("|")
        guard parser.at == parser.text.count else { throw Failure(reason: "has one ')' too many") }
        return .sequence([
            .text("\""), parts.count == 1 ? parts[0] : .choice(parts), .text("\""),
        ])
    }

    private init(text: [Unicode.Scalar]) { self.text = text }

    private var peek: Unicode.Scalar? { at < text.count ? text[at] : nil }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard peek == scalar else { return false }
        at += 1
        return true
    }

    /// An alternative of the whole pattern: without anchors it may stand anywhere in the text.
    private mutating func anchored() throws(Failure) -> Expression {
        let anything = Expression.any(of: JSONParts.character)
        let begins = take("^")
        let body = try sequence(depth: 0)
        let ends = take("$")
        guard peek == nil || peek == "|" || peek == ")" else {
            throw Failure(reason: "has an anchor in its middle")
        }
        return .sequence((begins ? [] : [anything]) + [body] + (ends ? [] : [anything]))
    }

    private mutating func sequence(depth: Int) throws(Failure) -> Expression {
        var parts: [Expression] = []
        while let next = peek, next != "|", next != ")", next != "$" {
            parts.append(try repeated(try atom(depth: depth)))
        }
        return parts.count == 1 ? parts[0] : .sequence(parts)
    }

    private mutating func atom(depth: Int) throws(Failure) -> Expression {
        guard let next = peek else { throw Failure(reason: "ends too early") }
        at += 1
        switch next {
        case "(": return try group(depth: depth)
        case "[": return JSONParts.character(of: try characterClass())
        case ".":
            return JSONParts.character(
                of: Characters.complement([10...10, 13...13, 0x2028...0x2029]))
        case "\\": return JSONParts.character(of: try escape().ranges)
        case "^": throw Failure(reason: "has an anchor in its middle")
        case "*", "+", "?", "{": throw Failure(reason: "repeats nothing with '\(next)'")
        default: return JSONParts.character(of: [next.value...next.value])
        }
    }

    private mutating func group(depth: Int) throws(Failure) -> Expression {
        guard depth < Self.depthLimit else { throw Failure(reason: "is nested too deeply") }
        if take("?") {
            guard take(":") else {
                throw Failure(reason: "looks at text before or after it, or names a group")
            }
        }
        var parts: [Expression] = []
        repeat { parts.append(try sequence(depth: depth + 1)) } while take("|")
        guard peek != "$" else { throw Failure(reason: "has an anchor in its middle") }
        guard take(")") else { throw Failure(reason: "has a group without end") }
        return parts.count == 1 ? parts[0] : .choice(parts)
    }

    private mutating func repeated(_ body: Expression) throws(Failure) -> Expression {
        var result = body
        if take("*") {
            result = .any(of: body)
        } else if take("+") {
            result = .repeated(body, least: 1, most: nil)
        } else if take("?") {
            result = .optional(body)
        } else if take("{") {
            let least = try number()
            var most: Int? = least
            if take(",") { most = peek == "}" ? nil : try number() }
            guard take("}"), most ?? least >= least else {
                throw Failure(reason: "has an invalid repetition")
            }
            result = .repeated(body, least: least, most: most)
        } else {
            return body
        }
        _ = take("?")  // which of several matches is found does not matter
        return result
    }

    private mutating func number() throws(Failure) -> Int {
        var value: Int?
        while let digit = peek.flatMap({ Int(String($0)) }), (value ?? 0) < 1 << 20 {
            value = (value ?? 0) * 10 + digit
            at += 1
        }
        guard let value else { throw Failure(reason: "has a repetition without a number") }
        return value
    }

    // MARK: Classes

    /// The characters of an escape. `isSet`: it stands for several characters, and other dialects know more of them.
    private mutating func escape() throws(Failure) -> (ranges: [ClosedRange<UInt32>], isSet: Bool) {
        guard let next = peek else { throw Failure(reason: "ends with '\\'") }
        at += 1
        let digits: [ClosedRange<UInt32>] = [0x30...0x39]
        let words = digits + [0x41...0x5a, 0x5f...0x5f, 0x61...0x7a]
        let spaces: [ClosedRange<UInt32>] = [9...13, 32...32]
        func others(_ ranges: [ClosedRange<UInt32>]) -> [ClosedRange<UInt32>] {
            Characters.subtract([0x20...0x7e], ranges)
        }
        switch next {
        case "d": return (digits, true)
        case "w": return (words, true)
        case "s": return (spaces, true)
        case "D": return (others(digits), true)
        case "W": return (others(words), true)
        case "S": return (others(spaces), true)
        case "n": return ([10...10], false)
        case "r": return ([13...13], false)
        case "t": return ([9...9], false)
        case "f": return ([12...12], false)
        case "v": return ([11...11], false)
        case "x": return (try hexadecimal(2), false)
        case "u": return (try hexadecimal(4), false)
        case "a"..."z", "A"..."Z", "0"..."9":
            throw Failure(reason: "has '\\\(next)', which is not supported")
        default: return ([next.value...next.value], false)
        }
    }

    private mutating func hexadecimal(_ count: Int) throws(Failure) -> [ClosedRange<UInt32>] {
        var value: UInt32 = 0
        for _ in 0..<count {
            guard let digit = peek.flatMap({ UInt32(String($0), radix: 16) }) else {
                throw Failure(reason: "has an escape without \(count) hexadecimal digits")
            }
            value = value << 4 | digit
            at += 1
        }
        return [value...value]
    }

    private mutating func characterClass() throws(Failure) -> [ClosedRange<UInt32>] {
        let isInverted = take("^")
        var ranges: [ClosedRange<UInt32>] = []
        var hasSet = false
        func one() throws(Failure) -> (ranges: [ClosedRange<UInt32>], isSet: Bool) {
            guard let next = peek else { throw Failure(reason: "has a class without end") }
            at += 1
            return next == "\\" ? try escape() : ([next.value...next.value], false)
        }
        while peek != "]" {
            let low = try one()
            hasSet = hasSet || low.isSet
            if !low.isSet, peek == "-", at + 1 < text.count, text[at + 1] != "]" {
                at += 1
                let high = try one()
                guard !high.isSet, let first = low.ranges.first?.lowerBound,
                    let last = high.ranges.first?.lowerBound, first <= last
                else { throw Failure(reason: "has an invalid range") }
                ranges.append(first...last)
            } else {
                ranges += low.ranges
            }
        }
        at += 1
        guard isInverted else { return Characters.normalized(ranges) }
        let rest = Characters.complement(ranges)
        return hasSet ? Characters.intersection(rest, [0x20...0x7e]) : rest
    }
}

/// The supported values of `format`, as patterns.
enum Formats {
    static func pattern(_ name: String) -> String? { patterns[name] }

    private static let day =
        "(?:(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01]))"
        + "|(?:(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30))|(?:02-(?:0[1-9]|1[0-9]|2[0-8])))"
    private static let leapYear =
        "(?:[0-9][0-9](?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
    private static let date =
        "(?:(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)-\(day)|\(leapYear)-02-29)"
    private static let clock = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,6})?"
    private static let zone = "(?:Z|[+\\-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
    private static let byte = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
    private static let label = "[a-zA-Z0-9](?:[a-zA-Z0-9\\-]{0,30}[a-zA-Z0-9])?"

    private static let patterns = [
        "date": "^\(date)$",
        "time": "^\(clock)\(zone)$",
        "date-time": "^\(date)T\(clock)\(zone)$",
        "uuid": "^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
        "ipv4": "^\(byte)(?:\\.\(byte)){3}$",
        "hostname": "^\(label)(?:\\.\(label)){0,4}$",
        "email":
            "^[a-zA-Z0-9_+\\-]{1,32}(?:\\.[a-zA-Z0-9_+\\-]{1,16}){0,3}@\(label)(?:\\.\(label)){1,4}$",
    ]
}
