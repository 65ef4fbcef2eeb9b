"""Makes tiny random models and the logits that Hugging Face transformers gives for them.

    python3 Tools/oracle/make_tiny.py Tests/TransformerTests/Resources

Needs the PyPI packages torch, transformers and gguf. For each family a folder `NAME/` (safetensors,
bf16, so that the float values are exact), the same weights as `NAME.gguf`, and `NAME.golden.json`
with `NAME.golden.f32`: passes and the logits of their rows, float32 arithmetic, little-endian.

A scenario is a list of passes over one cache. Every pass is computed from scratch: a sequence of all
committed and open tokens under a 4-D mask that says who sees whom.
"""

import json
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from transformers import (AutoModelForCausalLM, LlamaConfig, Ministral3Config, Qwen2Config,
                          Qwen3Config)
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.llama.modeling_llama import eager_attention_forward, rotate_half

VOCABULARY = 320
MASK = 319
SPLIT = {
    "llama-bpe": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
                 r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
             r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}

COMMON = dict(vocab_size=VOCABULARY, hidden_size=48, intermediate_size=80, num_hidden_layers=2,
              max_position_embeddings=256, bos_token_id=317, eos_token_id=318)
FAMILIES = {
    # Frequencies of all three kinds of llama3 scaling: kept, divided, between.
    "llama": ("llama", "llama-bpe", LlamaConfig(
        **COMMON, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
        rope_parameters=dict(rope_type="llama3", rope_theta=10000.0, factor=8.0,
                             low_freq_factor=1.0, high_freq_factor=4.0,
                             original_max_position_embeddings=64))),
    "smollm": ("llama", "smollm", LlamaConfig(
        **COMMON, num_attention_heads=3, num_key_value_heads=1, head_dim=16,
        tie_word_embeddings=True,
        rope_parameters=dict(rope_type="default", rope_theta=100000.0))),
    # YaRN with its factor on cos and sin; biases.
    "qwen2": ("qwen2", "qwen2", Qwen2Config(
        **COMMON, num_attention_heads=4, num_key_value_heads=1, tie_word_embeddings=True,
        rope_parameters=dict(rope_type="yarn", rope_theta=1000000.0, factor=4.0,
                             original_max_position_embeddings=64))),
    # heads * head_dim is not the hidden size.
    "qwen3": ("qwen3", "qwen2", Qwen3Config(
        **COMMON, num_attention_heads=4, num_key_value_heads=2, head_dim=32,
        rope_parameters=dict(rope_type="default", rope_theta=1000000.0))),
    "ministral3": ("mistral3", "llama-bpe", Ministral3Config(
        **COMMON, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
        rope_parameters=dict(rope_type="yarn", rope_theta=10000.0, factor=16.0, beta_fast=4.0,
                             beta_slow=1.0, mscale=1.0, mscale_all_dim=1.0,
                             original_max_position_embeddings=16, llama_4_scaling_beta=0.3))),
}


# Models ------------------------------------------------------------------------------------------

def random_model(config, seed):
    """Weights large enough that attention is far from uniform."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config)
    for name, value in model.named_parameters():
        if name.endswith("norm.weight"):
            value.data = 1 + 0.3 * torch.randn_like(value)
        elif value.dim() == 1:
            value.data = torch.randn_like(value)
        else:
            value.data = 1.5 * torch.randn_like(value) / value.shape[1] ** 0.5
        value.data = value.data.bfloat16().float()
    model.tie_weights()
    return model.eval()


def byte_alphabet():
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in kept]
    spelling = {byte: chr(byte) for byte in kept}
    spelling |= {byte: chr(256 + index) for index, byte in enumerate(others)}
    return [spelling[byte] for byte in range(256)]


def vocabulary():
    """256 bytes, 60 merged pairs, four special tokens."""
    letters = "etaoinshr"
    merges = [(a, b) for a in letters for b in letters][:60]
    tokens = byte_alphabet() + [a + b for a, b in merges]
    return tokens + ["<|pad|>", "<|begin|>", "<|end|>", "<|mask|>"], merges


def write_tokenizer(folder, pre):
    tokens, merges = vocabulary()
    byte_level = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=False)
    if pre == "smollm":
        steps = [dict(type="Digits", individual_digits=True), byte_level | dict(use_regex=True)]
    else:
        steps = [dict(type="Split", pattern=dict(Regex=SPLIT[pre]), behavior="Isolated",
                      invert=False), byte_level | dict(use_regex=False)]
    added = [dict(id=index, content=tokens[index], special=True) for index in range(316, 320)]
    tokenizer = dict(
        version="1.0", added_tokens=added, normalizer=None,
        pre_tokenizer=dict(type="Sequence", pretokenizers=steps),
        model=dict(type="BPE", vocab={token: index for index, token in enumerate(tokens[:316])},
                   merges=[list(pair) for pair in merges]))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False))


def gguf_name(name):
    if name.startswith("model.layers."):
        _, _, layer, rest = name.split(".", 3)
        block, kind = rest.rsplit(".", 1)
        part = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
                "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
                "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
                "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
                "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
                "mlp.down_proj": "ffn_down"}[block]
        return f"blk.{layer}.{part}.{kind}"
    return {"model.embed_tokens.weight": "token_embd.weight", "lm_head.weight": "output.weight",
            "model.norm.weight": "output_norm.weight"}[name]


def interleaved(value, heads):
    """llama.cpp's order of the rows of q and k where it rotates neighbours."""
    return value.reshape(heads, 2, -1, value.shape[1]).swapaxes(1, 2).reshape(value.shape)


