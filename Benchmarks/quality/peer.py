"""llama.cpp's files: a Hugging Face model as f32 GGUF, an importance matrix for it, and what a GGUF file holds."""
import struct

import gguf
import numpy as np

KINDS = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
         "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}


def peer_name(name):
    """llama.cpp's name of a Hugging Face tensor."""
    fixed = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
             "lm_head.weight": "output.weight"}
    if name in fixed:
        return fixed[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{KINDS[rest.removesuffix('.weight')]}.weight"


def write_gguf(path, config, state, tokens):
    """All tensors in f32. Rows of q and k stay in Hugging Face's order: no bit of a quantized row depends on it,
    and nothing here is run by llama.cpp."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * len(tokens))
    writer.add_token_merges([])
    for name, value in state.items():
        writer.add_tensor(peer_name(name), value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_imatrix(path, squares):
    """The mean square of each input column by Hugging Face name, in llama-imatrix's first format."""
    with open(path, "wb") as file:
        file.write(struct.pack("<i", len(squares)))
        for name, mean in squares.items():
            name = peer_name(name).encode()
            file.write(struct.pack("<i", len(name)) + name + struct.pack("<ii", 1, len(mean)))
            file.write(np.asarray(mean, "<f4").tobytes())


def read_gguf(path, names):
    """Values by Hugging Face name, and bytes of all tensors."""
    stored = {t.name: t for t in gguf.GGUFReader(path).tensors}
    values = {}
    for name in names:
        tensor = stored[peer_name(name)]
        value = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        values[name] = value.reshape([int(n) for n in reversed(tensor.shape)]).astype(np.float32)
    return values, sum(int(t.n_bytes) for t in stored.values())
