internal import TesseraReporting
internal import TesseraWeightFile

/// generation_config.json: how to draw tokens, and which end an answer.
struct HuggingFaceGeneration {
    /// nil if there is no file.
    let settings: Settings?

    init(folder: String) throws(ImportError) {
        settings = try Settings.file(folder + "/generation_config.json")
    }

    /// Ids of `eos_token_id`.
    func endTokens() throws(ImportError) -> [Int] { try settings?.tokenIDs("eos_token_id") ?? [] }

    /// The settings of drawing: greedy unless the file says do_sample.
    func sampling() throws(ImportError) -> ModelConfig.SamplingDefaults {
        var sampling = ModelConfig.SamplingDefaults()
        guard let settings else { return sampling }
        let temperature = try settings.double("temperature") ?? 1
        // 0 and below are off.
        let topK = max(0, try settings.int("top_k") ?? 0)
        let topP = try settings.double("top_p") ?? 1
        guard try settings.bool("do_sample") == true else { return sampling }
        guard (0...100).contains(temperature) else {
            throw settings.wrong("temperature", "0...100")
        }
        guard topK <= 1 << 22 else { throw settings.wrong("top_k", "0...\(1 << 22)") }
        guard topP >= 0 else { throw settings.wrong("top_p", "0...1") }
        sampling.temperature = Float(temperature)
        sampling.topK = topK
        // 1 and above are off; 0 leaves the likeliest token.
        sampling.topP = Float(min(max(topP, 0x1p-126), 1))
        return sampling
    }

    /// Settings of drawing that a weight file cannot hold, each with the value that changes nothing.
    private static let notTaken: [(name: String, neutral: Double)] = [
        ("repetition_penalty", 1), ("min_p", 0), ("typical_p", 1), ("no_repeat_ngram_size", 0),
        ("epsilon_cutoff", 0), ("eta_cutoff", 0), ("num_beams", 1), ("penalty_alpha", 0),
    ]

    /// Notes for the user about settings that are left out.
    func notes() throws(ImportError) -> [String] {
        guard let settings else { return [] }
        var notes: [String] = []
        for (name, neutral) in Self.notTaken {
            guard let value = try settings.double(name), value != neutral else { continue }
            notes.append(
                "\(settings.path): \(name) \(JSONValue.number(value).shown) is not kept in the "
                    + "file; give it when you generate")
        }
        return notes
    }
}
