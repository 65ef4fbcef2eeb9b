import Foundation
import Testing
import TesseraWeightFile

@testable import TesseraImport

/// config.json and generation_config.json: settings are understood as transformers does, or refused by
/// name.
struct SettingsTests {
    /// Made with transformers by Tools/oracle/make_settings_cases.py.
    @Test func settingsAreReadAsTransformersReadsThem() throws {
        let data = try Data(contentsOf: resources.appending(path: "settings-cases.json"))
        let cases = try #require(JSONSerialization.jsonObject(with: data) as? [[String: Any]])
        #expect(cases.count > 20)
        for item in cases {
            let name = try #require(item["name"] as? String)
            let settings = try #require(item["config"] as? [String: Any])
            let config = try read(settings)
            let tables = try #require(item["tables"] as? [[String: Any]])
            let layers = try #require(item["layers"] as? [[String: Any]])
            #expect(config.layerCount == layers.count, "\(name)")
            #expect(config.maxPositions == settings["max_position_embeddings"] as? Int)
            for (layer, expected) in zip(config.layers, layers) {
                let window = try #require(expected["window"] as? Int)
                #expect(layer.window == (window < config.maxPositions ? window : 0), "\(name)")
                let scale = try #require(expected["scale"] as? Double)
                #expect(abs(Double(layer.attentionScale) - scale) <= 1e-6 * scale, "\(name)")
                let found = config.rotaryTables[layer.rotary]
                guard let index = expected["table"] as? Int else {
                    #expect(found.isIdle, "\(name)")
                    continue
                }
                let frequencies = try #require(tables[index]["frequencies"] as? [Double])
                let factor = try #require(tables[index]["factor"] as? Double)
                #expect(abs(Double(found.attentionFactor) - factor) < 1e-6, "\(name)")
                // What is not rotated has frequency 0.
                let idle = config.headDim / 2 - frequencies.count
                #expect(found.inverseFrequencies.suffix(idle).allSatisfy { $0 == 0 }, "\(name)")
                #expect(found.inverseFrequencies.count == config.headDim / 2, "\(name)")
                for (got, expected) in zip(found.inverseFrequencies, frequencies) {
                    #expect(abs(got - expected) <= 1e-6 * expected, "\(name)")
                }
            }
        }
    }

