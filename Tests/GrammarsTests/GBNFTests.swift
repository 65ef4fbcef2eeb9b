@testable import TesseraGrammars
import Testing

@Suite struct GBNFTests {
    private static let followed: [(String, [String], [String])] = [
        (#"root ::= "a" "b"* [0-9]+"#, ["a1", "abb23"], ["", "a", "ab", "b1", "a1b"]),
        (
            """
            # arithmetic
            root ::= term ([-+*/] term)*   # right to left
            term ::= num | "(" root ")"
            num  ::= [0-9]{1,3}
            """, ["1", "12+3", "(1-2)*(3/456)"], ["", "1+", "1234", "(1", "()"]
        ),
        (#"root ::= [^a-z\n] . "é""#, ["Xyé", "ä\né"], ["ayé", "\nyé", "Xyee"]),
        (#"root ::= "\x41\u00e9\U0001F600\"\\\n""#, ["Aé😀\"\\\n"], ["Aé😀"]),
        ("root ::= (\"a\" |\n  \"b\")? \"c\"\nother ::= \"x\"", ["c", "ac", "bc"], ["abc", "x"]),
        (
            #"root ::= "a"{2} | "b"{1,} | "c"{0,2} "!""#, ["aa", "bbb", "!", "cc!"],
            ["a", "", "ccc!"]
        ),
        ("root ::= \"(\" root \")\" root | \"\"", ["", "(())()"], ["(", "())"]),
        (
            "root ::= [\u{7ff}-\u{ffff}]", ["\u{7ff}", "\u{800}", "\u{d7ff}", "\u{e000}"],
            ["\u{7fe}", "\u{10000}"]
        ),
    ]

    @Test(arguments: followed) func textsFollowGrammars(
        source: String, good: [String], bad: [String]
    ) throws {
        let grammar = try Grammar(gbnf: source)
        for text in good { #expect(try grammar.accepts(text), "\(text)") }
        for text in bad { #expect(try !grammar.accepts(text), "\(text)") }
    }

    private static let refused: [(String, String)] = [
        ("", "no rule 'root'"), ("start ::= \"a\"", "no rule 'root'"),
        ("root ::= x", "no rule 'x'"),
        ("root := \"a\"", "'::=' after 'root' expected"), ("root ::= \"a", "without end"),
        ("root ::= [a", "without end"), ("root ::= [z-a]", "ends before it begins"),
        ("root ::= []", "no characters"), ("root ::= (\"a\"", "')' expected"),
        ("root ::= \"a\")", "')' is unexpected"), ("root ::= \"\\q\"", "escape"),
        ("root ::= \"\\ud800\"", "no character"), ("root ::= \"a\"{3,2}", "{m,n}"),
        ("root ::= \"a\"{x}", "number"), ("root ::= \"a\"\nroot ::= \"b\"", "line 2"),
        ("root ::= \"a\"\n\n%", "line 3"),
        ("root ::= root \"a\" | \"b\"", "'root' of the grammar begins with itself"),
        ("root ::= e a\na ::= b\nb ::= \"\" root\ne ::= \"x\"?", "begins with itself"),
        ("root ::= \"a\" root", "cannot be followed"),
        ("root ::= \"a\" (\"b\"{100000}){100000}", "too large"),
        ("root ::= " + String(repeating: "(", count: 500), "nested too deeply"),
    ]

    @Test(arguments: refused) func otherTextsAreRefused(source: String, reason: String) {
        #expect {
            try Grammar(gbnf: source)
        } throws: { "\($0)".contains(reason) }
    }

    /// Work is bounded where a text has ever more readings.
    @Test func ambiguityIsBounded() throws {
        let grammar = try Grammar(
            gbnf: "root ::= a a a a a a a a b\na ::= (\"x\" | \"x\" a)*\nb ::= \"!\"")
        var automaton = try Automaton(grammar, reach: 0)
        var place = automaton.start
        #expect(throws: GrammarError.tooAmbiguous) {
            for _ in 0..<10_000 { place = try automaton.next(place, UInt8(ascii: "x")) }
        }
    }

    @Test func charactersAreSplitIntoBytes() {
        var dice = Dice(state: 3)
        for _ in 0..<300 {
            let ranges = (0...dice.roll(3)).map { _ -> ClosedRange<UInt32> in
                let most = [0x100, 0x1000, 0x11_0000][dice.roll(3)]
                let (a, b) = (UInt32(dice.roll(most)), UInt32(dice.roll(most)))
                return min(a, b)...max(a, b)
            }
            let sequences = Characters.sequences(ranges)
            let borders = ranges.flatMap { [$0.lowerBound, $0.upperBound] }
            let near = borders.flatMap { border in (-2...2).map { Int(border) + $0 } }
            for value in near + (0..<50).map({ _ in dice.roll(0x11_0000) }) {
                guard value >= 0, let scalar = Unicode.Scalar(UInt32(value)) else { continue }
                let bytes = Array(String(Character(scalar)).utf8)
                let matches = sequences.filter { sequence in
                    sequence.count == bytes.count
                        && zip(sequence, bytes).allSatisfy { $0.contains($1) }
                }.count
                let isMember = ranges.contains { $0.contains(scalar.value) }
                #expect(matches == (isMember ? 1 : 0), "\(scalar.value) of \(ranges)")
            }
        }
    }
}
