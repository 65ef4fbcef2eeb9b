"""Makes tiny random block drafters for the models of make_tiny.py, and what they give.

    python3 Tools/oracle/make_drafters.py Tests/TransformerTests/Resources/drafters

Needs the PyPI packages numpy, torch, transformers and safetensors. Each drafter is a folder as its publishers write it (bf16), and
`golden.json` says what it gives after texts: the logits of each row of a block, and the chances that it tells. All of
the drafter is float64 NumPy, written from Formats/TSR.md §5.3; of transformers there is only what the target computes.
"""
import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

VOCABULARY, WIDTH, MASK = 320, 48, 319
COMMON = dict(hidden_size=WIDTH, intermediate_size=80, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
              vocab_size=VOCABULARY, max_position_embeddings=256, rms_norm_eps=1e-6, rope_theta=10000.0, hidden_act="silu",
              model_type="qwen3", num_target_layers=2, attention_bias=False)
DRAFTERS = {
    # z-lab's: a row predicts the token at its place.
    "dflash": dict(target="qwen3", config=COMMON | dict(
        architectures=["DFlashDraftModel"], num_hidden_layers=2, block_size=6,
        dflash_config=dict(target_layer_ids=[1, 0], mask_token_id=MASK))),
    # DeepSpec's: the token after its place, with both heads; for some tokens only.
    "dspark": dict(target="llama", config=COMMON | dict(
        architectures=["Qwen3DSparkModel"], num_hidden_layers=2, block_size=5, target_layer_ids=[-1, 1], mask_token_id=MASK,
        markov_rank=8, markov_head_type="vanilla", enable_confidence_head=True, confidence_head_with_markov=True,
        draft_tokens=list(range(3, 320, 2)))),
    # One layer, a confidence head without factors, and a target whose head is its embedding.
    "plain": dict(target="smollm", config=COMMON | dict(
        architectures=["Qwen3DSparkModel"], num_hidden_layers=1, block_size=4, target_layer_ids=[0], mask_token_id=7,
        markov_rank=0, enable_confidence_head=True)),
}
TEXT = [(37 * i * i + 11 * i + 5) % 317 for i in range(30)]
# Tokens of context before the anchor, and tokens to draft; fewer than the drafter was made for, too.
BLOCKS = [(1, 3), (9, 4), (17, 1), (25, 3)]


def random_weights(config, seed):
    generator = torch.Generator().manual_seed(seed)

    def matrix(rows, columns, scale=1.5):
        return (scale * torch.randn(rows, columns, generator=generator) / columns ** 0.5).bfloat16()

    def norm(size):
        return (1 + 0.3 * torch.randn(size, generator=generator)).bfloat16()

    queries, keys = (config[name] * config["head_dim"] for name in ("num_attention_heads", "num_key_value_heads"))
    inner, rank = config["intermediate_size"], config.get("markov_rank", 0)
    taps = config.get("target_layer_ids") or config["dflash_config"]["target_layer_ids"]
    weights = {"fc.weight": matrix(WIDTH, WIDTH * len(taps)), "hidden_norm.weight": norm(WIDTH), "norm.weight": norm(WIDTH)}
    for layer in range(config["num_hidden_layers"]):
        at = f"layers.{layer}."
        weights |= {
            at + "input_layernorm.weight": norm(WIDTH), at + "post_attention_layernorm.weight": norm(WIDTH),
            at + "self_attn.q_proj.weight": matrix(queries, WIDTH), at + "self_attn.k_proj.weight": matrix(keys, WIDTH),
            at + "self_attn.v_proj.weight": matrix(keys, WIDTH), at + "self_attn.o_proj.weight": matrix(WIDTH, queries),
            at + "self_attn.q_norm.weight": norm(16), at + "self_attn.k_norm.weight": norm(16),
            at + "mlp.gate_proj.weight": matrix(inner, WIDTH), at + "mlp.up_proj.weight": matrix(inner, WIDTH),
            at + "mlp.down_proj.weight": matrix(WIDTH, inner)}
    if rank:
        rows = len(config.get("draft_tokens", [])) or VOCABULARY
        weights |= {"markov_head.markov_w1.weight": matrix(VOCABULARY, rank), "markov_head.markov_w2.weight": matrix(rows, rank, 3)}
    if config.get("enable_confidence_head"):
        wide = WIDTH + (rank if config.get("confidence_head_with_markov") else 0)
        weights |= {"confidence_head.proj.weight": matrix(1, wide), "confidence_head.proj.bias": torch.tensor([0.25]).bfloat16()}
    return weights


def target_streams(model, text):
    """x of each token before the first layer and after each one: [layers + 1][tokens, WIDTH]."""
    streams = []
    hooks = [model.model.layers[0].register_forward_pre_hook(lambda m, a: streams.append(a[0][0].numpy()))]
    hooks += [layer.register_forward_hook(lambda m, a, y: streams.append((y[0] if isinstance(y, tuple) else y).reshape(-1, WIDTH).numpy()))
              for layer in model.model.layers]
    with torch.no_grad():
        model(torch.tensor([text]))
    for hook in hooks:
        hook.remove()
    return streams


