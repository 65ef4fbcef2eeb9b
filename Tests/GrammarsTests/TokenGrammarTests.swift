@testable import TesseraGrammars
import Testing
import TesseraTokenization

@Suite struct TokenGrammarTests {
    private static let pieces = [
        "{\"", "\":", "\": ", "\",", "\"}", "true", "false", "nul", "null", "12", "123", "name",
        "na", "\n  ",
        "\\\"", "\\u", "é", "😀", "[[", "]]", "}}", ", \"", "name",
        "abcabc", "bbb", "bbbbbbb", "0123", "01234567", "aaaaaaaaaaaa", "ab", "a1", "bc0", ", }",
        "x0x0", "x01{\"x",
    ]

    private static func make(_ grammar: Grammar) throws -> (TokenGrammar, Tokenizer) {
        let tokenizer = try makeTokenizer(pieces)
        let tree = TokenTree(
            tokenizer, vocabularySize: tokenizer.vocabularySize + 5, leavingOut: [])
        let end = Int32(tokenizer.vocabularySize - 1)
        return (try TokenGrammar(grammar, tree, tokenizer, endTokens: [end]), tokenizer)
    }

    /// Grammars with several kinds of limits: in strings, nested, in rules that are called, ambiguous.
    private static let limited = [
        "root ::= \"[\" [a-z0-9]{0,12} \"]\"", "root ::= \"[\" [a-z0-9]{9} \"]]\"?",
        "root ::= (\"a\" [b-c0-9]{2,5} \", \"){1,7} \"}\"",
        "root ::= item{2,6} \"}\"?\nitem ::= \"x\" digit{0,7} \"{\\\"\"?\ndigit ::= [0-9a-c]",
        "root ::= ([a-c]{0,5} | [a-z]{3,9}) (\"!\" | [0-9]{1,20})",
        "root ::= ([a-c] ([0-9]{2,3} [b]{0,9}){0,8}){3}",
    ]

    private static func grammars() throws -> [Grammar] {
        try [
            .json(),
            Grammar(
                schema: """
                    {"type": "array", "maxItems": 3, "items": {"type": "object", "required": ["a", "b"], "properties": {
                    "a": {"type": "string", "maxLength": 9}, "b": {"type": "string", "minLength": 3, "maxLength": 20}}}}
                    """),
        ] + limited.map { try Grammar(gbnf: $0) }
    }

    /// A mask allows exactly the tokens whose bytes the grammar can read, also near the end of a repetition.
    @Test func masksAreThoseOfEachToken() throws {
        var dice = Dice(state: 1)
        for form in try Self.grammars() {
            let (grammar, tokenizer) = try Self.make(form)
            for _ in 0..<20 {
                var state = grammar.start
                for _ in 0..<40 {
                    let mask = try grammar.mask(state)
                    var allowed: [Int32] = []
                    for id in 0..<Int32(tokenizer.vocabularySize + 5) {
                        let next = try grammar.next(state, id)
                        if mask.contains(id) != (next != nil) { Issue.record("token \(id)") }
                        if next != nil { allowed.append(id) }
                    }
                    #expect(mask.count == allowed.count && !allowed.isEmpty)
                    // Long tokens, which end repetitions, as often as short ones.
                    let long = allowed.filter { $0 > 255 }
                    let some = dice.isLucky(0.5) && !long.isEmpty ? long : allowed
                    guard let next = try grammar.next(state, some[dice.roll(some.count)]) else {
                        break
                    }
                    state = next
                    if grammar.isComplete(state) { break }
                }
            }
        }
    }

    /// What is repeated in the same way needs no further walks: later characters of a long string, later elements.
    @Test func repetitionsShareMasks() throws {
        let (grammar, _) = try Self.make(
            Grammar(gbnf: "root ::= item{60}\nitem ::= \"(\" [a-z]{0,9} \")\" [b-d]{0,500} \".\""))
        var state = grammar.start
        var walks: [Int] = []
        for _ in 0..<40 {
            for byte in "(abcdefghi)\(String(repeating: "bcd", count: 100)).".utf8 {
                _ = try grammar.mask(state)
                state = try #require(try grammar.next(state, Int32(byte)))
            }
            walks.append(grammar.walks)
        }
        #expect(walks[0] < 30 && walks[39] == walks[0], "\(walks)")
    }

    @Test func theEndIsAllowedWhereTheGrammarEnds() throws {
        let (grammar, tokenizer) = try Self.make(Grammar(gbnf: "root ::= \"1\" \"2\"?"))
        let end = Int32(tokenizer.vocabularySize - 1)
        #expect(try grammar.next(grammar.start, end) == nil)
        let one = try #require(try grammar.next(grammar.start, 0x31))
        #expect(try grammar.mask(one).contains(end) && !grammar.isComplete(one))
        let both = try #require(try grammar.next(one, 0x32))
        #expect(grammar.isComplete(both))
        #expect(try grammar.mask(both).count == 1)
        #expect(try grammar.forced(both).isEmpty)
        let over = try #require(try grammar.next(both, end))
        #expect(grammar.isComplete(over))
    }

    /// Special tokens are no text, whatever they spell.
    @Test func specialTokensAreNoText() throws {
        let (grammar, tokenizer) = try Self.make(Grammar(gbnf: "root ::= \"<end>\" \"!\""))
        let end = Int32(tokenizer.vocabularySize - 1)
        #expect(try grammar.next(grammar.start, end) == nil)
        #expect(try grammar.mask(grammar.start).count == 1)
    }

    @Test func whatIsForcedIsGuessed() throws {
        let (grammar, tokenizer) = try Self.make(Grammar(gbnf: "root ::= \"{x}\" [ab]"))
        let guesses = try grammar.forced(grammar.start)
        let text = guesses.flatMap { tokenizer.bytes(of: $0.token) }
        #expect(text == Array("{x}".utf8))
        #expect(guesses.first?.chance == 1)  // '{"' cannot follow
        let (choice, _) = try Self.make(Grammar(gbnf: "root ::= [ab]"))
        #expect(try choice.forced(choice.start).isEmpty)
        let (name, _) = try Self.make(Grammar(gbnf: "root ::= \"name\""))
        // Cut in other ways too.
        #expect(try name.forced(name.start).first.map { $0.chance < 1 } == true)
    }
}
