internal import TesseraReporting
internal import TesseraWeightFile

// SentencePiece's BPE in tokenizer.json: text is merged from its characters, with U+2581 for spaces, and bytes stand in
// where a character has no token.
extension HuggingFaceTokenizer {
    private static let spaceMark = "\u{2581}"

    /// Whether characters fall back to bytes. In a byte-level vocabulary that setting says nothing.
    func isSentencePiece(_ model: Settings) throws(ImportError) -> Bool {
        guard try model.bool("byte_fallback") == true else { return false }
        for step in try Self.steps(json, "pre_tokenizer", "pretokenizers")
        where try step.string("type") == "ByteLevel" {
            return false
        }
        return true
    }

    func setSentencePiece(_ tables: inout TokenizerTables) throws(ImportError) {
        tables.preTokenizer = .sentencePiece
        var marksSpaces = false
        for step in try Self.steps(json, "normalizer", "normalizers") {
            switch try step.string("type") {
            case "Prepend" where try step.string("prepend") == Self.spaceMark:
                tables.spacePrefix = .section
            case "Replace" where try replacesSpaces(step):
                marksSpaces = true
            default: throw unsupported(step, "normalizer", "choose a model with another tokenizer")
            }
            try step.finish()
        }
        for step in try Self.steps(json, "pre_tokenizer", "pretokenizers") {
            switch try step.string("type") {
            case "Metaspace" where !marksSpaces && tables.spacePrefix == .none:
                tables.spacePrefix = try metaspace(step, tables)
                marksSpaces = true
            // Nothing is left to cut where spaces are marked.
            case "Split" where try cutsAtSpaces(step):
                guard marksSpaces else { throw unsupportedPreTokenizer(step) }
            default: throw unsupportedPreTokenizer(step)
            }
            try step.finish()
        }
        guard marksSpaces else {
            throw .unsupported(
                path: json.path, what: "a tokenizer with byte_fallback that does not mark spaces",
                advice: "choose a model with another tokenizer")
        }
        for step in try Self.steps(json, "decoder", "decoders") {
            let known = ["Replace", "ByteFallback", "Fuse", "Strip", "Metaspace"]
            guard let type = try step.string("type"), known.contains(type) else {
                throw unsupported(step, "decoder", "choose a model with another tokenizer")
            }
        }
        try spaceAddedTokens(&tables)
    }

    private func replacesSpaces(_ step: Settings) throws(ImportError) -> Bool {
        let (old, new) = (try step.object("pattern"), try step.string("content"))
        return try old?.string("String") == " " && new == Self.spaceMark
    }

    private func cutsAtSpaces(_ step: Settings) throws(ImportError) -> Bool {
        let (behavior, inverts) = (try step.string("behavior"), try step.bool("invert"))
        guard behavior != "Removed", inverts != true else { return false }
        return try step.object("pattern")?.string("String") == " "
    }

    /// Where a Metaspace step puts a space.
    private func metaspace(
        _ step: Settings, _ tables: TokenizerTables
    ) throws(ImportError) -> TokenizerTables.SpacePrefix {
        guard try step.string("replacement") == Self.spaceMark, try step.bool("split") == false
        else { throw unsupportedPreTokenizer(step) }
        let adds = try step.bool("add_prefix_space") ?? true
        switch try step.string("prepend_scheme") ?? (adds ? "always" : "never") {
        case "always": return .piece
        case "first": return .text
        case "never":
            // Those would take spaces that are not marked yet.
            let strips = tables.addedFlags.values.contains {
                $0.contains(.normalized) && !$0.isDisjoint(with: [.stripsLeft, .stripsRight])
            }
            guard !strips else { throw unsupportedPreTokenizer(step) }
            return .none
        default: throw unsupportedPreTokenizer(step)
        }
    }

    /// Added tokens that merges make too are spelled like these, with spaces. They are found where the spaces are, as
    /// SentencePiece does and `tokenizers` by merging.
    private func spaceAddedTokens(_ tables: inout TokenizerTables) throws(ImportError) {
        let made = Set(tables.merges.flatMap { [$0.left, $0.right, $0.result] })
        guard made.allSatisfy({ tables.kinds[Int($0)] != .byte }) else {
            throw malformed("model.merges joins the token of a byte")
        }
        var tokens = tables.tokens.map(Array.init)
        for id in made.lazy.map({ Int($0) }) where tables.kinds[id] != .normal {
            let spaced = TokenizerTables.unmarked(tokens[id])
            guard spaced != tokens[id] else { continue }
            guard tables.spacePrefix == .none else {
                throw malformed(
                    "added token \(id), which merges make, has U+2581 where spaces are put in front"
                )
            }
            tokens[id] = spaced
            tables.addedFlags[id, default: []].insert(.normalized)
        }
        tables.tokens = TokenList(tokens)
    }
}
