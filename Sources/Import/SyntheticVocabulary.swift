internal import TesseraWeightFile

extension SyntheticModel {
    /// All bytes, then pronounceable pieces, so that noise can be read.
    static func vocabulary(_ count: Int, mask: Int?) -> TokenizerTables {
        let consonants = Array("bcdfghjklmnprstvwz".utf8)
        let vowels = Array("aeiou".utf8)
        let plain = count - (mask == nil ? 0 : 1)
        var tokens = (0..<min(256, plain)).map { [UInt8($0)] }
        var index = 0
        while tokens.count < plain {
            var token: [UInt8] = [0x20]
            var rest = index
            repeat {
                token.append(consonants[rest % consonants.count])
                rest /= consonants.count
                token.append(vowels[rest % vowels.count])
                rest /= vowels.count
            } while rest > 0
            // Each index has its own syllables; the digit only shows where a token ends.
            token.append(contentsOf: String(index % 10).utf8)
            tokens.append(token)
            index += 1
        }
        var kinds = [TokenizerTables.TokenKind](repeating: .normal, count: count)
        if let mask {
            tokens.insert(Array("<|mask|>".utf8), at: mask)
            kinds[mask] = .special
        }
        return TokenizerTables(tokens: tokens, kinds: kinds)
    }
}
