internal import TesseraReporting
internal import TesseraWeightFile

// The steps of tokenizer.json before and after merging: each step is known with all its settings, or
// refused by name.
extension HuggingFaceTokenizer {
    func setPipeline(_ tables: inout TokenizerTables) throws(ImportError) {
        for normalizer in try Self.steps(json, "normalizer", "normalizers") {
            guard try normalizer.string("type") == "NFC" else {
                throw unsupported(
                    normalizer, "normalizer", "choose a model without one, or with NFC")
            }
            try normalizer.finish()
            tables.normalizesNFC = true
        }
        try setPreTokenizer(&tables)
        for decoder in try Self.steps(json, "decoder", "decoders") {
            guard try decoder.string("type") == "ByteLevel" else {
                throw unsupported(
                    decoder, "decoder", "choose a model with a byte-level BPE tokenizer")
            }
        }
    }

    private func setPreTokenizer(_ tables: inout TokenizerTables) throws(ImportError) {
        var digits = false
        var pattern: String?
        var usesOwnPattern = false
        for step in try Self.steps(json, "pre_tokenizer", "pretokenizers") {
            switch try step.string("type") {
            case "Digits" where try step.bool("individual_digits") == true: digits = true
            case "Split":
                guard let text = try step.object("pattern")?.string("Regex"), pattern == nil,
                    try step.string("behavior") == "Isolated", try step.bool("invert") != true
                else { throw unsupportedPreTokenizer(step) }
                pattern = text
            case "ByteLevel":
                guard try step.bool("add_prefix_space") != true else {
                    throw unsupportedPreTokenizer(step)
                }
                step.ignore("trim_offsets")
                usesOwnPattern = try step.bool("use_regex") ?? true
            default: throw unsupportedPreTokenizer(step)
            }
            try step.finish()
        }
        if let pattern {
            tables.preTokenizer = PreTokenizerPatterns.kind(of: pattern)
            if tables.preTokenizer == .regex { tables.pattern = pattern }
            guard !digits, !usesOwnPattern else {
                throw .unsupported(
                    path: json.path, what: "a pre-tokenizer with two patterns",
                    advice: "choose another model")
            }
        } else if usesOwnPattern {
            tables.preTokenizer = digits ? .digitsGPT2 : .gpt2
        } else {
            throw .unsupported(
                path: json.path, what: "a tokenizer without a pre-tokenizer",
                advice: "choose another model")
        }
    }

    /// Tokens that the post-processor puts around one sequence.
    func surroundings() throws(ImportError) -> (front: [[UInt8]], back: [[UInt8]]) {
        var (front, back): ([[UInt8]], [[UInt8]]) = ([], [])
        for step in try Self.steps(json, "post_processor", "processors") {
            switch try step.string("type") {
            case "ByteLevel": continue  // only offsets
            case "TemplateProcessing":
                var isAfter = false
                for part in try step.objects("single") {
                    if try part.object("Sequence") != nil {
                        isAfter = true
                    } else if let token = try part.object("SpecialToken")?.bytes("id") {
                        if isAfter { back.append(token) } else { front.append(token) }
                    } else {
                        throw unsupported(step, "post-processor", "choose another model")
                    }
                }
            default: throw unsupported(step, "post-processor", "choose another model")
            }
        }
        return (front, back)
    }

    func unsupportedPreTokenizer(_ step: Settings) -> ImportError {
        unsupported(step, "pre-tokenizer", "choose a model with another tokenizer")
    }

    func unsupported(_ step: Settings, _ kind: String, _ advice: String) -> ImportError {
        let type = step.value("type")?.string ?? "?"
        return .unsupported(
            path: json.path, what: "\(kind) '\(type.printable)' as configured", advice: advice)
    }

    /// The members of a Sequence, or the step itself.
    static func steps(
        _ settings: Settings, _ name: String, _ members: String
    ) throws(ImportError) -> [Settings] {
        guard let step = try settings.object(name) else { return [] }
        guard try step.string("type") == "Sequence" else { return [step] }
        return try step.objects(members)
    }
}
