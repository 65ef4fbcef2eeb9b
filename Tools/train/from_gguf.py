"""Turns a Llama-architecture GGUF file into a Hugging Face folder that train.py can start from.

    pip install gguf
    python from_gguf.py SmolLM2-135M-Instruct.Q4_1.gguf models/smollm2

The weights are dequantized to float32: they are only as good as the file's quantization.
"""
import argparse
import json
import os

import numpy as np
import torch
from gguf import GGUFReader
from gguf.quants import dequantize

import checkpoint
from model import Config, Llama
from tokenizer import assemble

PARTS = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}
WHOLE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def hf_name(name: str) -> str | None:
    """`blk.3.attn_q.weight` -> `model.layers.3.self_attn.q_proj.weight`; None for others."""
    parts = name.split(".")
    if parts[0] == "blk" and parts[2] in PARTS:
        return f"model.layers.{parts[1]}.{PARTS[parts[2]]}.{parts[3]}"
    return f"{WHOLE[parts[0]]}.{parts[1]}" if parts[0] in WHOLE else None


def split_halves(w: np.ndarray, heads: int) -> np.ndarray:
    """GGUF's Llama rotates neighbouring rows of a head; here pairs lie half a head apart."""
    return w.reshape(heads, -1, 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def read(path: str) -> tuple[Config, dict, dict]:
    """Configuration, weights and metadata of the file."""
    reader = GGUFReader(path)
    meta = {k: f.contents() for k, f in reader.fields.items()}
    if meta["general.architecture"] != "llama":
        raise ValueError(f"{path}: architecture {meta['general.architecture']!r}, only llama is converted")
    get = lambda key, default=None: meta.get("llama." + key, default)
    heads, kv_heads = get("attention.head_count"), get("attention.head_count_kv")
    weights = {}
    for tensor in reader.tensors:
        name = hf_name(tensor.name)
        if name is None:
            continue
        value = dequantize(tensor.data, tensor.tensor_type)
        if name.endswith("q_proj.weight"):
            value = split_halves(value, heads)
        if name.endswith("k_proj.weight"):
            value = split_halves(value, kv_heads)
        weights[name] = torch.from_numpy(np.array(value, dtype=np.float32))
    config = Config(
        vocab_size=weights["model.embed_tokens.weight"].shape[0], hidden_size=get("embedding_length"),
        intermediate_size=get("feed_forward_length"), num_hidden_layers=get("block_count"), num_attention_heads=heads,
        num_key_value_heads=kv_heads, head_dim=get("rope.dimension_count"), max_position_embeddings=get("context_length"),
        rms_norm_eps=get("attention.layer_norm_rms_epsilon"), rope_theta=get("rope.freq_base", 10000.0),
        tie_word_embeddings="lm_head.weight" not in weights)
    return config, weights, meta


def write_tokenizer(meta: dict, folder: str) -> None:
    """tokenizer.json and tokenizer_config.json of a byte-level BPE with GPT-2's pattern (and single digits)."""
    tokens, kinds = meta["tokenizer.ggml.tokens"], meta["tokenizer.ggml.token_type"]
    if meta["tokenizer.ggml.model"] != "gpt2":
        raise ValueError(f"tokenizer model {meta['tokenizer.ggml.model']!r}: only byte-level BPE is converted")
    pre = meta.get("tokenizer.ggml.pre", "gpt-2")
    if pre not in ("gpt-2", "smollm"):
        raise ValueError(f"pre-tokenizer {pre!r}: take tokenizer.json from the original model instead")
    merges = [tuple(m.split(" ")) for m in meta["tokenizer.ggml.merges"]]
    specials = [t for t, kind in zip(tokens, kinds) if kind == 3]
    assemble(tokens, merges, specials, digits=pre == "smollm").save(os.path.join(folder, "tokenizer.json"))
    name = lambda key: tokens[meta[key]] if key in meta else None
    checkpoint.write_json(os.path.join(folder, "tokenizer_config.json"), {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": name("tokenizer.ggml.bos_token_id"),
        "eos_token": name("tokenizer.ggml.eos_token_id"), "add_bos_token": meta.get("tokenizer.ggml.add_bos_token", False),
        "chat_template": meta.get("tokenizer.chat_template", "")})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf")
    parser.add_argument("folder")
    args = parser.parse_args()
    config, weights, meta = read(args.gguf)
    os.makedirs(args.folder, exist_ok=True)
    write_tokenizer(meta, args.folder)
    checkpoint.save_folder(config, weights, args.folder, args.folder, None, [meta["tokenizer.ggml.eos_token_id"]])
    model = Llama(config)
    model.load_state_dict(weights)
    print(f"{args.folder}: {sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters")


if __name__ == "__main__":
    main()
