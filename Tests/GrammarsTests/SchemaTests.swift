@testable import TesseraGrammars
import TesseraReporting
import Testing
import TesseraTokenization

@Suite struct SchemaTests {
    private static let followed: [(String, [String], [String])] = [
        (
            ##"{"type": "integer", "minimum": -12, "maximum": 305}"##,
            ["0", "-12", "-1", "99", "300", "305"],
            ["-13", "306", "01", "1.0", "1e2", "-", "\"1\""]
        ),
        (
            ##"{"type": "integer", "exclusiveMinimum": 3}"##, ["4", "10", "999999999999999"],
            ["3", "-5", "0"]
        ),
        (
            ##"{"type": "number", "minimum": 0, "maximum": 1}"##,
            ["0", "1", "0.5", "0.000001"], ["1.5", "2", "-1", "-0.5"]
        ),
        (
            ##"{"type": "number", "exclusiveMinimum": 0}"##, ["1", "0.01", "7.5"],
            ["0", "0.0", "0.000", "-1"]
        ),
        (##"{"type": "number"}"##, ["0", "-1.5e-3", "1E5"], ["+1", ".5", "1.", "0x1"]),
        (
            ##"{"type": "string", "minLength": 1, "maxLength": 3}"##,
            [##""a""##, ##""äöü""##, ##""😀\n\u0041""##, ##""\ud83d\ude00""##],
            [##""""##, ##""abcd""##, "\"a\nb\"", ##""\ud83d""##]
        ),
        (
            ##"{"enum": ["a", 1, null, "ab", {"x": [1]}]}"##,
            [##""a""##, "1", "null", ##""ab""##, ##"{"x": [1]}"##], [##""b""##, "2"]
        ),
        (##"{"const": "é\n\"\\"}"##, [##""é\n\"\\""##], [##""é""##]),
        (##"{"type": ["integer", "null"]}"##, ["5", "null"], ["true"]),
        (
            ##"{"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 2}"##,
            ["[true]", "[true, false]", "[true,false]", "[\n  true\n]"],
            ["[]", "[true,]", "[true,true,true]", "[1]"]
        ),
        (
            ##"{"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 1}"##,
            ["[1]", ##"[1, "a"]"##], ["[]", "[1, 2]", ##"[1, "a", 3]"##]
        ),
        (
            ##"{"type": "array", "prefixItems": [{"type": "integer"}], "items": {"type": "null"}, "maxItems": 3}"##,
            ["[]", "[1]", "[1, null, null]"], ["[null]", "[1, null, null, null]"]
        ),
        (
            ##"{"properties": {"a": {"type": "integer"}, "b": true, "c": {"type": "null"}}, "required": ["b"], "type": "object"}"##,
            [##"{"b": []}"##, ##"{"a": 1, "b": {}, "c": null}"##, ##"{"b":1,"c":null}"##],
            ["{}", ##"{"a": 1}"##, ##"{"b": 1, "a": 1}"##, ##"{"b": 1, "d": 2}"##, ##"{"b": 1,}"##]
        ),
        (
            ##"{"properties": {"ab": true}, "additionalProperties": {"type": "integer"}, "type": "object"}"##,
            [
                "{}", ##"{"ab": "x"}"##, ##"{"ab": 1, "a": 2, "abc": 3, "": 4, "é": 5}"##,
                ##"{"b": 1}"##,
            ],
            [
                ##"{"a": "x"}"##, ##"{"ab": 1, "ab": 2}"##, ##"{"b": 1, "ab": 2}"##,
                ##"{"a\u0062": 2}"##,
            ]
        ),
        (
            ##"{"type": "object", "additionalProperties": {"type": "null"}, "minProperties": 1, "maxProperties": 2}"##,
            [##"{"a": null}"##, ##"{"a": null, "b": null}"##],
            ["{}", ##"{"a": 1}"##, ##"{"a": null, "b": null, "c": null}"##]
        ),
        (##"{"type": "object", "properties": {}}"##, ["{}", "{ }"], [##"{"a": 1}"##]),
        (
            ##"{"$ref": "#/$defs/t", "$defs": {"t": {"type": "object", "properties": {"v": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/t"}, {"type": "null"}]}}, "required": ["v", "next"]}}}"##,
            [##"{"v": 1, "next": null}"##, ##"{"v": 1, "next": {"v": 2, "next": null}}"##],
            [##"{"v": 1}"##]
        ),
        (
            ##"{"oneOf": [{"type": "object", "properties": {"k": {"const": "a"}, "x": {"type": "integer"}}, "required": ["k", "x"]}, {"type": "object", "properties": {"k": {"const": "b"}}, "required": ["k"]}]}"##,
            [##"{"k": "a", "x": 1}"##, ##"{"k": "b"}"##], [##"{"k": "a"}"##, ##"{"k": "c"}"##]
        ),
        (
            ##"{"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}}, {"properties": {"b": {"type": "null"}}, "required": ["a"]}]}"##,
            [##"{"a": 1}"##, ##"{"a": 1, "b": null}"##], ["{}", ##"{"b": null}"##]
        ),
        (
            ##"{"type": "object", "properties": {"a": {"type": "integer"}}, "anyOf": [{"required": ["a"]}, {"properties": {"c": {"const": 1}}, "required": ["c"]}], "title": "x"}"##,
            [##"{"a": 1}"##, ##"{"a": 1, "c": 1}"##, ##"{"c": 1}"##], [##"{"b": 1}"##, "{}"]
        ),
        (
            ##"{"type": "string", "pattern": "^[A-Z]{2}\\d{1,3}(?:-x|\\.y)?$"}"##,
            [##""AB1""##, ##""ZZ123-x""##, ##""AB1.y""##],
            [##""AB""##, ##""ab1""##, ##""AB1234""##, ##""AB1xy""##]
        ),
        (
            ##"{"type": "string", "pattern": "a\"|^b"}"##,
            [##""xa\"y""##, ##""bcd""##, ##""a\"""##], [##""ab""##]
        ),
        (
            ##"{"type": "string", "format": "date"}"##,
            [##""2024-02-29""##, ##""2023-12-31""##, ##""2000-02-29""##],
            [##""2023-02-29""##, ##""1900-02-29""##, ##""2023-04-31""##, ##""0000-01-01""##]
        ),
        (
            ##"{"type": "string", "format": "ipv4"}"##, [##""192.168.0.255""##, ##""0.0.0.0""##],
            [##""256.1.1.1""##, ##""1.2.3""##]
        ),
        ("true", ["1", "{}", "[[]]", "\"x\"", ##"{"a": [1, {"b": null}]}"##], ["", "{", "x"]),
        (
            ##"{"type": "object", "properties": {"a": false, "b": true}}"##,
            [##"{"b": 1}"##, "{}"], [##"{"a": 1}"##]
        ),
    ]

    @Test(arguments: followed) func textsFollowSchemas(
        schema: String, good: [String], bad: [String]
    ) throws {
        let grammar = try Grammar(schema: schema)
        for text in good { #expect(try grammar.accepts(text), "\(text)") }
        for text in bad { #expect(try !grammar.accepts(text), "\(text)") }
    }

    private static let refused: [(String, String)] = [
        ("{", "not JSON at byte"), ("[]", "root of the schema is neither"),
        ("false", "cannot be followed"),
        (##"{"type": "objet"}"##, "'/type' of the schema names no type"),
        (##"{"properties": {"a": {"not": {}}}}"##, "'/properties/a' of the schema has 'not'"),
        (##"{"properties": {"a/b~": {"if": {}}}}"##, "'/properties/a~1b~0' of the schema has 'if'"),
        (##"{"$ref": "other.json"}"##, "another document"),
        (##"{"$ref": "#/$defs/x"}"##, "does not exist"),
        (##"{"$ref": "#"}"##, "begins with itself"),
        (
            ##"{"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}"##,
            "begins with itself"
        ),
        (
            ##"{"type": "object", "properties": {"x": {"$ref": "#"}}, "required": ["x"]}"##,
            "cannot be followed"
        ),
        (
            ##"{"type": "object", "properties": {"x": {"enum": []}}, "required": ["x"]}"##,
            "'/properties/x' of the schema cannot be followed"
        ),
        (##"{"type": "integer", "minimum": 5, "maximum": 4}"##, "cannot be followed"),
        (##"{"type": "string", "minLength": 5, "maxLength": 4}"##, "cannot be followed"),
        (##"{"type": "string", "enum": [1, 2]}"##, "cannot be followed"),
        (
            ##"{"type": "object", "additionalProperties": false, "required": ["a"]}"##,
            "cannot be followed"
        ),
        (
            ##"{"oneOf": [{"type": "integer"}, {"type": "number"}]}"##,
            "'/oneOf/1' of the schema may accept what '/oneOf/0' does"
        ),
        (##"{"type": "string", "format": "uri"}"##, "'/format' of the schema names a format"),
        (##"{"type": "string", "pattern": "a(?=b)"}"##, "looks at text before or after"),
        (##"{"type": "string", "pattern": "(a"}"##, "group without end"),
        (##"{"type": "string", "pattern": "a$b"}"##, "anchor in its middle"),
        (##"{"type": "string", "pattern": "\\bx"}"##, "not supported"),
        (##"{"type": "string", "pattern": "x", "minLength": 2}"##, "next to a length"),
        (##"{"type": "array", "uniqueItems": true}"##, "uniqueItems"),
        (##"{"type": "number", "multipleOf": 5}"##, "multipleOf"),
        (
            ##"{"type": "string", "minLength": -1}"##,
            "'/minLength' of the schema is not a whole number"
        ),
        (##"{"type": "string", "minLength": 200000, "maxLength": 300000}"##, "too large"),
        (##"{"type": "array", "minItems": 1000000000}"##, "too large"),
        (
            ##"{"allOf": [{"type": "object", "properties": {"a": true}, "additionalProperties": false}, {"properties": {"b": true}}]}"##,
            "further members"
        ),
    ]

    @Test(arguments: refused) func otherSchemasAreRefused(schema: String, reason: String) {
        #expect {
            try Grammar(schema: schema)
        } throws: { error in
            "\(error)".contains(reason)
        }
    }

    /// A schema that would stand for 2^40 parts is refused before memory is gone.
    @Test func bombsAreRefused() {
        let definitions =
            (0..<40).map { index in
                ##""d\##(index)": {"allOf": [{"properties": {"x": {"$ref": "#/$defs/d\##(index + 1)"}, "y\##(index)": true}}, {"properties": {"x": {"anyOf": [{"$ref": "#/$defs/d\##(index + 1)"}, {"$ref": "#/$defs/d\##(index + 1)"}]}}}]}"##
            } + [##""d40": {"properties": {"z": {"type": "string", "maxLength": 10000}}}"##]
        let schema =
            ##"{"$ref": "#/$defs/d0", "$defs": {\##(definitions.joined(separator: ", "))}}"##
        #expect(throws: GrammarError.self) { try Grammar(schema: schema) }
    }

    // MARK: Random schemas

    private static func randomSchema(_ dice: inout Dice, depth: Int) -> String {
        func list(_ count: Int, _ body: (Int) -> String) -> String {
            (0..<count).map(body).joined(separator: ", ")
        }
        let values = [
            ##""a""##, ##""b\n""##, "1", "-2.5", "null", "true", ##"{"k": [1, "x"]}"##, "[]",
        ]
        switch dice.roll(depth > 3 ? 6 : 12) {
        case 0:
            let least = dice.roll(40) - 20
            return
                ##"{"type": "integer", "minimum": \##(least), "maximum": \##(least + dice.roll(300))}"##
        case 1:
            return
                ##"{"type": "number", "exclusiveMinimum": \##(dice.roll(4) - 2), "maximum": \##(dice.roll(20) + 3)}"##
        case 2:
            let least = dice.roll(4)
            return
                ##"{"type": "string", "minLength": \##(least), "maxLength": \##(least + dice.roll(6))}"##
        case 3:
            return
                ##"{"enum": [\##(list(1 + dice.roll(4)) { _ in values[dice.roll(values.count)] })]}"##
        case 4: return ##"{"type": ["boolean", "null", "integer"]}"##
        case 5: return ##"{"$ref": "#/$defs/shared"}"##
        case 6, 7:
            let least = dice.roll(3)
            return
                ##"{"type": "array", "items": \##(randomSchema(&dice, depth: depth + 1)), "minItems": \##(least), "maxItems": \##(least + dice.roll(3))}"##
        case 8:
            return
                ##"{"type": "array", "prefixItems": [\##(list(1 + dice.roll(3)) { _ in randomSchema(&dice, depth: depth + 1) })], "items": \##(randomSchema(&dice, depth: depth + 1)), "maxItems": 5}"##
        case 9:
            return
                ##"{"anyOf": [\##(list(1 + dice.roll(3)) { _ in randomSchema(&dice, depth: depth + 1) })]}"##
        default:
            let names = ["a", "ab", "b", "é", "\\\"q"]
            let count = dice.roll(5)
            let members = list(count) {
                ##""\##(names[$0])": \##(randomSchema(&dice, depth: depth + 1))"##
            }
            let required = (0..<count).filter { _ in dice.isLucky(0.5) }.map {
                ##""\##(names[$0])""##
            }.joined(separator: ", ")
            let further = [
                "", ##", "additionalProperties": false"##,
                ##", "additionalProperties": {"type": "integer", "minimum": 3}"##,
            ][dice.roll(3)]
            return
                ##"{"type": "object", "properties": {\##(members)}, "required": [\##(required)]\##(further)}"##
        }
    }

    /// The text is valid whatever a hostile model draws from the allowed tokens.
    @Test func anyDrawnTextIsValid() throws {
        var dice = Dice(state: 11)
        let tokenizer = try makeTokenizer([
            "{\"", "\":", "\": ", "\",", "\"}", "true", "null", "12", "3.5", "ab", "a\"", "\n  ",
            "\\\"", "é", "[[",
            "]]", "}}", ", \"", "0.", "-1",
        ])
        let tree = TokenTree(tokenizer, vocabularySize: tokenizer.vocabularySize, leavingOut: [])
        let end = Int32(tokenizer.vocabularySize - 1)
        var finished = 0
        for _ in 0..<150 {
            let schema = Self.randomSchema(&dice, depth: 0)
            let source =
                schema.dropLast()
                + ##", "$defs": {"shared": {"type": "object", "properties": {"n": {"type": ["null", "integer"], "minimum": 2}}}}}"##
            let parsed = try JSONParser.parse(Array(source.utf8))
            let grammar = try TokenGrammar(
                Grammar(schema: String(source)), tree, tokenizer, endTokens: [end])
            let validator = Validator(root: parsed)
            for _ in 0..<4 {
                var (state, bytes) = (grammar.start, [UInt8]())
                while !grammar.isComplete(state) {
                    let mask = try grammar.mask(state)
                    var allowed = (0..<Int32(tokenizer.vocabularySize)).filter { mask.contains($0) }
                    try #require(!allowed.isEmpty)
                    // A text that grows too long is led to its end.
                    let closing = allowed.filter { [0x22, 0x5d, 0x7d, end].contains($0) }
                    if bytes.count > 150, !closing.isEmpty { allowed = closing }
                    let token = allowed[dice.roll(allowed.count)]
                    if token != end { bytes += tokenizer.bytes(of: token) }
                    state = try #require(try grammar.next(state, token))
                    if bytes.count > 3000 { break }
                }
                guard grammar.isComplete(state) else { continue }
                finished += 1
                let text = String(decoding: bytes, as: UTF8.self)
                let value = try JSONParser.parse(bytes)
                #expect(validator.accepts(value, parsed), "\(text) for \(source)")
            }
        }
        #expect(finished > 550)
    }
}
