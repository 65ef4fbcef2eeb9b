"""Makes tiny random models of further families and the logits and greedy texts that transformers gives for them.

    python3 Tools/oracle/make_families.py Tests/TransformerTests/Resources/families [NAME...]

Needs the PyPI packages torch, transformers and gguf. For each family a folder `NAME/` (safetensors, bf16, so that the
float values are exact), the same weights as `NAME.gguf`, with the names, orders and settings that llama.cpp's converter
gives them, and `NAME.json` with `NAME.f32`: tokens, the logits after each of them (float32, little-endian) and the
tokens that follow when the likeliest is taken.
"""

import json
import math
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from transformers import (AutoModelForCausalLM, Gemma3TextConfig, GraniteConfig, LlamaConfig, MistralConfig, Olmo3Config,
                          Phi3Config, SmolLM3Config)

from make_tiny import add_sizes, interleaved, random_model, vocabulary, write_tokenizer

TOKENS, GREEDY = 40, 24
COMMON = dict(vocab_size=320, hidden_size=32, intermediate_size=48, num_attention_heads=4, num_key_value_heads=2,
              max_position_embeddings=256, bos_token_id=317, eos_token_id=318, pad_token_id=316)
SLIDING, FULL = "sliding_attention", "full_attention"

FAMILIES = {
    # Windows shorter than the text; 1 + w norms, GELU, an attention scale that is not the usual one.
    "gemma3": ("gemma3", "llama-bpe", Gemma3TextConfig(
        **COMMON, num_hidden_layers=3, head_dim=16, query_pre_attn_scalar=16, sliding_window=9,
        layer_types=[SLIDING, FULL, SLIDING])),
    # Every second layer without rotation.
    "smollm3": ("smollm3", "smaug-bpe", SmolLM3Config(
        **COMMON, num_hidden_layers=4, no_rope_layers=[1, 1, 1, 0], tie_word_embeddings=True,
        rope_parameters=dict(rope_type="default", rope_theta=5e6))),
    "granite": ("granite", "refact", GraniteConfig(
        **COMMON, num_hidden_layers=2, embedding_multiplier=12.0, residual_multiplier=0.22, attention_multiplier=0.2,
        logits_scaling=2.0, rope_parameters=dict(rope_type="default", rope_theta=10000.0))),
    # YaRN in full layers only.
    "olmo3": ("olmo2", "dbrx", Olmo3Config(
        **COMMON, num_hidden_layers=4, sliding_window=9, rope_parameters={
            SLIDING: dict(rope_type="default", rope_theta=5e5),
            FULL: dict(rope_type="yarn", rope_theta=5e5, factor=8.0, original_max_position_embeddings=32,
                       attention_factor=1.2079441541679836, beta_fast=32.0, beta_slow=1.0)})),
    # Three quarters of each head rotated, two tables.
    "phi3": ("phi3", "llama-bpe", Phi3Config(
        **{**COMMON, "max_position_embeddings": 128}, num_hidden_layers=2, original_max_position_embeddings=16,
        tie_word_embeddings=True, sliding_window=None, rope_parameters=dict(
            rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=0.75,
            short_factor=[1.0, 1.1, 1.3], long_factor=[1.0, 2.0, 4.0]))),
    # Every layer sees a window.
    "mistral": ("llama", "llama-bpe", MistralConfig(
        **COMMON, num_hidden_layers=2, head_dim=16, sliding_window=9,
        rope_parameters=dict(rope_type="default", rope_theta=1e6))),
    # A key head for each query head, and SentencePiece's tokenizer.
    "llama2": ("llama", "sentencepiece", LlamaConfig(
        **{**COMMON, "num_key_value_heads": 4, "bos_token_id": 1, "eos_token_id": 2}, num_hidden_layers=2)),
}

# Names of GGUF's pre-tokenizers that cut text as another one does.
LIKE = {"smaug-bpe": "llama-bpe", "refact": "smollm", "dbrx": "llama-bpe"}

