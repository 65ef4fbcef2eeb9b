internal import WeightFile

/// Hugging Face's names beside GGUF's, in execution order.
struct TensorNames {
    /// `model.layers.N.` suffixes and their GGUF counterparts behind `blk.N.`.
    static let layer: [(huggingFace: String, gguf: String)] = [
        ("input_layernorm.weight", "attn_norm.weight"),
        ("self_attn.q_proj.weight", "attn_q.weight"),
        ("self_attn.q_proj.bias", "attn_q.bias"),
        ("self_attn.k_proj.weight", "attn_k.weight"),
        ("self_attn.k_proj.bias", "attn_k.bias"),
        ("self_attn.v_proj.weight", "attn_v.weight"),
        ("self_attn.v_proj.bias", "attn_v.bias"),
        ("self_attn.q_norm.weight", "attn_q_norm.weight"),
        ("self_attn.k_norm.weight", "attn_k_norm.weight"),
        ("self_attn.o_proj.weight", "attn_output.weight"),
        ("post_attention_layernorm.weight", "ffn_norm.weight"),
        ("mlp.gate_proj.weight", "ffn_gate.weight"),
        ("mlp.up_proj.weight", "ffn_up.weight"),
        ("mlp.down_proj.weight", "ffn_down.weight"),
    ]

    /// GGUF's name of one of the format's tensors.
    static func gguf(_ name: String) -> String {
        switch name {
        case "model.embed_tokens.weight": return "token_embd.weight"
        case "model.norm.weight": return "output_norm.weight"
        case "lm_head.weight": return "output.weight"
        default: break
        }
        let parts = name.split(separator: ".", maxSplits: 3)
        guard parts.count == 4,
            let pair = layer.first(where: { $0.huggingFace == parts[3] })
        else { return name }
        return "blk.\(parts[2])." + pair.gguf
    }

    /// Refuses weights that no model of ours has: left out, the model would compute something else.
    ///
    /// - Parameters:
    ///   - names: Of all tensors in the file.
    ///   - used: The format's names of those that have a place.
    static func refuseOthers(
        _ names: some Sequence<String>, layers: Int, used: some Sequence<String>, _ path: String
    ) throws(ImportError) {
        // RoPE frequencies are part of the configuration.
        let known = Set(used.map(gguf)).union(["rope_freqs.weight"])
        for name in names.sorted() where !known.contains(name) {
            // Layers after the last one, such as multi-token prediction, have no part in decoding.
            let parts = name.split(separator: ".")
            if parts.count > 1, parts[0] == "blk", let number = Int(parts[1]), number >= layers {
                continue
            }
            throw .unsupported(
                path: path, what: "tensor '\(name)', which has no place in a Llama or Qwen model,",
                advice: "choose another model")
        }
    }
}
