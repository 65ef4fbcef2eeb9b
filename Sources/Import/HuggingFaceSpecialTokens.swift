internal import TesseraReporting
internal import TesseraWeightFile

extension HuggingFaceTokenizer {
    /// A token outside the merges.
    struct AddedToken {
        var id: Int
        var text: [UInt8]
        var isSpecial: Bool
        var flags: TokenizerTables.AddedTokenFlags
    }

    /// `added_tokens` of tokenizer.json, then `added_tokens_decoder` of tokenizer_config.json, which
    /// transformers lets win.
    func addedTokens() throws(ImportError) -> [AddedToken] {
        var tokens: [AddedToken] = []
        for token in try json.objects("added_tokens") {
            tokens.append(try Self.added(token, id: try token.required("id", try token.int("id"))))
        }
        guard let decoder = try settings?.object("added_tokens_decoder") else { return tokens }
        for name in decoder.names {
            guard let id = Int(name), let token = try decoder.object(name) else {
                throw decoder.wrong(name, "a token by its id")
            }
            tokens.append(try Self.added(token, id: id))
        }
        return tokens
    }

    private static func added(_ token: Settings, id: Int) throws(ImportError) -> AddedToken {
        let text = try token.required("content", try token.bytes("content"))
        let isSpecial = try token.bool("special") ?? false
        var flags: TokenizerTables.AddedTokenFlags = []
        if try token.bool("lstrip") == true { flags.insert(.stripsLeft) }
        if try token.bool("rstrip") == true { flags.insert(.stripsRight) }
        if try token.bool("single_word") == true { flags.insert(.singleWord) }
        if try token.bool("normalized") ?? !isSpecial { flags.insert(.normalized) }
        token.ignore("__type")
        try token.finish()
        return AddedToken(id: id, text: text, isSpecial: isSpecial, flags: flags)
    }

    /// Puts added tokens in their places. Ids beyond the embedding cannot be fed to the model; some
    /// folders list such.
    func apply(_ added: [AddedToken], to tables: inout TokenizerTables) {
        var texts = tables.tokens.map(Array.init)
        for token in added where texts.indices.contains(token.id) {
            texts[token.id] = token.text
            tables.kinds[token.id] = token.isSpecial ? .special : .added
            tables.addedFlags[token.id] = token.flags.isEmpty ? nil : token.flags
        }
        tables.tokens = TokenList(texts)
    }

    // MARK: Named tokens

    /// The tokens with a name, the one in front of a text, and those that end generation. Each is its own
    /// fact: a model may end with tokens that it does not name, and name tokens that it never puts in
    /// front.
    func setSpecialTokens(
        _ tables: inout TokenizerTables, endTokens: [Int]
    ) throws(ImportError) {
        if try settings?.bool("split_special_tokens") == true {
            throw unsupportedSetting("split_special_tokens")
        }
        let texts = tables.tokens
        func id(_ text: [UInt8]?) -> Int? {
            text.flatMap { text in texts.firstIndex { $0.elementsEqual(text) } }
        }
        tables.bosToken = id(try named("bos_token"))
        tables.padToken = id(try named("pad_token"))
        let unknown = try json.object("model")?.bytes("unk_token")
        tables.unknownToken = id(try named("unk_token")) ?? id(unknown)
        tables.setEndTokens(named: id(try named("eos_token")), others: endTokens)
        let fronts = try surroundings().front
        guard let front = fronts.first else { return }
        guard let inFront = id(front) else {
            throw malformed(
                "post_processor: '\(String(decoding: front, as: UTF8.self))' is no token")
        }
        guard fronts.count == 1, tables.bosToken ?? inFront == inFront else {
            throw .unsupported(
                path: json.path,
                what: "a post_processor that puts other tokens than bos_token in front",
                advice: "choose another model")
        }
        tables.namesBOS = tables.bosToken != nil
        tables.bosToken = inFront
        tables.addsBOS = true
    }

    /// The text of a named token: a text, or an object with one.
    private func named(_ name: String) throws(ImportError) -> [UInt8]? {
        guard let settings, let value = settings.value(name) else { return nil }
        if value.members != nil { return try settings.object(name)?.bytes("content") }
        return try settings.bytes(name)
    }

    private func unsupportedSetting(_ name: String) -> ImportError {
        settings?.unsupported(name) ?? malformed(name)
    }

    /// Notes for the user about the tokenizer.
    func notes() throws(ImportError) -> [String] {
        try surroundings().back.map {
            "\(json.path): '\(String(decoding: $0, as: UTF8.self).printable)', which the post_processor "
                + "puts after every text, is left out"
        }
    }

    // MARK: Chat template

    private static let templateLimit = 1 << 20

    /// chat_template.jinja, or that of tokenizer_config.json, or of chat_template.json.
    func chatTemplate() throws(ImportError) -> String? {
        let file = folder + "/chat_template.jinja"
        if fileKind(file) == .file {
            let bytes = try SourceFile(path: file).readAll(limit: Self.templateLimit)
            return String(decoding: bytes, as: UTF8.self)
        }
        if let template = try Self.template(settings) { return template }
        return try Self.template(try Settings.file(folder + "/chat_template.json"))
    }

    /// A text, or of several with names the one named `default`, else the first.
    private static func template(_ settings: Settings?) throws(ImportError) -> String? {
        let name = "chat_template"
        guard let settings, let value = settings.value(name) else { return nil }
        if value.array != nil {
            let named = try settings.objects(name)
            for template in named where try template.string("name") == "default" {
                return try template.string("template")
            }
            return try named.first?.string("template")
        }
        if value.members != nil, let named = try settings.object(name) {
            return try named.names.contains("default") || named.names.isEmpty
                ? named.string("default") : named.string(named.names[0])
        }
        return try settings.string(name)
    }
}