# Where embeddings are multiplied: else what layers add would not show.
SMALL_EMBEDDINGS = {"gemma3": 1 / 4, "granite": 1 / 32}


# SentencePiece ------------------------------------------------------------------------------------

def pieces():
    """Three control tokens, 256 bytes, single characters and pairs of them."""
    letters = "▁etaoinshr"
    pairs = [(a, b) for a in letters for b in letters if b != "▁"]
    merges = pairs[:320 - 3 - 256 - len(letters)]
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    return tokens + list(letters) + [a + b for a, b in merges], merges


def write_sentencepiece(folder):
    """As the converter of Llama 2's tokenizer.model writes it."""
    tokens, merges = pieces()
    added = [dict(id=index, content=tokens[index], special=True, normalized=False) for index in range(3)]
    bos = dict(SpecialToken=dict(id="<s>", type_id=0))
    text = dict(Sequence=dict(id="A", type_id=0))
    tokenizer = dict(
        version="1.0", added_tokens=added, pre_tokenizer=None,
        normalizer=dict(type="Sequence", normalizers=[
            dict(type="Prepend", prepend="▁"), dict(type="Replace", pattern=dict(String=" "), content="▁")]),
        post_processor=dict(
            type="TemplateProcessing", single=[bos, text], pair=[bos, text],
            special_tokens={"<s>": dict(id="<s>", ids=[1], tokens=["<s>"])}),
        decoder=dict(type="Sequence", decoders=[
            dict(type="Replace", pattern=dict(String="▁"), content=" "), dict(type="ByteFallback"), dict(type="Fuse"),
            dict(type="Strip", content=" ", start=1, stop=0)]),
        model=dict(type="BPE", dropout=None, unk_token="<unk>", fuse_unk=True, byte_fallback=True,
                   vocab={token: index for index, token in enumerate(tokens)}, merges=[" ".join(pair) for pair in merges]))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False))


def add_tokenizer(w, config, pre):
    if pre == "sentencepiece":
        tokens, _ = pieces()
        w.add_tokenizer_model("llama")
        w.add_tokenizer_pre("default")
        w.add_token_list(tokens)
        w.add_token_scores([0.0] * 259 + [-float(index) for index in range(len(tokens) - 259)])
        w.add_token_types([2, 3, 3] + [6] * 256 + [1] * (len(tokens) - 259))
        w.add_unk_token_id(0)
        w.add_add_bos_token(True)
    else:
        tokens, merges = vocabulary()
        w.add_tokenizer_model("gpt2")
        w.add_tokenizer_pre(pre)
        w.add_token_list(tokens)
        w.add_token_types([1] * 316 + [3] * 4)
        w.add_token_merges([" ".join(pair) for pair in merges])
    w.add_bos_token_id(config.bos_token_id)
    w.add_eos_token_id(config.eos_token_id)


# GGUF --------------------------------------------------------------------------------------------

LAYER_NAMES = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "self_attn.qkv_proj": "attn_qkv", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "mlp.gate_up_proj": "ffn_up",
    "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm",
}


def gguf_name(name, architecture):
    if not name.startswith("model.layers."):
        return {"model.embed_tokens.weight": "token_embd.weight", "lm_head.weight": "output.weight",
                "model.norm.weight": "output_norm.weight"}[name]
    _, _, layer, rest = name.split(".", 3)
    block, kind = rest.rsplit(".", 1)
    if block == "post_attention_layernorm":
        part = "post_attention_norm" if architecture in ("gemma3", "olmo2") else "ffn_norm"
    else:
        part = LAYER_NAMES[block]
    return f"blk.{layer}.{part}.{kind}"


