extension Grammar {
    /// A grammar in GBNF, the form that llama.cpp reads: rules `name ::= ...` of literals, character classes, other
    /// rules, groups, alternatives and repetitions. A text follows the rule `root`.
    ///
    /// - Throws: `syntax` with the line, or what the rules are refused for.
    public init(gbnf source: String) throws(GrammarError) {
        var parser = GBNFParser(source)
        let (rules, root) = try parser.parse()
        try self.init(rules, root: root)
    }
}

private struct GBNFParser {
    private let text: [UInt32]
    private var at = 0
    private var line = 1
    private var bodies: [Expression?] = []
    private var names: [String] = []
    private var places: [String: Int] = [:]
    /// Line of each rule's first use.
    private var lines: [Int] = []

    private static let depthLimit = 64

    init(_ source: String) { text = source.unicodeScalars.map(\.value) }

    mutating func parse() throws(GrammarError) -> (rules: [Grammar.Rule], root: Int) {
        skip(lineEnds: true)
        while at < text.count {
            let start = line
            let name = try name()
            skip(lineEnds: false)
            for scalar in "::=".unicodeScalars { try expect(scalar, "'::=' after '\(name)'") }
            let rule = rule(name)
            guard bodies[rule] == nil else {
                throw .syntax(line: start, "a second rule '\(name)'")
            }
            skip(lineEnds: true)
            bodies[rule] = try alternatives(depth: 0)
            skip(lineEnds: false)
            guard at == text.count || isLineEnd else { throw unexpected() }
            skip(lineEnds: true)
        }
        guard let root = places["root"], bodies[root] != nil else {
            throw .syntax(line: line, "no rule 'root'")
        }
        var rules: [Grammar.Rule] = []
        for (index, body) in bodies.enumerated() {
            guard let body else {
                throw .syntax(line: lines[index], "no rule '\(names[index])'")
            }
            rules.append(Grammar.Rule(name: "rule '\(names[index])' of the grammar", body: body))
        }
        return (rules, root)
    }

    private mutating func rule(_ name: String) -> Int {
        if let place = places[name] { return place }
        places[name] = names.count
        names.append(name)
        bodies.append(nil)
        lines.append(line)
        return names.count - 1
    }

    // MARK: Rules

    private mutating func alternatives(depth: Int) throws(GrammarError) -> Expression {
        guard depth < Self.depthLimit else {
            throw .syntax(line: line, "groups nested too deeply")
        }
        var parts = [try sequence(depth: depth)]
        while peek == "|" {
            at += 1
            skip(lineEnds: true)
            parts.append(try sequence(depth: depth))
        }
        return parts.count == 1 ? parts[0] : .choice(parts)
    }

    private mutating func sequence(depth: Int) throws(GrammarError) -> Expression {
        var parts: [Expression] = []
        while let next = peek {
            let part: Expression
            switch next {
            case "\"": part = .bytes(try literal())
            case "[": part = .characters(try characterClass())
            case ".":
                at += 1
                part = .characters(Characters.all)
            case "(":
                at += 1
                skip(lineEnds: true)
                part = try alternatives(depth: depth + 1)
                try expect(")", "')'")
            case _ where Self.isName(next): part = .rule(rule(try name()))
            default: return Self.joined(parts)
            }
            skip(lineEnds: depth > 0)
            parts.append(try repeated(part))
            skip(lineEnds: depth > 0)
        }
        return Self.joined(parts)
    }

    private static func joined(_ parts: [Expression]) -> Expression {
        parts.count == 1 ? parts[0] : .sequence(parts)
    }

    private mutating func repeated(_ part: Expression) throws(GrammarError) -> Expression {
        var part = part
        while let next = peek {
            switch next {
            case "*": part = .any(of: part)
            case "+": part = .repeated(part, least: 1, most: nil)
            case "?": part = .optional(part)
            case "{":
                at += 1
                let least = try number()
                var most: Int? = least
                if peek == "," {
                    at += 1
                    most = peek == "}" ? nil : try number()
                }
                guard peek == "}", most ?? least >= least else {
                    throw .syntax(line: line, "a repetition is {m}, {m,} or {m,n} with m up to n")
                }
                part = .repeated(part, least: least, most: most)
            default: return part
            }
            at += 1
        }
        return part
    }

