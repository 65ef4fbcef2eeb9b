/// How a checkpoint spells the names of the format's tensors.
struct WeightNames {
    private let prefix: String
    /// Stored name of the output head.
    let head: String
    /// Stored name of the embedding.
    var embedding: String

    /// Nemotron-Labs-Diffusion keeps its decoder under `encoder.` and calls the head another name;
    /// multimodal checkpoints keep theirs under `model.language_model.` or `language_model.model.`.
    private static let spellings = [
        ("model.", "lm_head.weight"), ("encoder.", "diffusion_head.weight"),
        ("model.language_model.", "lm_head.weight"),
        ("language_model.model.", "language_model.lm_head.weight"), ("", "lm_head.weight"),
    ]

    /// - Parameter names: Names of all tensors in the checkpoint.
    init(_ names: some Sequence<String>) {
        let all = Set(names)
        (prefix, head) =
            Self.spellings.first { all.contains($0.0 + "norm.weight") } ?? Self.spellings[0]
        embedding = prefix + "embed_tokens.weight"
    }

    /// The checkpoint's name of one of the format's tensors.
    func stored(_ name: String) -> String {
        switch name {
        case "lm_head.weight": head
        case "model.embed_tokens.weight": embedding
        default: prefix + name.dropFirst("model.".count)
        }
    }

    /// Refuses weights of the decoder that have no place here: left out, the model would compute
    /// something else.
    ///
    /// - Parameters:
    ///   - names: Names of all tensors in the checkpoint.
    ///   - used: Stored names of those that have a place.
    ///   - family: The model's type, for errors.
    ///   - isWholeModel: Whether the decoder is all of the checkpoint; other parts, such as those for
    ///     pictures, are left out.
    func refuseOthers(
        _ names: some Sequence<String>, layers: Int, used: some Sequence<String>,
        isWholeModel: Bool, family: String, _ path: String
    ) throws(ImportError) {
        let known = Set(used).union([head, prefix + "embed_tokens.weight"])
        let owned = [prefix, head.prefixed(head.utf8.count - "weight".utf8.count)]
        for name in names.sorted() where !known.contains(name) {
            let isOwned = isWholeModel || owned.contains(where: name.hasPrefix)
            guard isOwned, !isSpare(name, layers: layers) else { continue }
            throw .noPlace(path: path, tensor: name, family: family)
        }
    }

    /// Whether a tensor says nothing new, or has no part in decoding.
    private func isSpare(_ name: String, layers: Int) -> Bool {
        // Precomputed RoPE frequencies of old checkpoints.
        if name.hasSuffix("rotary_emb.inv_freq") { return true }
        // Multi-token prediction: parts of their own, or layers after the last one.
        if name.hasPrefix("mtp.") || name.hasPrefix(prefix + "mtp.") { return true }
        guard name.hasPrefix(prefix + "layers.") else { return false }
        let layer = name.dropFirst(prefix.count + "layers.".count).prefix { $0 != "." }
        return Int(layer).map { $0 >= layers } ?? false
    }
}
