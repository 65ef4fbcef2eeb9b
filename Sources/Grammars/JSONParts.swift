internal import TesseraReporting

/// Parts of JSON texts as expressions.
enum JSONParts {
    /// Between tokens: nothing, a space, or a new line with its indentation.
    static let space = Expression.choice([
        .empty, .text(" "),
        .sequence([
            .text("\n"), .repeated(.characters([0x20...0x20, 9...9]), least: 0, most: 20),
        ]),
    ])

    /// Characters that stand in a string as they are.
    static let plain = Characters.subtract(
        Characters.all, [0...0x1f, 0x22...0x22, 0x5c...0x5c])

    private static let hexadecimal = Expression.characters([0x30...0x39, 0x41...0x46, 0x61...0x66])

    /// One character of a string, written in any way; no half of a surrogate pair.
    static let character: Expression = {
        func digit(_ characters: String) -> Expression {
            .characters(characters.unicodeScalars.map { $0.value...$0.value })
        }
        let four = Expression.choice([
            .sequence([digit("0123456789abcefABCEF"), hexadecimal, hexadecimal, hexadecimal]),
            .sequence([digit("dD"), digit("01234567"), hexadecimal, hexadecimal]),
            .sequence([
                digit("dD"), digit("89abAB"), hexadecimal, hexadecimal, .text("\\u"),
                digit("dD"), digit("cdefCDEF"), hexadecimal, hexadecimal,
            ]),
        ])
        return .choice([
            .characters(plain),
            .sequence([
                .text("\\"),
                .choice([digit("\"\\/bfnrt"), .sequence([.text("u"), four])]),
            ]),
        ])
    }()

    /// A string with a number of characters.
    static func string(least: Int = 0, most: Int? = nil) -> Expression {
        .sequence([.text("\""), .repeated(character, least: least, most: most), .text("\"")])
    }

    /// A character of `ranges` inside a string, written in one way.
    static func character(of ranges: [ClosedRange<UInt32>]) -> Expression {
        var parts: [Expression] = []
        let plain = Characters.intersection(ranges, plain)
        if !plain.isEmpty { parts.append(.characters(plain)) }
        for scalar in Characters.subtract(ranges, Self.plain).joined() {
            guard let scalar = Unicode.Scalar(scalar) else { continue }
            parts.append(.text(escaped(scalar)))
        }
        return parts.count == 1 ? parts[0] : .choice(parts)
    }

    private static func escaped(_ scalar: Unicode.Scalar) -> String {
        String(JSONOutput.string(String(Character(scalar))).text.dropFirst().dropLast())
    }

    static func text(of value: JSONValue) -> Expression { .text(JSONOutput(value).text) }

    /// Digits of a whole number at most: doubles hold them exactly.
    static let mostDigits = 15
    static let digit = Expression.characters([0x30...0x39])

    static let unsigned = Expression.choice([
        .text("0"),
        .sequence([
            .characters([0x31...0x39]), .repeated(digit, least: 0, most: mostDigits - 1),
        ]),
    ])

    static let integer = Expression.sequence([.optional(.text("-")), unsigned])

    static let fraction = Expression.sequence([
        .text("."), .repeated(digit, least: 1, most: mostDigits),
    ])

    static let number = Expression.sequence([
        integer, .optional(fraction),
        .optional(
            .sequence([
                .characters([0x45...0x45, 0x65...0x65]),
                .optional(.characters([0x2b...0x2b, 0x2d...0x2d])),
                .repeated(digit, least: 1, most: 2),
            ])),
    ])

    /// `open` elements `close`, with commas.
    static func list(
        _ open: String, _ element: Expression, _ close: String, least: Int = 0, most: Int? = nil
    ) -> Expression {
        if most == 0 { return .sequence([.text(open), space, .text(close)]) }
        let more = Expression.repeated(
            .sequence([.text(","), space, element]), least: max(0, least - 1),
            most: most.map { $0 - 1 })
        let filled = Expression.sequence([element, more, space])
        return .sequence([
            .text(open), space, least > 0 ? filled : .choice([.empty, filled]), .text(close),
        ])
    }

    /// A member's name, in which only characters that need it are escaped.
    static func member(_ name: [UInt8], _ value: Expression) -> Expression {
        .sequence([text(of: .string(name)), .text(":"), space, value])
    }

    /// Any value; `value` is the rule that this makes.
    static func anyValue(_ value: Expression) -> Expression {
        .choice([
            anyObject(value), anyArray(value), string(), number, .text("true"), .text("false"),
            .text("null"),
        ])
    }

    static func anyObject(_ value: Expression, least: Int = 0, most: Int? = nil) -> Expression {
        list(
            "{", .sequence([string(), .text(":"), space, value]), "}", least: least, most: most)
    }

    static func anyArray(_ value: Expression) -> Expression { list("[", value, "]") }

    /// A string other than `names`, of characters that need no escape.
    static func name(otherThan names: [[UInt8]]) -> Expression {
        .sequence([.text("\""), rest(otherThan: names.map { $0[...] })])
    }

    /// The rest of such a string, its quote included.
    private static func rest(otherThan names: [ArraySlice<UInt8>]) -> Expression {
        let anything = Expression.sequence([
            .any(of: .characters(plain)), .text("\""),
        ])
        guard !names.isEmpty else { return anything }
        var byFirst: [UInt32: [ArraySlice<UInt8>]] = [:]
        var isTaken = false
        for name in names {
            guard let first = String(decoding: name, as: UTF8.self).unicodeScalars.first else {
                isTaken = true
                continue
            }
            let length = String(Character(first)).utf8.count
            byFirst[first.value, default: []].append(name.dropFirst(length))
        }
        var parts: [Expression] = isTaken ? [] : [.text("\"")]
        for (first, rests) in byFirst.sorted(by: { $0.key < $1.key }) {
            guard Characters.intersection(plain, [first...first]).count == 1 else { continue }
            parts.append(
                .sequence([.characters([first...first]), rest(otherThan: rests)]))
        }
        let others = Characters.subtract(plain, byFirst.keys.map { $0...$0 })
        parts.append(.sequence([.characters(others), anything]))
        return .choice(parts)
    }
}

extension Grammar {
    /// Any JSON object.
    public static func json() throws(GrammarError) -> Grammar {
        try Grammar(
            [
                Rule(name: "value", body: JSONParts.anyValue(.rule(0))),
                Rule(name: "object", body: JSONParts.anyObject(.rule(0))),
            ], root: 1)
    }
}
