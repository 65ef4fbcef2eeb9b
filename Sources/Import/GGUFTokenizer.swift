internal import Reporting
internal import WeightFile

extension GGUFFile {
    /// The byte-level BPE tokenizer in this file's metadata.
    ///
    /// - Parameter vocabularySize: Rows of the embedding; nil: as many as there are tokens.
    func tokenizerTables(vocabularySize: Int?) throws(ImportError) -> TokenizerTables {
        let model = try metadata.string("tokenizer.ggml.model") ?? ""
        guard model == "gpt2" else {
            throw .unsupported(
                path: file.path, what: "tokenizer model '\(model.printable)'",
                advice: "choose a model with a byte-level BPE tokenizer ('gpt2')")
        }
        let spellings = try texts("tokenizer.ggml.tokens")
        let merges = try texts("tokenizer.ggml.merges")
        let vocabularySize = vocabularySize ?? spellings.count
        guard spellings.count <= vocabularySize else {
            throw .malformed(
                path: file.path, offset: nil,
                reason: "\(spellings.count) tokens for \(vocabularySize) rows of embedding")
        }
        let types = (try metadata.array("tokenizer.ggml.token_type") ?? []).map { $0.int ?? 1 }
        var tables = tokens(spellings, types, vocabularySize)
        let builder = MergeBuilder(spellings: spellings)
        for (index, merge) in merges.enumerated() {
            guard let space = merge.dropFirst().firstIndex(of: 0x20),
                let ids = builder.merge(merge[..<space], merge[(space + 1)...])
            else {
                let text = String(decoding: merge, as: UTF8.self).printable.prefixed(80)
                throw .malformed(
                    path: file.path, offset: nil,
                    reason: "tokenizer.ggml.merges[\(index)] '\(text)' joins no tokens")
            }
            tables.merges.append(.init(left: ids.left, right: ids.right, result: ids.result))
        }
        try setPreTokenizer(&tables)
        try setSpecialTokens(&tables)
        return tables
    }

    /// What a user should know of the tokenizer.
    func tokenizerNotes() throws(ImportError) -> [String] {
        guard try metadata.bool("tokenizer.ggml.add_eos_token") == true else { return [] }
        return [
            "\(file.path): tokenizer.ggml.add_eos_token asks for an end token after every text; it is left "
                + "out, because a model that has read it would not go on with the text"
        ]
    }

    private func texts(_ name: String) throws(ImportError) -> [[UInt8]] {
        try metadata.required(name, try metadata.array(name)).map { value throws(ImportError) in
            guard let text = value.bytes else { throw metadata.wrong(name, "a list of texts") }
            return text
        }
    }

    private func tokens(
        _ spellings: [[UInt8]], _ types: [Int], _ vocabularySize: Int
    ) -> TokenizerTables {
        var bytes: [[UInt8]] = []
        var kinds: [TokenizerTables.TokenKind] = []
        for (id, spelling) in spellings.enumerated() {
            let type = id < types.count ? types[id] : 1
            switch type {
            case 3:
                kinds.append(.special)
                bytes.append(spelling)
            case 4:
                // Older converters mark the padding of the vocabulary as user-defined.
                let isPadding = spelling.starts(with: Array("[PAD".utf8))
                kinds.append(isPadding ? .unused : .added)
                bytes.append(spelling)
            case 5:
                kinds.append(.unused)
                bytes.append(spelling)
            default:
                kinds.append(.normal)
                bytes.append(ByteLevel.bytes(of: spelling) ?? spelling)
            }
        }
        for id in spellings.count..<max(spellings.count, vocabularySize) {
            kinds.append(.unused)
            bytes.append(Array("[unused\(id)]".utf8))
        }
        return TokenizerTables(tokens: bytes, kinds: kinds)
    }

    private func setPreTokenizer(_ tables: inout TokenizerTables) throws(ImportError) {
        // The names that llama.cpp treats alike.
        switch try metadata.string("tokenizer.ggml.pre") ?? "" {
        case "llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "midm-2.0", "lfm2":
            tables.preTokenizer = .llama3
            tables.ignoreMerges = true
            tables.addsBOS = true
        case "qwen2", "deepseek-r1-qwen", "kormo":
            tables.preTokenizer = .qwen2
            tables.normalizesNFC = true
        case "smollm":
            tables.preTokenizer = .digitsGPT2
        case "gpt-2", "gpt2", "phi-2":
            tables.preTokenizer = .gpt2
        case "tekken":
            tables.preTokenizer = .regex
            tables.pattern = PreTokenizerPatterns.tekken
            tables.ignoreMerges = true
            tables.addsBOS = true
        case let other:
            throw .unsupported(
                path: file.path, what: "pre-tokenizer '\(other.printable)'",
                advice: "import the model's Hugging Face folder instead")
        }
        if let adds = try metadata.bool("tokenizer.ggml.add_bos_token") { tables.addsBOS = adds }
    }

    private func setSpecialTokens(_ tables: inout TokenizerTables) throws(ImportError) {
        func id(_ name: String) throws(ImportError) -> Int? {
            try metadata.int("tokenizer.ggml.\(name)_token_id").flatMap {
                tables.tokens.indices.contains($0) ? $0 : nil
            }
        }
        tables.bosToken = try id("bos")
        tables.padToken = try id("padding")
        tables.unknownToken = try id("unknown")
        if tables.bosToken == nil { tables.addsBOS = false }
        let end = try id("eos")
        tables.setEndTokens(named: end, others: [try id("eot"), try id("eom")].compactMap { $0 })
    }
}
