internal import TesseraReporting
internal import TesseraWeightFile

extension GGUFFile {
    /// The SentencePiece tokenizer in this file's metadata: tokens with scores and types.
    ///
    /// - Parameter vocabularySize: Rows of the embedding; nil: as many as there are tokens.
    func sentencePieceTables(vocabularySize: Int?) throws(ImportError) -> TokenizerTables {
        let spellings = try texts("tokenizer.ggml.tokens")
        let types = try metadata.required(
            "tokenizer.ggml.token_type", try metadata.array("tokenizer.ggml.token_type"))
        guard types.count == spellings.count else {
            throw malformedTokens("\(types.count) token types for \(spellings.count) tokens")
        }
        var tables = try tokens(
            spellings.map(TokenizerTables.unmarked), types.map { $0.int ?? 1 },
            vocabularySize ?? spellings.count
        ) { spelling, type in
            guard type == 6, let byte = SentencePiece.byte(of: spelling) else {
                return (.normal, nil)
            }
            return (.byte, [byte])
        }
        let bytes = tables.kinds.indices.lazy.filter { tables.kinds[$0] == .byte }
        guard SentencePiece.spellsAllBytes(bytes.map { spellings[$0] }) else {
            throw .unsupported(
                path: file.path, what: "a SentencePiece tokenizer without a token for each byte",
                advice: "choose another model")
        }
        tables.preTokenizer = .sentencePiece
        let addsSpace = try metadata.bool("tokenizer.ggml.add_space_prefix") ?? true
        tables.spacePrefix = addsSpace ? .section : .none
        for (id, kind) in tables.kinds.enumerated() where kind == .added {
            // Where no space moves them, SentencePiece finds them in the normalized text.
            if !addsSpace { tables.addedFlags[id] = .normalized }
        }
        tables.merges = try merges(tables, count: spellings.count)
        tables.addsBOS = try metadata.bool("tokenizer.ggml.add_bos_token") ?? true
        try setSpecialTokens(&tables)
        return tables
    }

    private func malformedTokens(_ reason: String) -> ImportError {
        .malformed(path: file.path, offset: nil, reason: reason)
    }

    /// Merges in the order of the scores. White space that is marked as user-defined comes first; other such tokens are
    /// matched in the text and never merged.
    private func merges(
        _ tables: TokenizerTables, count: Int
    ) throws(ImportError) -> [TokenizerTables.Merge] {
        let name = "tokenizer.ggml.scores"
        let values = try metadata.required(name, try metadata.array(name))
        let numbers = values.compactMap(\.double)
        guard numbers.count == values.count, numbers.allSatisfy({ !$0.isNaN }),
            numbers.count == count
        else { throw metadata.wrong(name, "a number for each token") }
        let scores = tables.tokens.indices.map { id -> Float? in
            switch tables.kinds[id] {
            case .normal: id < numbers.count ? Float(numbers[id]) : nil
            case .added
            where tables.tokens[id].allSatisfy({ [0x09, 0x0a, 0x0d, 0x20].contains($0) }):
                .infinity
            default: nil
            }
        }
        do throws(SentencePiece.Obstacle) {
            return try SentencePiece.merges(tables.tokens, tables.kinds, scores)
        } catch {
            let (id, what) =
                switch error {
                case .missingCharacter(let id): (id, "has a character that is no token")
                case .unused(let id): (id, "is unused, but a merge of other tokens")
                }
            let text = String(decoding: tables.tokens[id], as: UTF8.self).printable.prefixed(40)
            throw .unsupported(
                path: file.path, what: "a SentencePiece tokenizer whose token '\(text)' \(what)",
                advice: "import the model's Hugging Face folder instead")
        }
    }
}
