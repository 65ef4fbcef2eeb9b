@testable import TesseraGrammars
import Testing
import TesseraTokenization

@Suite struct TokenGrammarTests {
    private static let pieces = [
        "{\"", "\":", "\": ", "\",", "\"}", "true", "false", "nul", "null", "12", "123", "name",
        "na", "\n  ",
        "\\\"", "\\u", "é", "😀", "[[", "]]", "}}", ", \"", "name",
    ]

    private static func make(_ grammar: Grammar) throws -> (TokenGrammar, Tokenizer) {
        let tokenizer = try makeTokenizer(pieces)
        let tree = TokenTree(
            tokenizer, vocabularySize: tokenizer.vocabularySize + 5, leavingOut: [])
        let end = Int32(tokenizer.vocabularySize - 1)
        return (try TokenGrammar(grammar, tree, tokenizer, endTokens: [end]), tokenizer)
    }

    /// A mask says of each token what reading its bytes says.
    @Test func masksAreThoseOfEachToken() throws {
        var dice = Dice(state: 1)
        let (grammar, tokenizer) = try Self.make(.json())
        for _ in 0..<20 {
            var state = grammar.start
            for _ in 0..<40 {
                let mask = try grammar.mask(state)
                var allowed: [Int32] = []
                for id in 0..<Int32(tokenizer.vocabularySize + 5) {
                    let next = try grammar.next(state, id)
                    #expect(mask.contains(id) == (next != nil), "token \(id)")
                    if next != nil { allowed.append(id) }
                }
                #expect(mask.count == allowed.count && !allowed.isEmpty)
                guard let next = try grammar.next(state, allowed[dice.roll(allowed.count)]) else {
                    break
                }
                state = next
                if grammar.isComplete(state) { break }
            }
        }
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
