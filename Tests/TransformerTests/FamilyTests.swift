import Foundation
import TesseraImport
import TesseraKernels
import TesseraQuantization
import Testing
import TesseraTransformer
import TesseraWeightFile

/// The random models of `Resources/families`, made by Tools/oracle/make_families.py with transformers.
@Suite struct FamilyTests {
    static let names = ["gemma3", "smollm3", "granite", "olmo3", "phi3", "mistral", "llama2"]

    private struct Expected: Decodable {
        var tokens: [Int32]
        var greedy: [Int32]
    }

    private static let folder = TinyModel.resources.appending(path: "families")

    /// Tokens, what follows when the likeliest is taken, and the logits after each token.
    private func expected(
        _ name: String
    ) throws -> (tokens: [Int32], greedy: [Int32], logits: [[Float]]) {
        let base = Self.folder.appending(path: name)
        let text = try JSONDecoder().decode(
            Expected.self, from: Data(contentsOf: base.appendingPathExtension("json")))
        let data = try Data(contentsOf: base.appendingPathExtension("f32"))
        let logits = stride(from: 0, to: data.count, by: 4 * 320).map { row in
            data.withUnsafeBytes { bytes in
                (0..<320).map {
                    Float(
                        bitPattern: UInt32(
                            littleEndian: bytes.loadUnaligned(
                                fromByteOffset: row + 4 * $0, as: UInt32.self)))
                }
            }
        }
        return (text.tokens, text.greedy, logits)
    }

    private func open(
        _ name: String, _ source: TinyModel.Source = .folder,
        bits: EncodingPlan.Options.Bits = .thirtyTwo
    ) async throws -> WeightFile {
        var options = EncodingPlan.Options()
        options.bits = bits
        return try await TinyModel.open(
            "families/" + (source == .folder ? name : name + ".gguf"), options)
    }

    @Test(
        "Logits in floats equal Hugging Face's, from a folder and from GGUF, in passes of any size",
        arguments: names, TinyModel.Source.allCases)
    func floatLogits(_ name: String, _ source: TinyModel.Source) async throws {
        let (tokens, _, logits) = try expected(name)
        let file = try await open(name, source)
        for batch in [128, 7, 1] {
            let sequence = try TokenSequence.reference(file, context: 64, batch: batch)
            let error = largestError(
                Array(logits.prefix(tokens.count)), try sequence.causalLogits(tokens))
            #expect(error <= 1e-4, "batches of \(batch): \(error)")
        }
    }

    @Test("Greedy texts are Hugging Face's", arguments: names, TinyModel.Source.allCases)
    func greedyText(_ name: String, _ source: TinyModel.Source) async throws {
        let (tokens, greedy, _) = try expected(name)
        let sequence = try TokenSequence.reference(
            try await open(name, source), context: 64, batch: 16)
        var row = try sequence.causalLogits(tokens)[tokens.count - 1]
        var text: [Int32] = []
        while text.count < greedy.count {
            text.append(Int32(row.firstIndex(of: row.max()!)!))
            row = try sequence.logits(committed: [text[text.count - 1]], rows: [0])[0]
        }
        #expect(text == greedy)
    }

    @Test("Tokenizers are the same from tokenizer.json and from GGUF", arguments: names)
    func tokenizer(_ name: String) throws {
        let path = Self.folder.appending(path: name).path
        let (folder, gguf) = (
            try openModel(at: path).tokenizer, try openModel(at: path + ".gguf").tokenizer
        )
        #expect(folder.tokens == gguf.tokens && folder.kinds == gguf.kinds)
        #expect(folder.merges == gguf.merges && folder.eosTokens == gguf.eosTokens)
        #expect(folder.preTokenizer == gguf.preTokenizer)
        if name == "llama2" {
            #expect(folder.preTokenizer == .sentencePiece && folder.addsBOS && gguf.addsBOS)
            #expect(folder.bosToken == 1 && gguf.bosToken == 1)
        }
    }

