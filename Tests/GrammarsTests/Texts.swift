@testable import TesseraGrammars
import TesseraTokenization
import TesseraWeightFile

extension Grammar {
    /// Whether a whole text follows it.
    func accepts(_ text: String) throws -> Bool {
        var automaton = try Automaton(self, reach: 0)
        var place = automaton.start
        for byte in text.utf8 {
            place = try automaton.next(place, byte)
            if place == Automaton.dead { return false }
        }
        return automaton.canEnd(place)
    }
}

/// A tokenizer of all single bytes, of some longer tokens, and of one that ends a text: the last id.
func makeTokenizer(_ longer: [String] = []) throws -> Tokenizer {
    var tables = TokenizerTables()
    for byte in 0...UInt8.max {
        tables.tokens.append([byte])
        tables.kinds.append(.normal)
    }
    for text in longer {
        tables.tokens.append(Array(text.utf8))
        tables.kinds.append(.normal)
    }
    tables.tokens.append(Array("<end>".utf8))
    tables.kinds.append(.special)
    tables.eosTokens = [tables.tokens.count - 1]
    return try Tokenizer(tables)
}

/// Random numbers that are the same every time.
struct Dice: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var x = state
        x = (x ^ (x >> 30)) &* 0xBF58_476D_1CE4_E5B9
        x = (x ^ (x >> 27)) &* 0x94D0_49BB_1331_11EB
        return x ^ (x >> 31)
    }

    mutating func roll(_ count: Int) -> Int { Int.random(in: 0..<count, using: &self) }
    mutating func isLucky(_ chance: Double) -> Bool {
        Double.random(in: 0..<1, using: &self) < chance
    }
}
