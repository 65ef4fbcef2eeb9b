internal import Reporting
internal import WeightFile

/// tokenizer.json and its companions as tables.
struct HuggingFaceTokenizer {
    let chatTemplate: String?
    private let path: String
    private let json: JSONValue
    private let settings: JSONValue?

    init(folder: String) throws(ImportError) {
        path = folder + "/tokenizer.json"
        guard let json = try SourceFile.json(path) else {
            throw .notFound(path: folder, wanted: "tokenizer.json in this folder")
        }
        self.json = json
        settings = try SourceFile.json(folder + "/tokenizer_config.json")
        let template = folder + "/chat_template.jinja"
        if fileKind(template) == .file {
            let bytes = try SourceFile(path: template).readAll(limit: 1 << 20)
            chatTemplate = String(decoding: bytes, as: UTF8.self)
        } else {
            chatTemplate = Self.template(settings?["chat_template"])
        }
    }

    /// A string, or the one named `default` of a list of named templates.
    private static func template(_ value: JSONValue?) -> String? {
        if let text = value?.string { return text }
        guard let named = value?.array else { return nil }
        let chosen = named.first { $0["name"]?.string == "default" } ?? named.first
        return chosen?["template"]?.string
    }

    private func malformed(_ reason: String) -> ImportError {
        .malformed(path: path, offset: 0, reason: reason)
    }

    /// - Parameter vocabularySize: Rows of the embedding; nil: up to the highest id.
    func tables(
        vocabularySize: Int?, config: JSONValue, generation: JSONValue?
    ) throws(ImportError) -> TokenizerTables {
        guard let model = json["model"], model["type"]?.string ?? "BPE" == "BPE",
            let vocabulary = model["vocab"]?.members
        else {
            throw .unsupported(
                path: path, what: "a tokenizer that is not BPE", advice: "choose another model")
        }
        let vocabularySize = vocabularySize ?? highestID(vocabulary) + 1
        var spellings = [[UInt8]?](repeating: nil, count: vocabularySize)
        var ids: [[UInt8]: UInt32] = [:]
        ids.reserveCapacity(vocabulary.count)
        for member in vocabulary {
            guard let id = member.value.int, spellings.indices.contains(id) else {
                throw malformed("a token id outside the embedding's \(vocabularySize) rows")
            }
            spellings[id] = member.name
            ids[member.name] = UInt32(id)
        }
        var bytes: [[UInt8]] = []
        var kinds: [TokenizerTables.TokenKind] = []
        for (id, spelling) in spellings.enumerated() {
            bytes.append(
                spelling.map { ByteLevel.bytes(of: $0) ?? $0 } ?? Array("[unused\(id)]".utf8))
            kinds.append(spelling == nil ? .unused : .normal)
        }
        try addTokens(&bytes, &kinds)
        var tables = TokenizerTables(tokens: bytes, kinds: kinds)
        tables.merges = try merges(model, ids)
        tables.ignoreMerges = model["ignore_merges"]?.bool ?? false
        try setPipeline(&tables)
        setSpecialTokens(&tables, config: config, generation: generation)
        return tables
    }

    private func highestID(_ vocabulary: [JSONValue.Member]) -> Int {
        let added = (json["added_tokens"]?.array ?? []).compactMap { $0["id"]?.int }
        return min((vocabulary.compactMap(\.value.int) + added).max() ?? 0, 1 << 22)
    }

    /// `added_tokens` of tokenizer.json, then `added_tokens_decoder` of tokenizer_config.json, which
    /// transformers lets win.
    private func addTokens(
        _ bytes: inout [[UInt8]], _ kinds: inout [TokenizerTables.TokenKind]
    ) throws(ImportError) {
        var added = (json["added_tokens"]?.array ?? []).map { (id: $0["id"]?.int, token: $0) }
        for member in settings?["added_tokens_decoder"]?.members ?? [] {
            added.append((Int(String(decoding: member.name, as: UTF8.self)), member.value))
        }
        for (id, token) in added {
            guard let id, let text = token["content"]?.bytes else {
                throw malformed("an added token without id or content")
            }
            // Ids beyond the embedding cannot be fed to the model; some folders list such.
            guard bytes.indices.contains(id) else { continue }
            bytes[id] = text
            kinds[id] = token["special"]?.bool == true ? .special : .added
        }
    }