    private mutating func number() throws(GrammarError) -> Int {
        var value: Int?
        while let digit = peek.flatMap({ Int(String($0)) }), (value ?? 0) < 1 << 30 {
            value = (value ?? 0) * 10 + digit
            at += 1
        }
        guard let value else { throw .syntax(line: line, "a number expected in a repetition") }
        return value
    }

    // MARK: Characters

    private mutating func literal() throws(GrammarError) -> [UInt8] {
        at += 1
        var bytes: [UInt8] = []
        while peek != "\"" { bytes += Array(String(Character(try scalar())).utf8) }
        at += 1
        return bytes
    }

    private mutating func characterClass() throws(GrammarError) -> [ClosedRange<UInt32>] {
        at += 1
        var isInverted = false
        if peek == "^" {
            isInverted = true
            at += 1
        }
        var ranges: [ClosedRange<UInt32>] = []
        while peek != "]" {
            let low = try scalar().value
            var high = low
            if peek == "-", at + 1 < text.count, text[at + 1] != 0x5d {
                at += 1
                high = try scalar().value
            }
            guard low <= high else {
                throw .syntax(line: line, "a range that ends before it begins")
            }
            ranges.append(low...high)
        }
        at += 1
        guard !ranges.isEmpty || isInverted else {
            throw .syntax(line: line, "a class of no characters")
        }
        return isInverted ? Characters.complement(ranges) : Characters.normalized(ranges)
    }

    /// One character of a literal or class.
    private mutating func scalar() throws(GrammarError) -> Unicode.Scalar {
        guard let scalar = peek, !isLineEnd else {
            throw .syntax(line: line, "a literal or class without end")
        }
        at += 1
        guard scalar == "\\" else { return scalar }
        guard let escaped = peek else { throw .syntax(line: line, "a literal without end") }
        at += 1
        switch escaped {
        case "n": return "\n"
        case "r": return "\r"
        case "t": return "\t"
        case "\"", "\\", "[", "]", "-", "^": return escaped
        case "x": return try hexadecimal(2)
        case "u": return try hexadecimal(4)
        case "U": return try hexadecimal(8)
        default: throw .syntax(line: line, "an unknown escape '\\\(escaped)'")
        }
    }

    private mutating func hexadecimal(_ count: Int) throws(GrammarError) -> Unicode.Scalar {
        var value: UInt32 = 0
        for _ in 0..<count {
            guard let digit = peek.flatMap({ UInt32(String($0), radix: 16) }) else {
                throw .syntax(line: line, "\(count) hexadecimal digits expected")
            }
            value = value << 4 | digit
            at += 1
        }
        guard let scalar = Unicode.Scalar(value) else {
            throw .syntax(line: line, "an escape that is no character")
        }
        return scalar
    }

    // MARK: Text

    private var peek: Unicode.Scalar? { at < text.count ? Unicode.Scalar(text[at]) : nil }
    private var isLineEnd: Bool { peek == "\n" || peek == "\r" }

    private static func isName(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9", "-", "_": true
        default: false
        }
    }

    private mutating func name() throws(GrammarError) -> String {
        var name = ""
        while let next = peek, Self.isName(next) {
            name.unicodeScalars.append(next)
            at += 1
        }
        guard !name.isEmpty else { throw unexpected() }
        return name
    }

    private mutating func expect(_ scalar: Unicode.Scalar, _ what: String) throws(GrammarError) {
        guard peek == scalar else { throw .syntax(line: line, "\(what) expected") }
        at += 1
    }

    private func unexpected() -> GrammarError {
        guard let peek else { return .syntax(line: line, "the grammar ends inside a rule") }
        return .syntax(line: line, "'\(peek)' is unexpected")
    }

    /// Goes over white space and comments.
    private mutating func skip(lineEnds: Bool) {
        while let next = peek {
            if next == "#" {
                while at < text.count, !isLineEnd { at += 1 }
            } else if next == " " || next == "\t" || (lineEnds && isLineEnd) {
                if next == "\n" { line += 1 }
                at += 1
            } else {
                return
            }
        }
    }
}