class Reference:
    """One drafter in float64."""

    def __init__(self, config, weights, embedding, head):
        self.c, self.w = config, {name: value.double().numpy() for name, value in weights.items()}
        self.embedding, self.head = embedding, head
        self.frequencies = config["rope_theta"] ** (-np.arange(0, 16, 2) / 16)

    def norm(self, x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.c["rms_norm_eps"]) * self.w[name]

    def heads(self, x, layer, letter, positions):
        """Rows of x as normed and turned heads: [rows, heads, 16]."""
        y = (x @ self.w[f"layers.{layer}.self_attn.{letter}_proj.weight"].T).reshape(len(x), -1, 16)
        if letter == "v":
            return y
        y = self.norm(y, f"layers.{layer}.self_attn.{letter}_norm.weight")
        angle = positions[:, None, None] * self.frequencies
        a, b = y[..., :8], y[..., 8:]
        return np.concatenate([a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)], -1)

    def block(self, streams, anchor, rows):
        """The last layer's normed output: rows after a context of the tokens that `streams` are of."""
        taps = self.c.get("target_layer_ids") or self.c["dflash_config"]["target_layer_ids"]
        mask = self.c.get("mask_token_id") or self.c["dflash_config"]["mask_token_id"]
        joined = np.concatenate([streams[tap + 1] for tap in taps], -1)
        context = self.norm(joined @ self.w["fc.weight"].T, "hidden_norm.weight")
        length = len(context)
        x = self.embedding[[anchor] + [mask] * (rows - 1)]
        before, here = np.arange(length), length + np.arange(rows)
        for layer in range(self.c["num_hidden_layers"]):
            at = f"layers.{layer}."
            a = self.norm(x, at + "input_layernorm.weight")
            q = self.heads(a, layer, "q", here)
            k, v = (np.concatenate([self.heads(context, layer, kind, before), self.heads(a, layer, kind, here)]) for kind in "kv")
            y = np.empty_like(q)
            for head in range(q.shape[1]):
                scores = q[:, head] @ k[:, head // 2].T / 4
                shares = np.exp(scores - scores.max(-1, keepdims=True))
                y[:, head] = shares / shares.sum(-1, keepdims=True) @ v[:, head // 2]
            x = x + y.reshape(rows, -1) @ self.w[at + "self_attn.o_proj.weight"].T
            a = self.norm(x, at + "post_attention_layernorm.weight")
            gate, up = (a @ self.w[at + f"mlp.{kind}_proj.weight"].T for kind in ("gate", "up"))
            x = x + gate / (1 + np.exp(-gate)) * up @ self.w[at + "mlp.down_proj.weight"].T
        return self.norm(x, "norm.weight")

    def draft(self, streams, anchor, count):
        """The likeliest chain after the anchor: logits of each row, its token, the chance that is told."""
        skipped = 1 if self.c["architectures"][0].startswith("DFlash") else 0
        hidden = self.block(streams, anchor, count + skipped)[skipped:]
        ids = self.c.get("draft_tokens") or list(range(VOCABULARY))
        previous, rows = anchor, []
        for row in hidden:
            logits, factor = self.head[ids] @ row, np.empty(0)
            if self.c.get("markov_rank"):
                factor = self.w["markov_head.markov_w1.weight"][previous]
                logits = logits + self.w["markov_head.markov_w2.weight"] @ factor
            chance = None
            if self.c.get("enable_confidence_head"):
                inputs = np.concatenate([row, factor]) if self.c.get("confidence_head_with_markov") else row
                told = self.w["confidence_head.proj.weight"][0] @ inputs + self.w["confidence_head.proj.bias"][0]
                chance = 1 / (1 + np.exp(-told))
            previous = ids[int(logits.argmax())]
            rows.append(dict(logits=[float(f"{value:.7g}") for value in logits], token=previous, chance=chance))
        return rows


def main(out):
    tiny = Path(out).parent
    for seed, (name, made) in enumerate(DRAFTERS.items()):
        folder = Path(out) / name
        folder.mkdir(parents=True, exist_ok=True)
        config, weights = made["config"], random_weights(made["config"], 100 + seed)
        (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        target = AutoModelForCausalLM.from_pretrained(tiny / made["target"], dtype=torch.float64, attn_implementation="eager").eval()
        embedding = target.get_input_embeddings().weight.detach().numpy()
        reference = Reference(config, weights, embedding, target.get_output_embeddings().weight.detach().numpy())
        streams = target_streams(target, TEXT)
        blocks = [dict(context=length, count=count, rows=reference.draft([x[:length] for x in streams], TEXT[length], count))
                  for length, count in BLOCKS]
        (folder / "golden.json").write_text(json.dumps(dict(target=made["target"], text=TEXT, blocks=blocks)) + "\n")
        print(folder, [[row["token"] for row in block["rows"]] for block in blocks])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