    @Test("A short context takes LongRoPE's short table", arguments: TinyModel.Source.allCases)
    func shortContext(_ source: TinyModel.Source) async throws {
        let (tokens, _, logits) = try expected("phi3")
        let file = try await open("phi3", source)
        let short = Array(logits.suffix(16))
        let sequence = try TokenSequence.reference(file, context: 16, batch: 16)
        #expect(largestError(short, try sequence.causalLogits(Array(tokens.prefix(16)))) <= 1e-4)
        let long = try TokenSequence.reference(file, context: 17, batch: 16)
        let rows = try long.causalLogits(Array(tokens.prefix(16)))
        #expect(largestError(short, rows) > 1e-2)
        // A text of a shorter context in the same run is turned alike, and is not saved.
        let other = try TokenSequence(long.workspace, contextLength: 16)
        #expect(try other.causalLogits(Array(tokens.prefix(16))) == rows)
        #expect(throws: SavedTextError.self) {
            try other.save(Array(tokens.prefix(16)), seed: 1, to: "/nowhere/phi3.session")
        }
    }

    @Test(
        "In 8 bits, no bit of a token's logits depends on the pass", arguments: names,
        Compute.availableISAs)
    func passes(_ name: String, _ isa: String) async throws {
        let (tokens, _, logits) = try expected(name)
        let file = try await open(name, bits: .eight)
        var options = Model.Options()
        (options.isa, options.contextLength, options.batchCapacity) = (isa, 64, 64)
        let sequence = try TokenSequence(file, options: options)
        let whole = try sequence.causalLogits(tokens)
        let divergence = Divergence(Array(logits.prefix(tokens.count)), whole)
        #expect(divergence.mean <= 0.02, "KL \(divergence.mean)")

        // Single tokens, next to another text that is always one pass ahead.
        sequence.reset()
        let other = try TokenSequence(sequence.workspace)
        for (index, token) in tokens.enumerated() {
            try sequence.workspace.forward([
                Segment(other, committed: [tokens[index], tokens[0]], logitRows: [1]),
                Segment(sequence, committed: [token], logitRows: [0]),
            ])
            let row = (0..<320).map { sequence.logits[sequence.logitStride + $0] }
            #expect(row == whole[index], "token \(index)")
        }
        // A copy of the beginning, where all is held, goes on as the original did.
        let copy = try TokenSequence(sequence.workspace)
        #expect(copy.copy(sequence, upTo: 36))
        #expect(try copy.causalLogits(Array(tokens[36...])) == Array(whole[36...]))
    }

    @Test("A layer that sees a window keeps no more")
    func cacheLengths() async throws {
        let file = try await open("mistral")
        let long = try TokenSequence.reference(file, context: 200, batch: 8)
        let short = try TokenSequence.reference(file, context: 64, batch: 8)
        #expect(long.cacheBytes == short.cacheBytes)
        let gemma = try await open("gemma3")
        let (some, more) = (
            try TokenSequence.reference(gemma, context: 64, batch: 8).cacheBytes,
            try TokenSequence.reference(gemma, context: 200, batch: 8).cacheBytes
        )
        let position = 2 * 2 * 16 * 4  // keys and values of two heads of 16 floats
        #expect(more - some == (200 - 64) * position, "one of three layers sees everything")
    }

    // MARK: Settings

    /// A setting of config.json, and another value of it.
    private static let changes: [(name: String, from: String, to: String)] = [
        ("gemma3", #""sliding_window": 9"#, #""sliding_window": 8"#),
        ("gemma3", #""rope_theta": 10000.0"#, #""rope_theta": 5000.0"#),
        ("gemma3", #""rope_theta": 1000000.0"#, #""rope_theta": 10000.0"#),
        ("gemma3", #""query_pre_attn_scalar": 16"#, #""query_pre_attn_scalar": 20"#),
        ("gemma3", #""gelu_pytorch_tanh""#, #""silu""#),
        ("gemma3", #""rms_norm_eps": 1e-06"#, #""rms_norm_eps": 1e-02"#),
        ("gemma3", #""full_attention",\#n"#, #""sliding_attention",\#n"#),
        ("smollm3", #""rope_theta": 5000000.0"#, #""rope_theta": 100000.0"#),
        ("smollm3", "1,\n    0\n", "1,\n    1\n"),
        ("smollm3", #""rms_norm_eps": 1e-06"#, #""rms_norm_eps": 1e-02"#),
        ("granite", #""embedding_multiplier": 12.0"#, #""embedding_multiplier": 13.0"#),
        ("granite", #""residual_multiplier": 0.22"#, #""residual_multiplier": 0.25"#),
        ("granite", #""attention_multiplier": 0.2"#, #""attention_multiplier": 0.3"#),
        ("granite", #""logits_scaling": 2.0"#, #""logits_scaling": 2.2"#),
        ("granite", #""rope_theta": 10000.0"#, #""rope_theta": 5000.0"#),
        ("olmo3", #""sliding_window": 9"#, #""sliding_window": 8"#),
        ("olmo3", #""attention_factor": 1.2079441541679836"#, #""attention_factor": 1.0"#),
        ("olmo3", #""factor": 8.0"#, #""factor": 4.0"#),
        ("olmo3", #""rms_norm_eps": 1e-05"#, #""rms_norm_eps": 1e-02"#),
        ("phi3", "2.0,\n      4.0", "2.5,\n      4.0"),
        (
            "phi3", #""original_max_position_embeddings": 16,"#,
            #""original_max_position_embeddings": 32,"#
        ),
        ("phi3", #""rope_theta": 10000.0"#, #""rope_theta": 5000.0"#),
        ("mistral", #""sliding_window": 9"#, #""sliding_window": 10"#),
        ("mistral", #""rope_theta": 1000000.0"#, #""rope_theta": 10000.0"#),
    ]

    @Test("With another value of a setting the logits differ", arguments: changes)
    func changedSetting(_ change: (name: String, from: String, to: String)) async throws {
        let (tokens, _, logits) = try expected(change.name)
        let file = try await Self.changed(change.name) { text in
            #expect(text.contains(change.from))
            text = text.replacing(change.from, with: change.to)
        }
        let sequence = try TokenSequence.reference(file, context: 64)
        let error = largestError(
            Array(logits.prefix(tokens.count)), try sequence.causalLogits(tokens))
        #expect(error > 1e-3 && error.isFinite, "\(error)")
    }

    @Test(
        "A setting that changes results and that nothing follows is refused by name",
        arguments: [
            ("gemma3", "final_logit_softcapping", "30.0"),
            ("gemma3", "attn_logit_softcapping", "50.0"),
            ("gemma3", "use_bidirectional_attention", "true"),
            ("gemma3", "hidden_activation", "\"gelu\""), ("gemma3", "no_rope_layers", "[1, 1, 0]"),
            ("smollm3", "no_rope_layers", "[1, 1, 0]"), ("smollm3", "mlp_bias", "true"),
            ("smollm3", "residual_multiplier", "0.5"), ("granite", "mlp_bias", "true"),
            ("granite", "num_local_experts", "8"), ("granite", "query_pre_attn_scalar", "16"),
            ("granite", "logits_scaling", "0.0"), ("granite", "residual_multiplier", "1e-30"),
            ("granite", "attention_multiplier", "\"large\""), ("olmo3", "clip_qkv", "8.0"),
            ("olmo3", "layer_types", "[\"full_attention\"]"),
            ("olmo3", "partial_rotary_factor", "0.5"), ("phi3", "partial_rotary_factor", "0.9"),
            ("phi3", "hidden_act", "\"relu\""), ("mistral", "partial_rotary_factor", "0.75"),
            ("mistral", "rope_scaling", "{\"rope_type\": \"longrope\", \"rope_theta\": 1e4}"),
        ])
    func refusedSetting(name: String, setting: String, value: String) async throws {
        let error = await #expect(throws: ImportError.self) {
            try await Self.changed(name) { text in
                // Phi's stands deeper, and counts there.
                if setting == "partial_rotary_factor" {
                    text = text.replacing(
                        #""partial_rotary_factor": 0.75"#, with: "\"\(setting)\": \(value)")
                }
                text =
                    text.trimmingCharacters(in: .whitespacesAndNewlines).dropLast()
                    + ", \"\(setting)\": \(value)}"
            }
        }
        let text = error?.description ?? ""
        #expect(
            text.contains(setting) || setting == "rope_scaling" && text.contains("longrope"),
            "\(text)")
        #expect(text.contains("config.json"))
    }

    @Test("The decoder of a multimodal Gemma 3 is read from its text_config")
    func nestedSettings() async throws {
        let (tokens, _, logits) = try expected("gemma3")
        let file = try await Self.changed("gemma3") { text in
            text = #"{"model_type": "gemma3", "vision_config": {}, "text_config": \#(text)}"#
        }
        let sequence = try TokenSequence.reference(file, context: 64)
        #expect(largestError(logits, try sequence.causalLogits(tokens)) <= 1e-4)
    }

    /// A family's folder with another config.json, as a weight file.
    private static func changed(
        _ name: String, _ edit: (inout String) -> Void
    ) async throws -> WeightFile {
        let copy = FileManager.default.temporaryDirectory
            .appending(path: "tessera-\(UUID().uuidString)")
        try FileManager.default.copyItem(at: folder.appending(path: name), to: copy)
        defer { try? FileManager.default.removeItem(at: copy) }
        let path = copy.appending(path: "config.json")
        var text = try String(contentsOf: path, encoding: .utf8)
        edit(&text)
        try Data(text.utf8).write(to: path)
        let model = try openModel(at: copy.path)
        var options = EncodingPlan.Options()
        options.bits = .thirtyTwo
        let plan = try EncodingPlan(
            for: model.tensors, tiedHead: model.config.tieWordEmbeddings, options: options)
        let output = copy.appending(path: "model.tsr").path
        _ = try await Quantizer(model, plan: plan, threads: 1).write(
            to: output, progress: { _, _ in }, isCancelled: { false })
        return try WeightFile(path: output)
    }
}