def write_settings(w, config, architecture):
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    rope = config.rope_parameters
    rope = rope.get(FULL, rope)
    add_sizes(w, config, head_dim, rope)
    if architecture == "phi3" or getattr(config, "sliding_window", None):
        w.add_sliding_window(config.sliding_window or 0)
    if architecture == "granite":
        w.add_attention_scale(config.attention_multiplier)
        w.add_embedding_scale(config.embedding_multiplier)
        w.add_residual_scale(config.residual_multiplier)
        w.add_logit_scale(config.logits_scaling)
    if architecture == "olmo2":
        w.add_sliding_window_pattern([kind == SLIDING for kind in config.layer_types])
        w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        w.add_rope_scaling_factor(rope["factor"])
        w.add_rope_scaling_attn_factors(rope["attention_factor"])
        w.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    if architecture == "gemma3":
        w.add_sliding_window_pattern([kind == SLIDING for kind in config.layer_types])
    if rope["rope_type"] == "longrope":
        original = config.original_max_position_embeddings
        factor = config.max_position_embeddings / original
        w.add_rope_scaling_orig_ctx_len(original)
        w.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(factor) / math.log(original)))
        w.add_tensor("rope_factors_long.weight", np.array(rope["long_factor"], np.float32))
        w.add_tensor("rope_factors_short.weight", np.array(rope["short_factor"], np.float32))


def write_gguf(path, model, architecture, pre):
    config = model.config
    w = gguf.GGUFWriter(str(path), architecture)
    write_settings(w, config, architecture)
    add_tokenizer(w, config, pre)
    for name, value in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        array = value.float().numpy()
        if architecture in ("llama", "smollm3", "granite"):
            if "q_proj" in name:
                array = interleaved(array, config.num_attention_heads)
            if "k_proj" in name:
                array = interleaved(array, config.num_key_value_heads)
        if array.ndim == 1:
            w.add_tensor(gguf_name(name, architecture), array + 1 if architecture == "gemma3" else array)
        else:
            kind = gguf.GGMLQuantizationType.BF16
            w.add_tensor(gguf_name(name, architecture), gguf.quants.quantize(array, kind), raw_dtype=kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


# Reference ---------------------------------------------------------------------------------------

def write_golden(folder, name, model):
    tokens = np.random.default_rng(7).integers(0, 316, TOKENS).tolist()
    with torch.no_grad():
        logits = model(torch.tensor([tokens])).logits[0].float().numpy()
        greedy = list(tokens)
        for _ in range(GREEDY):  # from scratch each time, without a cache
            greedy.append(int(model(torch.tensor([greedy]), use_cache=False).logits[0, -1].argmax()))
        short = None
        if name == "phi3":  # below the length of the short table
            short = model(torch.tensor([tokens[:16]])).logits[0].float().numpy()
    rows = [logits] if short is None else [logits, short]
    np.concatenate(rows).astype("<f4").tofile(folder / f"{name}.f32")
    (folder / f"{name}.json").write_text(json.dumps(dict(tokens=tokens, greedy=greedy[TOKENS:])) + "\n")


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, (architecture, pre, config)) in enumerate(FAMILIES.items()):
        if sys.argv[2:] and name not in sys.argv[2:]:
            continue
        model = random_model(config, seed)
        if architecture == "gemma3":  # norms multiply by 1 + w
            for parameter, value in model.named_parameters():
                if parameter.endswith("norm.weight"):
                    value.data -= 1
        if name in SMALL_EMBEDDINGS:
            model.model.embed_tokens.weight.data *= SMALL_EMBEDDINGS[name]
        model.bfloat16().save_pretrained(folder / name)
        (folder / name / "generation_config.json").unlink(missing_ok=True)
        (folder / name / "model.safetensors").chmod(0o644)
        if pre == "sentencepiece":
            write_sentencepiece(folder / name)
        else:
            write_tokenizer(folder / name, LIKE.get(pre, pre))
        # Rotary frequencies were rounded with the weights; a fresh model computes them in float.
        model = AutoModelForCausalLM.from_pretrained(
            folder / name, dtype=torch.float32, attn_implementation="eager").eval()
        write_gguf(folder / f"{name}.gguf", model, architecture, pre)
        write_golden(folder, name, model)
        print(name, sum(value.numel() for value in model.parameters()))


if __name__ == "__main__":
    main()
