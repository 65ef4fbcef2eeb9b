internal import WeightFile

extension GGUFFile {
    /// The byte-level BPE tokenizer in this file's metadata.
    ///
    /// - Parameter vocabularySize: Rows of the embedding; nil: as many as there are tokens.
    func tokenizerTables(vocabularySize: Int?) throws(ImportError) -> TokenizerTables {
        let model = string("tokenizer.ggml.model") ?? ""
        guard model == "gpt2" else {
            throw .unsupported(
                path: file.path, what: "tokenizer model '\(model)'",
                advice: "choose a model with a byte-level BPE tokenizer ('gpt2')")
        }
        guard case .strings(let spellings) = metadata["tokenizer.ggml.tokens"] else {
            throw .missingSetting(path: file.path, name: "tokenizer.ggml.tokens")
        }
        guard case .strings(let merges) = metadata["tokenizer.ggml.merges"] else {
            throw .missingSetting(path: file.path, name: "tokenizer.ggml.merges")
        }
        let vocabularySize = vocabularySize ?? spellings.count
        guard spellings.count <= vocabularySize else {
            throw .malformed(
                path: file.path, offset: 0,
                reason: "\(spellings.count) tokens for \(vocabularySize) rows of embedding")
        }
        var types: [Int64] = []
        if case .integers(let values) = metadata["tokenizer.ggml.token_type"] { types = values }
        var tables = tokens(spellings, types, vocabularySize)
        let builder = MergeBuilder(spellings: spellings)
        for merge in merges {
            guard let space = merge.dropFirst().firstIndex(of: 0x20),
                let ids = builder.merge(merge[..<space], merge[(space + 1)...])
            else {
                throw .malformed(
                    path: file.path, offset: 0,
                    reason: "merge '\(String(decoding: merge, as: UTF8.self))' of no tokens")
            }
            tables.merges.append(.init(left: ids.left, right: ids.right, result: ids.result))
        }
        try setPreTokenizer(&tables)
        setSpecialTokens(&tables)
        return tables
    }

    private func tokens(
        _ spellings: [[UInt8]], _ types: [Int64], _ vocabularySize: Int
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
        switch string("tokenizer.ggml.pre") ?? "" {
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
                path: file.path, what: "pre-tokenizer '\(other)'",
                advice: "import the model's Hugging Face folder instead")
        }
        if let adds = bool("tokenizer.ggml.add_bos_token") { tables.addsBOS = adds }
    }

    private func setSpecialTokens(_ tables: inout TokenizerTables) {
        func id(_ name: String) -> Int? {
            integer("tokenizer.ggml.\(name)_token_id").flatMap {
                tables.tokens.indices.contains($0) ? $0 : nil
            }
        }
        tables.bosToken = id("bos")
        tables.padToken = id("padding")
        tables.unknownToken = id("unknown")
        if tables.bosToken == nil { tables.addsBOS = false }
        let named = [id("eos"), id("eot"), id("eom")].compactMap { $0 }
        tables.eosTokens = EndOfGeneration.ids(in: tables, named: named)
    }
}

/// Tokens that end a turn whatever a model's metadata says.
enum EndOfGeneration {
    private static let texts: Set<[UInt8]> = Set(
        [
            "<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>",
            "<|end_of_text|>", "<|eom_id|>",
        ].map { Array($0.utf8) })

    /// `named`, then every special token with one of those texts.
    static func ids(in tables: TokenizerTables, named: [Int]) -> [Int] {
        var ids: [Int] = []
        for id in named where !ids.contains(id) { ids.append(id) }
        for (id, kind) in tables.kinds.enumerated()
        where kind == .special && texts.contains(Array(tables.tokens[id])) && !ids.contains(id) {
            ids.append(id)
        }
        return ids
    }
}
