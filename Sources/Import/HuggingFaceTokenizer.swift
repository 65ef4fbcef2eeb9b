internal import TesseraReporting
internal import TesseraWeightFile

/// tokenizer.json and its companions as tables.
struct HuggingFaceTokenizer {
    let folder: String
    /// tokenizer.json.
    let json: Settings
    /// tokenizer_config.json.
    let settings: Settings?

    init(folder: String) throws(ImportError) {
        self.folder = folder
        guard let json = try Settings.file(folder + "/tokenizer.json") else {
            throw .notFound(path: folder, wanted: "tokenizer.json in this folder")
        }
        self.json = json
        settings = try Settings.file(folder + "/tokenizer_config.json")
    }

    func malformed(_ reason: String) -> ImportError {
        .malformed(path: json.path, offset: nil, reason: reason.printable)
    }

    /// - Parameters:
    ///   - vocabularySize: Rows of the embedding; nil: up to the highest id.
    ///   - endTokens: Ids that end generation by the settings of the model.
    func tables(
        vocabularySize: Int?, endTokens: [Int]
    ) throws(ImportError) -> TokenizerTables {
        guard let model = try json.object("model") else {
            throw .missingSetting(path: json.path, name: "model")
        }
        let type = try model.string("type") ?? "BPE"
        guard type == "BPE", let vocabulary = model.value("vocab")?.members else {
            throw .unsupported(
                path: json.path, what: "a tokenizer of type \(type.printable)",
                advice: "choose a model whose tokenizer has the type BPE")
        }
        let isSentencePiece = try isSentencePiece(model)
        let added = try addedTokens()
        let highest = (vocabulary.compactMap(\.value.int) + added.map(\.id)).max() ?? 0
        let size = vocabularySize ?? min(highest, 1 << 22) + 1
        var tables = try tokens(vocabulary, count: size, isSentencePiece)
        try refuseOtherSpelling(model, tables, vocabulary, isSentencePiece)
        tables.merges = try merges(model, vocabulary)
        apply(added, to: &tables)
        tables.ignoreMerges = try model.bool("ignore_merges") ?? false
        try model.finish()
        if isSentencePiece {
            try setSentencePiece(&tables)
        } else {
            try setPipeline(&tables)
        }
        try setSpecialTokens(&tables, endTokens: endTokens)
        json.ignore("version", "truncation", "padding")
        try json.finish()
        return tables
    }

    private func tokens(
        _ vocabulary: [JSONValue.Member], count: Int, _ isSentencePiece: Bool
    ) throws(ImportError) -> TokenizerTables {
        var spellings = [[UInt8]?](repeating: nil, count: count)
        for member in vocabulary {
            guard let id = member.value.int, spellings.indices.contains(id) else {
                let name = String(decoding: member.name, as: UTF8.self).prefixed(60)
                throw malformed(
                    "model.vocab: '\(name)' has the id \(member.value.shown), expected one of the "
                        + "embedding's \(count) rows")
            }
            spellings[id] = member.name
        }
        var kinds: [TokenizerTables.TokenKind] = []
        let tokens = spellings.enumerated().map { id, spelling -> [UInt8] in
            guard let spelling else {
                kinds.append(.unused)
                return Array("[unused\(id)]".utf8)
            }
            if isSentencePiece, let byte = SentencePiece.byte(of: spelling) {
                kinds.append(.byte)
                return [byte]
            }
            kinds.append(.normal)
            return isSentencePiece
                ? TokenizerTables.unmarked(spelling) : ByteLevel.bytes(of: spelling) ?? spelling
        }
        return TokenizerTables(tokens: tokens, kinds: kinds)
    }

    /// Settings of BPE that vocabularies of ours have, but switched off or never used.
    private func refuseOtherSpelling(
        _ model: Settings, _ tables: TokenizerTables, _ vocabulary: [JSONValue.Member],
        _ isSentencePiece: Bool
    ) throws(ImportError) {
        for name in ["continuing_subword_prefix", "end_of_word_suffix"] {
            if let text = try model.string(name), !text.isEmpty { throw model.unsupported(name) }
        }
        if let dropout = try model.double("dropout"), dropout != 0 {
            throw model.unsupported("dropout")
        }
        let unknown = try model.string("unk_token")
        let fallback = try model.bool("byte_fallback") ?? false
        model.ignore("fuse_unk")
        if isSentencePiece {
            guard SentencePiece.spellsAllBytes(vocabulary.lazy.map(\.name)) else {
                throw model.unsupported("byte_fallback")
            }
            // It would look like U+2581.
            guard !vocabulary.contains(where: { $0.name == [0x20] }) else {
                throw malformed("model.vocab: ' ' is a token next to U+2581")
            }
            return
        }
        guard unknown != nil || fallback else { return }
        // Never used where every byte that UTF-8 has is a token.
        let bytes = Set(
            tables.tokens.indices.lazy
                .filter { tables.kinds[$0] == .normal && tables.tokens[$0].count == 1 }
                .compactMap { tables.tokens[$0].first })
        let spells = (0...0xf4).allSatisfy { $0 == 0xc0 || $0 == 0xc1 || bytes.contains($0) }
        guard spells else {
            throw model.unsupported(unknown == nil ? "byte_fallback" : "unk_token")
        }
    }

    // MARK: Merges

    /// In order of rank. The last of equal merges counts, and lines with a version are left out, as in
    /// `tokenizers`.
    private func merges(
        _ model: Settings, _ vocabulary: [JSONValue.Member]
    ) throws(ImportError) -> [TokenizerTables.Merge] {
        var ids: [[UInt8]: UInt32] = [:]
        ids.reserveCapacity(vocabulary.count)
        for member in vocabulary {
            ids[member.name] = member.value.int.flatMap { UInt32(exactly: $0) }
        }
        let builder = MergeBuilder(ids: ids)
        var merges: [TokenizerTables.Merge?] = []
        var places: [UInt64: Int] = [:]
        let lines = try model.array("merges") ?? []
        for (index, line) in lines.enumerated() {
            if line.bytes?.starts(with: Array("#version".utf8)) == true { continue }
            guard let pair = Self.pair(line), let found = builder.merge(pair.0, pair.1) else {
                throw malformed("model.merges[\(index)] joins no tokens of the vocabulary")
            }
            let key = UInt64(found.left) << 32 | UInt64(found.right)
            if let place = places.updateValue(merges.count, forKey: key) { merges[place] = nil }
            merges.append(.init(left: found.left, right: found.right, result: found.result))
        }
        return merges.compactMap { $0 }
    }

    /// The two sides of "a b" or ["a", "b"].
    private static func pair(_ line: JSONValue) -> (ArraySlice<UInt8>, ArraySlice<UInt8>)? {
        if let text = line.bytes {
            guard let space = text.dropFirst().firstIndex(of: 0x20) else { return nil }
            return (text[..<space], text[(space + 1)...])
        }
        guard let sides = line.array, sides.count == 2, let left = sides[0].bytes,
            let right = sides[1].bytes
        else { return nil }
        return (left[...], right[...])
    }
}