    private func read(_ settings: [String: Any]) throws -> ModelConfig {
        let file = FileManager.default.temporaryDirectory.appending(path: "\(UUID()).json")
        try JSONSerialization.data(withJSONObject: settings).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        return try HuggingFaceConfig(try #require(try Settings.file(file.path))).model().0
    }

    /// The error names the setting and its file.
    @Test(arguments: [
        ("config.json", "tie_word_embeddings", "\"true\""),
        ("config.json", "eos_token_id", "\"318\""), ("config.json", "eos_token_id", "[1, \"2\"]"),
        ("config.json", "attention_bias", "\"true\""), ("config.json", "model_type", "3"),
        ("config.json", "hidden_size", "32.5"), ("config.json", "rms_norm_eps", "\"1e-5\""),
        ("config.json", "rope_theta", "[10000]"), ("config.json", "use_sliding_window", "1"),
        ("config.json", "hidden_act", "\"gelu\""), ("config.json", "mlp_bias", "true"),
        ("config.json", "rope_scaling", "\"linear\""), ("config.json", "architectures", "\"X\""),
        ("config.json", "final_logit_softcapping", "30"), ("config.json", "num_experts", "8"),
        ("config.json", "layer_types", "[\"chunked_attention\"]"),
        ("config.json", "partial_rotary_factor", "0.5"), ("config.json", "text_config", "[]"),
        ("config.json", "sbd", "{\"block_size\": 4}"), ("config.json", "head_dim", "514"),
        ("generation_config.json", "top_k", "\"50\""),
        ("generation_config.json", "top_k", "1e10"), ("generation_config.json", "top_p", "-1"),
        ("generation_config.json", "temperature", "1e6"),
        ("generation_config.json", "do_sample", "\"yes\""),
        ("generation_config.json", "eos_token_id", "{}"),
        ("tokenizer_config.json", "bos_token", "7"),
        ("tokenizer_config.json", "split_special_tokens", "true"),
        ("tokenizer_config.json", "added_tokens_decoder", "{\"256\": null}"),
        ("tokenizer_config.json", "chat_template", "5"),
        ("model.safetensors.index.json", "weight_map", "{\"a\": 1}"),
    ])
    func wrongSettingsAreRefusedByNameAndFile(file: String, name: String, value: String) throws {
        try withMiniFolder { folder in
            if file == "generation_config.json" { try folder.set("do_sample", "true", in: file) }
            try folder.set(name, value, in: file)
            let error = #expect(throws: ImportError.self) { try openModel(at: folder.path) }
            let text = error?.description ?? ""
            // A member of an object is named after it; a type of layer or a token by itself.
            let last = ["sbd": "mask_token_id", "added_tokens_decoder": "256"][name] ?? name
            #expect(text.contains(file) && text.contains(last), "\(text)")
        }
    }

    @Test(arguments: [
        (#"{"full_attention": {"rope_type": "default"}}"#, "rope_parameters.full_attention"),
        (#"{"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1]}"#, "mrope_section"),
        (#"{"rope_type": "yarn", "factor": "4"}"#, "rope_parameters.factor"),
        (#"{"rope_type": "yarn", "factor": 4, "truncate": 1}"#, "rope_parameters.truncate"),
        (#"{"rope_type": "linear"}"#, "rope_parameters.factor"),
        (#"{"rope_type": 1}"#, "rope_parameters.rope_type"),
        (#"{"factor": 4}"#, "rope_parameters.factor"),
        (#"{"rope_type": "longrope"}"#, "longrope"),
    ])
    func ropeSettingsThatAreNotUnderstoodAreNamed(value: String, mentions: String) throws {
        try withMiniFolder { folder in
            try folder.set("rope_parameters", value)
            let error = #expect(throws: ImportError.self) { try openModel(at: folder.path) }
            #expect(error?.description.contains(mentions) == true, "\(String(describing: error))")
        }
    }

    /// transformers would fall back to 10000 here.
    @Test func scalingThatLosesThetaIsRefused() throws {
        try withMiniFolder { folder in
            try folder.edit("config.json") { $0["rope_theta"] = nil }
            try folder.set("rope_parameters", #"{"rope_type": "default", "rope_theta": 1e6}"#)
            try folder.set("rope_scaling", #"{"rope_type": "yarn", "factor": 4}"#)
            let error = #expect(throws: ImportError.self) { try openModel(at: folder.path) }
            #expect(error?.description.contains("rope_theta") == true)
        }
    }

    @Test(arguments: [
        (#"{"do_sample": true, "top_k": -1, "top_p": 0}"#, 1, 0, Float.leastNormalMagnitude),
        (#"{"do_sample": true, "top_k": 0, "top_p": 1.5, "temperature": 0.5}"#, 0.5, 0, 1),
        (#"{"do_sample": false, "top_k": -1, "top_p": 7}"#, 0, 0, 1),
        (#"{"do_sample": true, "top_k": null}"#, 1, 0, 1),
    ])
    func samplingThatIsOffIsOff(json: String, temperature: Float, topK: Int, topP: Float) throws {
        try withMiniFolder { folder in
            try Data(json.utf8).write(to: folder.appending(path: "generation_config.json"))
            let sampling = try openModel(at: folder.path).config.sampling
            #expect(sampling.temperature == temperature)
            #expect(sampling.topK == topK && sampling.topP == topP)
        }
    }

    @Test func samplingThatNoFileHoldsIsNoted() throws {
        try withMiniFolder { folder in
            try folder.set("repetition_penalty", "1.05", in: "generation_config.json")
            try folder.set("min_p", "0", in: "generation_config.json")
            let notes = try openModel(at: folder.path).notes
            #expect(notes.count == 1 && notes[0].contains("repetition_penalty 1.05"))
        }
    }

    @Test(arguments: ["silu", "swish"])
    func swishIsSilu(name: String) throws {
        try withMiniFolder { folder in
            try folder.set("hidden_act", "\"\(name)\"")
            #expect(try openModel(at: folder.path).config.layerCount == 1)
        }
    }

    /// Settings of a multimodal model: ends at the root and in the decoder's part both count.
    @Test func endTokensAreThoseOfTheRootAndOfTheDecoder() throws {
        try withMiniFolder { folder in
            try folder.edit("config.json") { config in
                var text = config
                text["eos_token_id"] = [7, 8]
                config = ["model_type": "llava", "text_config": text, "eos_token_id": 9]
            }
            #expect(try openModel(at: folder.path).tokenizer.eosTokens.starts(with: [7, 8, 9]))
            let vocabulary = try VocabularySource(path: folder.path).tokenizer
            #expect(vocabulary.eosTokens.starts(with: [7, 8, 9]))
        }
    }

    /// Heads that attention has no room for are refused before anything is converted.
    @Test func tooManyQueriesToAKeyAreRefused() throws {
        try withMiniFolder { folder in
            try folder.edit("config.json") {
                $0["num_attention_heads"] = 66
                $0["head_dim"] = 2
            }
            let error = #expect(throws: ImportError.self) { try openModel(at: folder.path) }
            #expect(error?.description.contains("64 of the 66 heads") == true)
        }
    }
}
