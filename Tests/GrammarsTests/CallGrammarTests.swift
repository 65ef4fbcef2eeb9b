@testable import TesseraGrammars
import TesseraReporting
import Testing

@Suite struct CallGrammarTests {
    private static let marked = CallForm(
        marker: "<tool_call>", opening: "\n", closing: "\n</tool_call>", arguments: "arguments")
    private static let bare = CallForm(
        marker: "", opening: "", closing: "", arguments: "parameters")

    private static func grammar(
        _ form: CallForm, isRequired: Bool = false, most: Int? = nil, parameters: String? = nil,
        isStrict: Bool = false
    ) throws -> Grammar {
        let schema =
            ##"{"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "required": ["n"], "##
            + ##""$defs": {"n": {"type": "integer"}}}"##
        let functions = try [("f", parameters ?? schema), ("g", "{}")].map {
            CalledFunction(
                name: $0, parameters: try JSONParser.parse(Array($1.utf8)), isStrict: isStrict)
        }
        return try Grammar(calls: form, functions, isRequired: isRequired, most: most)
    }

    private static let f = "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"n\": 1}}\n</tool_call>"
    private static let g =
        "<tool_call>\n{\"name\": \"g\", \"arguments\": {\"x\": [null]}}\n</tool_call>"

    @Test func textMayComeBeforeCalls() throws {
        let grammar = try Self.grammar(Self.marked)
        for text in [
            "", "Hello", "a <b> <tool_cal <<tool_call", "Well.\n" + Self.f, Self.f + "\n" + Self.g,
            "<" + Self.f, Self.g,
        ] {
            #expect(try grammar.accepts(text), "\(text)")
        }
        for text in [
            "<tool_call>", Self.f + " and more",
            "<tool_call>\n{\"name\": \"h\", \"arguments\": {}}\n</tool_call>",
            "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>", "x<tool_call>y",
            Self.f + Self.f,
        ] {
            #expect(try !grammar.accepts(text), "\(text)")
        }
    }

    @Test func callsMayBeRequired() throws {
        let grammar = try Self.grammar(Self.marked, isRequired: true, most: 1)
        #expect(try grammar.accepts(Self.f) && grammar.accepts(Self.g))
        #expect(
            try !grammar.accepts("") && !grammar.accepts("a" + Self.f)
                && !grammar.accepts(Self.f + "\n" + Self.g))
    }

    @Test func callsMayBeBareObjects() throws {
        let grammar = try Self.grammar(Self.bare)
        #expect(
            try grammar.accepts(#"{"name": "f", "parameters": {"n": -7}}"#)
                && grammar.accepts("It is {1}."))
        #expect(try !grammar.accepts(#"{"name": "f"}"#) && !grammar.accepts(#" {"name": "f"}"#))
    }

    @Test func schemasThatAreNotSupportedStandForAnyObjectUnlessStrict() throws {
        let grammar = try Self.grammar(Self.bare, parameters: #"{"not": {}}"#)
        #expect(try grammar.accepts(#"{"name": "f", "parameters": {"any": 1}}"#))
        #expect(throws: GrammarError.self) {
            try Self.grammar(Self.bare, parameters: #"{"not": {}}"#, isStrict: true)
        }
    }
}
