internal import TesseraReporting
internal import TesseraWeightFile

extension GGUFFile {
    /// The tokenizer in this file's metadata.
    ///
    /// - Parameter vocabularySize: Rows of the embedding; nil: as many as there are tokens.
    func tokenizerTables(vocabularySize: Int?) throws(ImportError) -> TokenizerTables {
        let model = try metadata.string("tokenizer.ggml.model") ?? ""
        switch model {
        case "gpt2": break
        case "llama": return try sentencePieceTables(vocabularySize: vocabularySize)
        default:
            let kind = ["t5": " (Unigram)", "bert": " (WordPiece)", "rwkv": " (RWKV)"][model] ?? ""
            throw .unsupported(
                path: file.path, what: "tokenizer model '\(model.printable)'\(kind)",
                advice: "choose a model with a BPE tokenizer ('gpt2' or 'llama')")
        }
        let spellings = try texts("tokenizer.ggml.tokens")
        let merges = try texts("tokenizer.ggml.merges")
        let types = (try metadata.array("tokenizer.ggml.token_type") ?? []).map { $0.int ?? 1 }
        var tables = try tokens(spellings, types, vocabularySize ?? spellings.count) {
            spelling, _ in (.normal, ByteLevel.bytes(of: spelling))
        }
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

    /// Notes for the user about the tokenizer.
    func tokenizerNotes() throws(ImportError) -> [String] {
        guard try metadata.bool("tokenizer.ggml.add_eos_token") == true else { return [] }
        return [
            "\(file.path): tokenizer.ggml.add_eos_token asks for an end token after every text; it is left "
                + "out, because the model would not go on with the text after it"
        ]
    }

    func texts(_ name: String) throws(ImportError) -> [[UInt8]] {
        try metadata.required(name, try metadata.array(name)).map { value throws(ImportError) in
            guard let text = value.bytes else { throw metadata.wrong(name, "a list of texts") }
            return text
        }
    }

    /// - Parameter normal: The kind and the bytes of a token that is neither special nor added, by its spelling and its type;
    ///   no bytes: it stands for its spelling.
    func tokens(
        _ spellings: [[UInt8]], _ types: [Int], _ vocabularySize: Int,
        normal: ([UInt8], Int) -> (TokenizerTables.TokenKind, [UInt8]?)
    ) throws(ImportError) -> TokenizerTables {
        guard spellings.count <= vocabularySize else {
            throw .malformed(
                path: file.path, offset: nil,
                reason: "\(spellings.count) tokens for \(vocabularySize) rows of embedding")
        }
        var bytes: [[UInt8]] = []
        var kinds: [TokenizerTables.TokenKind] = []
        for (id, spelling) in spellings.enumerated() {
            let type = id < types.count ? types[id] : 1
            switch type {
            case 2, 3:  // unknown, control
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
                let (kind, text) = normal(spelling, type)
                kinds.append(kind)
                bytes.append(text ?? spelling)
            }
        }
        for id in spellings.count..<max(spellings.count, vocabularySize) {
            kinds.append(.unused)
            bytes.append(Array("[unused\(id)]".utf8))
        }
        return TokenizerTables(tokens: bytes, kinds: kinds)
    }

    private func setPreTokenizer(_ tables: inout TokenizerTables) throws(ImportError) {
        // Names that llama.cpp treats alike.
        switch try metadata.string("tokenizer.ggml.pre") ?? "" {
        case "llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "midm-2.0", "lfm2":
            tables.preTokenizer = .llama3
            tables.ignoreMerges = true
            tables.addsBOS = true
        case "qwen2", "deepseek-r1-qwen", "kormo":
            tables.preTokenizer = .qwen2
            tables.normalizesNFC = true
        case "qwen35":
            tables.preTokenizer = .regex
            tables.pattern = PreTokenizerPatterns.qwen35
            tables.normalizesNFC = true
        case "gpt-4o", "llama4", "kanana2":
            tables.preTokenizer = .regex
            tables.pattern = PreTokenizerPatterns.o200k
        case "dbrx", "smaug-bpe":
            tables.preTokenizer = .llama3
        case "smollm", "refact", "starcoder":
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

    func setSpecialTokens(_ tables: inout TokenizerTables) throws(ImportError) {
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
