/// How a checkpoint spells the names of the format's tensors.
struct WeightNames {
    private let prefix: String
    /// Stored name of the output head.
    let head: String

    /// Nemotron-Labs-Diffusion keeps its decoder under `encoder.` and calls the head another name;
    /// multimodal checkpoints keep theirs under `model.language_model.` or `language_model.model.`.
    private static let spellings = [
        ("model.", "lm_head.weight"), ("encoder.", "diffusion_head.weight"),
        ("model.language_model.", "lm_head.weight"),
        ("language_model.model.", "language_model.lm_head.weight"), ("", "lm_head.weight"),
    ]

    /// - Parameter names: Of all tensors in the checkpoint.
    init(_ names: some Sequence<String>) {
        let all = Set(names)
        (prefix, head) =
            Self.spellings.first { all.contains($0.0 + "embed_tokens.weight") }
            ?? Self.spellings[0]
    }

    /// The checkpoint's name of one of the format's tensors.
    func stored(_ name: String) -> String {
        name == "lm_head.weight" ? head : prefix + name.dropFirst("model.".count)
    }

    /// Refuses weights in the decoder's layers that no block of ours has: left out, the model would
    /// compute something else.
    ///
    /// - Parameters:
    ///   - names: Of all tensors in the checkpoint.
    ///   - used: The format's names of those that have a place.
    func refuseOthers(
        _ names: some Sequence<String>, layers: Int, used: some Sequence<String>, _ path: String
    ) throws(ImportError) {
        let known = Set(used.map(stored))
        for name in names.sorted() where name.hasPrefix(prefix + "layers.") {
            // Precomputed RoPE frequencies of old checkpoints say nothing new.
            if known.contains(name) || name.hasSuffix("rotary_emb.inv_freq") { continue }
            let layer = name.dropFirst(prefix.count + "layers.".count).prefix { $0 != "." }
            // Layers behind the last one, such as multi-token prediction, have no part in decoding.
            if let number = Int(layer), number >= layers { continue }
            throw .unsupported(
                path: path, what: "tensor '\(name)', which has no place in a Llama or Qwen block,",
                advice: "choose another model")
        }
    }
}