def add_sizes(w, config, head_dim, rope):
    w.add_name(f"tiny {w.arch}")
    w.add_context_length(config.max_position_embeddings)
    w.add_embedding_length(config.hidden_size)
    w.add_feed_forward_length(config.intermediate_size)
    w.add_block_count(config.num_hidden_layers)
    w.add_head_count(config.num_attention_heads)
    w.add_head_count_kv(config.num_key_value_heads)
    w.add_key_length(head_dim)
    w.add_value_length(head_dim)
    w.add_rope_dimension_count(int(head_dim * rope.get("partial_rotary_factor", 1)))
    w.add_layer_norm_rms_eps(config.rms_norm_eps)
    w.add_rope_freq_base(rope["rope_theta"])


def write_gguf(path, model, architecture, pre):
    config, rope = model.config, model.config.rope_parameters
    head_dim = model.model.layers[0].self_attn.head_dim
    w = gguf.GGUFWriter(str(path), architecture)
    add_sizes(w, config, head_dim, rope)
    if rope["rope_type"] == "yarn":
        w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        w.add_rope_scaling_factor(rope["factor"])
        w.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    if architecture == "mistral3":
        w.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
        w.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])
        w.add_rope_scaling_yarn_log_mul(rope["mscale_all_dim"])
        w.add_attn_temperature_scale(rope["llama_4_scaling_beta"])
    tokens, merges = vocabulary()
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre(pre)
    w.add_token_list(tokens)
    w.add_token_types([1] * 316 + [3] * 4)
    w.add_token_merges([" ".join(pair) for pair in merges])
    w.add_bos_token_id(config.bos_token_id)
    w.add_eos_token_id(config.eos_token_id)
    if rope["rope_type"] == "llama3":
        plain = rope["rope_theta"] ** -(np.arange(0, head_dim, 2) / head_dim)
        scaled = model.model.rotary_emb.inv_freq.double().numpy()
        w.add_tensor("rope_freqs.weight", (plain / scaled).astype(np.float32))
    for name, value in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        array = value.float().numpy()
        if architecture in ("llama", "mistral3") and array.ndim == 2:
            if "q_proj" in name:
                array = interleaved(array, config.num_attention_heads)
            if "k_proj" in name:
                array = interleaved(array, config.num_key_value_heads)
        if array.ndim == 1:
            w.add_tensor(gguf_name(name), array)
        else:
            kind = gguf.GGMLQuantizationType.BF16
            w.add_tensor(gguf_name(name), gguf.quants.quantize(array, kind), raw_dtype=kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


# Reference passes --------------------------------------------------------------------------------

class Sight:
    """Who sees whom, and how far the sinks have been moved.

    A query at position p sees the first `sinks` positions and the newest `context - sinks` others,
    its own included. Where others have been evicted in between, the sinks are rotated onward by a
    multiple of 16 positions, to just before the window's oldest (at most 15 positions earlier).
    """

    def __init__(self, context, sinks):
        self.context, self.sinks = context, sinks

    def shift(self, position):
        return max(0, position - self.context + 1) // 16 * 16

    def row(self, position, end):
        oldest = max(self.sinks, position - (self.context - self.sinks) + 1)
        return [j for j in range(end) if j < self.sinks or j >= oldest]


def sinks_moved(inverse_frequencies, sight, positions):
    """An attention function: eager attention, but each query sees the sinks at their moved places."""

    def attention(module, query, key, value, attention_mask, scaling, dropout=0.0, **kwargs):
        outputs = []
        for index, position in enumerate(positions):
            angle = sight.shift(position) * torch.cat([inverse_frequencies] * 2)
            keys = key.clone()
            sinks = keys[:, :, :sight.sinks]
            keys[:, :, :sight.sinks] = sinks * angle.cos() + rotate_half(sinks) * angle.sin()
            outputs.append(eager_attention_forward(
                module, query[:, :, index:index + 1], keys, value,
                attention_mask[:, :, index:index + 1], scaling)[0])
        return torch.cat(outputs, 1), None

    return attention


def reference(model, sight, past, step):
    """Logits of one pass's rows. `past` is what earlier passes have committed, with their blocks."""
    committed, opened = step["committed"], step["open"]
    tokens = past["tokens"] + committed + opened
    begin, end = len(past["tokens"]), len(past["tokens"]) + len(committed)
    size = step["blockSize"]
    ends = past["ends"] + [min(end, (p // size + 1) * size) for p in range(begin, end)]
    seen = torch.full((len(tokens), len(tokens)), torch.finfo(torch.float32).min)
    for position in range(len(tokens)):
        limit = ends[position] if position < end else end
        seen[position, sight.row(position, limit)] = 0
        if position >= end:
            seen[position, end:] = 0
    ALL_ATTENTION_FUNCTIONS.register("sinks_moved", sinks_moved(
        model.model.rotary_emb.inv_freq, sight, range(len(tokens))))
    moved = sight.sinks > 0 and sight.shift(len(tokens)) > 0
    model.config._attn_implementation = "sinks_moved" if moved else "eager"
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([tokens]), attention_mask=seen[None, None]).logits[0]
    past["tokens"] = past["tokens"] + committed
    past["ends"] = ends
    return logits[begin:][step["rows"]].float().numpy()


def step(committed, opened=(), rows=None, block=1):
    committed, opened = [int(t) for t in committed], [int(t) for t in opened]
    if rows is None:
        rows = range(len(committed) + len(opened))
    return dict(committed=committed, open=opened, rows=[int(r) for r in rows], blockSize=block)


def scenarios(seed):
    """Passes worth checking; context 256 is the whole model."""
    rng = np.random.default_rng(seed)
    text = rng.integers(0, 316, 100)
    masks = [MASK] * 8
    partly = [MASK, *text[14:16], MASK, MASK, text[18], MASK, MASK]
    whole = dict(context=256, sinks=4, batch=128)
    return [
        # One causal pass, then single tokens.
        dict(whole, name="causal", steps=[step(text[:30]), step(text[30:31]), step(text[31:32])]),
        # Prompt with the first block; a second pass; commit and next block in one pass.
        dict(whole, name="blocks", steps=[
            step(text[:13], masks, rows=range(12, 21)),
            step([], partly), step(text[13:21], masks, rows=range(7, 16)), step([], partly[:5])]),
        # Finished blocks keep bidirectional keys and values.
        dict(whole, name="bidirectional", steps=[
            step(text[:8], block=4), step(text[8:12], [MASK] * 4, block=4),
            step([], [MASK, text[13], MASK, MASK], block=4), step(text[12:16], block=4)]),
        # The window moves on over wraps of the ring, inside batches too.
        dict(name="window", context=12, sinks=0, batch=7, steps=[
            step(text[:40], rows=range(36, 40)), step(text[40:47], rows=[0, 6]),
            step(text[47:50], masks[:4], rows=[2, 3, 6])]),
        dict(name="sinks", context=20, sinks=3, batch=8, steps=[
            step(text[:57], rows=range(52, 57)), step(text[57:65], rows=[0, 7]),
            step(text[65:67], masks[:6], rows=[1, 2, 7]), step(text[67:90], rows=[22])]),
    ]


def write_golden(folder, name, model):
    cases, rows = scenarios(7), []
    for case in cases:
        past = dict(tokens=[], ends=[])
        for one in case["steps"]:
            rows.append(reference(model, Sight(case["context"], case["sinks"]), past, one))
    np.concatenate(rows).astype("<f4").tofile(folder / f"{name}.golden.f32")
    (folder / f"{name}.golden.json").write_text(json.dumps(dict(scenarios=cases)) + "\n")


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, (architecture, pre, config)) in enumerate(FAMILIES.items()):
        model = random_model(config, seed)
        model.bfloat16().save_pretrained(folder / name)
        (folder / name / "generation_config.json").unlink(missing_ok=True)
        (folder / name / "model.safetensors").chmod(0o644)
        write_tokenizer(folder / name, pre)
        # Rotary frequencies were rounded with the weights; a fresh model computes them in float.
        model = AutoModelForCausalLM.from_pretrained(folder / name, dtype=torch.float32)
        write_gguf(folder / f"{name}.gguf", model, architecture, pre)
        write_golden(folder, name, model.eval())
        print(name, sum(value.numel() for value in model.parameters()))


if __name__ == "__main__":
    main()
