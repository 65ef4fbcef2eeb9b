internal import Import
internal import WeightFile

/// How much errors of a matrix hurt when nothing is known of what it multiplies.
enum Importance {
    /// What a relative squared error costs, in units of a gate or up projection's.
    ///
    /// Divergence from the exact model grows in proportion to each matrix's relative squared error,
    /// whatever its size (arXiv 2411.17525); the factors are geometric means of what noise did to two
    /// trained models, SmolLM2-135M and one of 5 million weights, summed over layers.
    static func of(_ tensor: SourceTensor, _ config: ModelConfig) -> Double {
        let kinds: [(String, Double)] = [
            ("q_proj", 2), ("k_proj", 2), ("v_proj", 3), ("o_proj", 1), ("gate_proj", 1),
            ("up_proj", 1.5), ("down_proj", 4),
        ]
        for (kind, factor) in kinds where tensor.name.contains(kind) { return factor }
        // Logits are its direct product; rows of an untied embedding are only looked up. Errors of frequent tokens count
        // more already (RowFrequency).
        return tensor.name.hasPrefix("lm_head") || config.tieWordEmbeddings ? 50 : 2
    }
}