    private func merges(
        _ model: JSONValue, _ ids: [[UInt8]: UInt32]
    ) throws(ImportError) -> [TokenizerTables.Merge] {
        let builder = MergeBuilder(ids: ids)
        var merges: [TokenizerTables.Merge] = []
        for merge in model["merges"]?.array ?? [] {
            var found: (left: UInt32, right: UInt32, result: UInt32)?
            if let text = merge.bytes, let space = text.dropFirst().firstIndex(of: 0x20) {
                found = builder.merge(text[..<space], text[(space + 1)...])
            } else if let pair = merge.array, pair.count == 2, let left = pair[0].bytes,
                let right = pair[1].bytes
            {
                found = builder.merge(left, right)
            }
            guard let found else { throw malformed("merge \(merges.count) of no tokens") }
            merges.append(.init(left: found.left, right: found.right, result: found.result))
        }
        return merges
    }

    // MARK: Pipeline

    private func setPipeline(_ tables: inout TokenizerTables) throws(ImportError) {
        for normalizer in Self.sequence(json["normalizer"], "normalizers") {
            guard normalizer["type"]?.string == "NFC" else {
                throw .unsupported(
                    path: path, what: "normalizer '\(normalizer["type"]?.string ?? "?")'",
                    advice: "choose a model without one, or with NFC")
            }
            tables.normalizesNFC = true
        }
        var digits = false
        var pattern: String?
        var usesOwnPattern = false
        for step in Self.sequence(json["pre_tokenizer"], "pretokenizers") {
            switch step["type"]?.string {
            case "Digits" where step["individual_digits"]?.bool == true: digits = true
            case "Split":
                guard let text = step["pattern"]?["Regex"]?.string, pattern == nil,
                    step["behavior"]?.string == "Isolated", step["invert"]?.bool != true
                else { throw unsupportedStep(step) }
                pattern = text
            case "ByteLevel":
                guard step["add_prefix_space"]?.bool != true else { throw unsupportedStep(step) }
                usesOwnPattern = step["use_regex"]?.bool ?? true
            default: throw unsupportedStep(step)
            }
        }
        if let pattern {
            tables.preTokenizer = PreTokenizerPatterns.kind(of: pattern)
            if tables.preTokenizer == .regex { tables.pattern = pattern }
            guard !digits, !usesOwnPattern else { throw malformed("two patterns") }
        } else if usesOwnPattern {
            tables.preTokenizer = digits ? .digitsGPT2 : .gpt2
        } else {
            throw .unsupported(
                path: path, what: "a tokenizer without a pre-tokenizer", advice: "choose another")
        }
    }

    private func unsupportedStep(_ step: JSONValue) -> ImportError {
        .unsupported(
            path: path, what: "pre-tokenizer '\(step["type"]?.string ?? "?")' as configured",
            advice: "choose a model with a byte-level BPE tokenizer")
    }

    /// The members of a Sequence, or the step itself.
    private static func sequence(_ value: JSONValue?, _ name: String) -> [JSONValue] {
        guard let value, !value.isNull else { return [] }
        return value["type"]?.string == "Sequence" ? value[name]?.array ?? [] : [value]
    }

    // MARK: Special tokens

    private func setSpecialTokens(
        _ tables: inout TokenizerTables, config: JSONValue, generation: JSONValue?
    ) {
        func id(named name: String) -> Int? {
            let value = settings?[name]
            guard let text = value?.bytes ?? value?["content"]?.bytes else { return nil }
            return tables.tokens.firstIndex { $0.elementsEqual(text) }
        }
        func id(_ value: JSONValue?) -> Int? {
            value?.int.flatMap { tables.tokens.indices.contains($0) ? $0 : nil }
        }
        tables.bosToken = id(named: "bos_token") ?? id(config["bos_token_id"])
        tables.padToken = id(named: "pad_token") ?? id(config["pad_token_id"])
        tables.unknownToken = id(named: "unk_token")
        if tables.unknownToken == nil, let unknown = json["model"]?["unk_token"]?.bytes {
            tables.unknownToken = tables.tokens.firstIndex { $0.elementsEqual(unknown) }
        }
        tables.addsBOS = addsBOS(tables)
        var named: [Int] = []
        for value in [generation?["eos_token_id"], config["eos_token_id"]] {
            for entry in value?.array ?? value.map({ [$0] }) ?? [] {
                if let token = id(entry) { named.append(token) }
            }
        }
        if let token = id(named: "eos_token") { named.append(token) }
        tables.eosTokens = EndOfGeneration.ids(in: tables, named: named)
    }

    /// Whether the post-processor's template for one sequence begins with BOS.
    private func addsBOS(_ tables: TokenizerTables) -> Bool {
        guard let bos = tables.bosToken else { return false }
        for step in Self.sequence(json["post_processor"], "processors")
        where step["type"]?.string == "TemplateProcessing" {
            if let first = step["single"]?.array?.first?["SpecialToken"]?["id"]?.bytes {
                return tables.tokens[bos].elementsEqual(first)
            }
        }
        return false
    }
}
