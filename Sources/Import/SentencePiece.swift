internal import TesseraWeightFile

/// SentencePiece's vocabularies, as GGUF files and tokenizer.json spell them.
enum SentencePiece {
    /// The byte that a token such as `<0x0A>` stands for.
    static func byte(of spelling: [UInt8]) -> UInt8? {
        guard spelling.count == 6, spelling.starts(with: Array("<0x".utf8)), spelling[5] == 0x3e
        else { return nil }
        // Only capital letters, and no sign.
        guard
            spelling[3...4].allSatisfy({ (0x30...0x39).contains($0) || (0x41...0x46).contains($0) })
        else { return nil }
        return UInt8(String(decoding: spelling[3...4], as: UTF8.self), radix: 16)
    }

    /// Whether each byte that UTF-8 has is spelled.
    static func spellsAllBytes(_ spellings: some Sequence<[UInt8]>) -> Bool {
        let bytes = Set(spellings.compactMap(byte))
        return (0...0xf4).allSatisfy { $0 == 0xc0 || $0 == 0xc1 || bytes.contains($0) }
    }

    /// Why merges of a vocabulary cannot stand for its scores.
    enum Obstacle: Error {
        /// The token has a character that is none of the tokens.
        case missingCharacter(token: Int)
        /// SentencePiece merges such a token and takes it apart again.
        case unused(token: Int)
    }

    /// The merges of a vocabulary with scores. SentencePiece joins the two neighbours whose text together is the token of
    /// the highest score, of several the leftmost. As each symbol is a token, that is a merge for every way to cut
    /// a token in two, and merges have one rank where scores are equal.
    ///
    /// - Parameter scores: By id; nil if no merge makes the token.
    static func merges(
        _ tokens: TokenList, _ kinds: [TokenizerTables.TokenKind], _ scores: [Float?]
    ) throws(Obstacle) -> [TokenizerTables.Merge] {
        var ids: [ArraySlice<UInt8>: UInt32] = [:]
        for id in tokens.indices where scores[id] != nil && ids[tokens[id]] == nil {
            ids[tokens[id]] = UInt32(id)
        }
        var found: [(score: Float, merge: TokenizerTables.Merge)] = []
        for (id, token) in tokens.enumerated() {
            guard let score = scores[id] ?? (kinds[id] == .unused ? 0 : nil) else { continue }
            let cuts = token.indices.dropFirst().filter { token[$0] & 0xc0 != 0x80 }
            guard !cuts.isEmpty else { continue }
            var start = token.startIndex
            for end in cuts + [token.endIndex] where kinds[id] != .unused {
                guard ids[token[start..<end]] != nil else { throw .missingCharacter(token: id) }
                start = end
            }
            for cut in cuts {
                guard let left = ids[token[..<cut]], let right = ids[token[cut...]] else {
                    continue
                }
                guard kinds[id] != .unused else { throw .unused(token: id) }
                found.append((score, .init(left: left, right: right, result: UInt32(id))))
            }
        }
        found.sort { $0.score > $1.score }
        return found.indices.map { index in
            let merge = found[index].merge
            return .init(
                left: merge.left, right: merge.right, result: merge.result,
                sharesRank: index > 0 && found[index - 1].score == found[index].score)
        }
    }
}
