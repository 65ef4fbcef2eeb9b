import Foundation
import Testing
import TesseraTokenization
import TesseraWeightFile

/// The beginning-of-sequence token, which a prompt has once.
@Suite struct BeginningTests {
    /// Letters, and `<s>` as token 26.
    private func tokenizer(addsBOS: Bool = true) throws -> Tokenizer {
        let letters = (0..<26).map { [UInt8(ascii: "a") + UInt8($0)] }
        let kinds = [TokenizerTables.TokenKind](repeating: .normal, count: 26) + [.special]
        var tables = TokenizerTables(tokens: letters + [Array("<s>".utf8)], kinds: kinds)
        tables.bosToken = 26
        tables.addsBOS = addsBOS
        return try Tokenizer(tables)
    }

    @Test func aTextThatSpellsItGetsNoSecondOne() throws {
        let tokenizer = try tokenizer()
        func ids(
            _ text: String, _ specials: Tokenizer.Specials = .parse, addBOS: Bool = true
        ) -> ([Int32], Bool) {
            tokenizer.encodeOnceBegun(text, specials: specials, addBOS: addBOS)
        }
        #expect(ids("ab") == ([26, 0, 1], false))
        #expect(ids("<s>ab") == ([26, 0, 1], true))
        #expect(ids("<s>ab", addBOS: false) == ([26, 0, 1], false))
        #expect(ids("<s><s>a") == ([26, 26, 0], true))
        // As text it is no token, so the one that is added is the only one.
        #expect(ids("<s>a", .asText).0.filter { $0 == 26 } == [26])
        #expect(!ids("<s>a", .asText).1)
    }
}
