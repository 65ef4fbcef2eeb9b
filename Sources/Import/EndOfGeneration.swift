internal import TesseraWeightFile

extension TokenizerTables {
    /// Tokens that end a turn in every model, whatever its metadata says.
    private static let endTexts: Set<[UInt8]> = Set(
        [
            "<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>",
            "<|end_of_text|>", "<|eom_id|>",
        ].map { Array($0.utf8) })

    /// Sets the tokens that end generation: the one that the tokenizer names, then `others`, then every
    /// special token with a text that ends turns. Ids beyond the vocabulary are left out.
    mutating func setEndTokens(named: Int?, others: [Int]) {
        var ids: [Int] = []
        for id in [named].compactMap({ $0 }) + others
        where tokens.indices.contains(id) && !ids.contains(id) {
            ids.append(id)
        }
        for (id, kind) in kinds.enumerated()
        where kind == .special && Self.endTexts.contains(Array(tokens[id])) && !ids.contains(id) {
            ids.append(id)
        }
        eosTokens = ids
        namesEOS = named.map { ids.first == $0 } ?? false
    }
}
