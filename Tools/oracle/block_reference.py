"""The forward pass and the block decoding loops of published block-diffusion models, in float64.

One decoder block with everything the four families use: grouped heads, biases on q, k and v, RMSNorm of
query and key heads, RoPE with YaRN, Ministral's query scale, a tied or a separate head. Who sees whom is
given per pass, so a pass needs no cache: every sequence is computed whole. make_checkpoints.py holds the
forward pass against transformers. The loops do what the families' published generation code does
when greedy; that code itself is not run here.
"""

import math
from dataclasses import dataclass

import torch

NEAR = 5e-4  # a decision closer than this could fall otherwise in float32


class Model:
    """`weights` by Hugging Face's names, below `prefix`; `config` is the content of config.json."""

    def __init__(self, config, weights, prefix, head):
        self.config, self.prefix = config, prefix
        self.weights = {name: value.double() for name, value in weights.items()}
        tied = config.get("tie_word_embeddings", False)
        self.head = self.weights[prefix + "embed_tokens.weight" if tied else head]
        self.head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
        self.rope = config.get("rope_parameters") or {}
        self.frequencies, self.attention_factor = self.rope_table()

    def rope_table(self):
        """Angles per position of each pair, and the factor on cos and sin."""
        rope, width = self.rope, self.head_dim
        theta = rope.get("rope_theta") or self.config["rope_theta"]
        plain = theta ** -(torch.arange(0, width, 2, dtype=torch.float64) / width)
        if rope.get("rope_type") != "yarn":
            return plain, 1.0
        original, factor = rope["original_max_position_embeddings"], rope["factor"]

        def pair(turns):  # the pair that turns so often within the original context
            return width * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(theta))

        low = max(math.floor(pair(rope["beta_fast"])), 0)
        high = min(math.ceil(pair(rope["beta_slow"])), width - 1)
        slow = ((torch.arange(width // 2) - low) / max(high - low, 0.001)).clamp(0, 1)

        def scale(m):
            return 0.1 * m * math.log(factor) + 1 if factor > 1 else 1.0

        return (plain / factor * slow + plain * (1 - slow),
                scale(rope["mscale"]) / scale(rope["mscale_all_dim"]))

    def norm(self, x, name):
        scale = (x.square().mean(-1, keepdim=True) + self.config["rms_norm_eps"]).rsqrt()
        return x * scale * self.weights[name]

    def heads(self, x, layer, part, count):
        """[heads, tokens, width], normed where the family does so."""
        name = f"{layer}self_attn.{part}_"
        x = x @ self.weights[name + "proj.weight"].T + self.weights.get(name + "proj.bias", 0)
        x = x.unflatten(-1, (count, self.head_dim)).transpose(0, 1)
        return self.norm(x, name + "norm.weight") if name + "norm.weight" in self.weights else x

    def rotate(self, x):
        angle = torch.arange(x.shape[1], dtype=torch.float64)[:, None] * self.frequencies
        cos, sin = angle.cos() * self.attention_factor, angle.sin() * self.attention_factor
        a, b = x.chunk(2, -1)
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    def attention(self, x, layer, seen):
        config = self.config
        query, key, value = (self.heads(x, layer, part, config[count]) for part, count in (
            ("q", "num_attention_heads"), ("k", "num_key_value_heads"), ("v", "num_key_value_heads")))
        query, key = self.rotate(query), self.rotate(key)
        if beta := self.rope.get("llama_4_scaling_beta"):
            turns = torch.arange(x.shape[0]) // self.rope["original_max_position_embeddings"]
            query = query * (1 + beta * torch.log1p(turns.double()))[:, None]
        group = query.shape[0] // key.shape[0]
        key, value = key.repeat_interleave(group, 0), value.repeat_interleave(group, 0)
        scores = query @ key.transpose(1, 2) / self.head_dim ** 0.5
        mixed = scores.masked_fill(~seen, -math.inf).softmax(-1) @ value
        return mixed.transpose(0, 1).flatten(1) @ self.weights[layer + "self_attn.o_proj.weight"].T

    def logits(self, tokens, seen):
        """`seen[i, j]`: whether token i sees token j."""
        w = self.weights
        x = w[self.prefix + "embed_tokens.weight"][torch.tensor(tokens)]
        for index in range(self.config["num_hidden_layers"]):
            layer = f"{self.prefix}layers.{index}."
            x = x + self.attention(self.norm(x, layer + "input_layernorm.weight"), layer, seen)
            y = self.norm(x, layer + "post_attention_layernorm.weight")
            gate, up = (y @ w[f"{layer}mlp.{part}_proj.weight"].T for part in ("gate", "up"))
            x = x + (torch.nn.functional.silu(gate) * up) @ w[layer + "mlp.down_proj.weight"].T
        return self.norm(x, self.prefix + "norm.weight") @ self.head.T


def sight(past, opened, block=1):
    """Who sees whom: past tokens all before them and their own block, open ones everything."""
    position = torch.arange(past + opened)
    seen = position[:, None] // block >= position[None, :] // block
    seen[:past, past:] = False
    seen[past:] = True
    return seen


@dataclass
class Traits:
    """How a family fills blocks."""
    mask: int
    block: int
    shifted: bool  # logits predict the next position
    bidirectional: bool  # finished blocks see themselves whole and lie at multiples of their size
    threshold: float
    sub_block: int | None = None  # sub-blocks are filled one after the other


class Decoder:
    """Greedy decoding. Remembers the narrowest of its decisions in `margin`."""

    def __init__(self, model, traits):
        self.model, self.traits, self.margin = model, traits, math.inf

    def decide(self, distance):
        self.margin = min(self.margin, abs(float(distance)))

    def rows(self, past, opened):
        causal = not self.traits.bidirectional
        seen = sight(len(past), len(opened), 1 if causal else self.traits.block)
        logits = self.model.logits(past + opened, seen)
        logits[:, self.traits.mask] = -math.inf
        return logits

    def token(self, row):
        best = row.topk(2)
        self.decide(best.values[0] - best.values[1])
        return int(best.indices[0])

    def next_tokens(self, prompt, count):
        """One causal token after the other."""
        text = list(prompt)
        for _ in range(count):
            logits = self.model.logits(text, sight(len(text), 0))
            logits[:, self.traits.mask] = -math.inf
            text.append(self.token(logits[-1]))
        return text[len(prompt):]

    def by_confidence(self, log_p):
        """All above the threshold, or else the most confident."""
        p = log_p.max(-1).values.exp()
        for value in p:
            self.decide(value - self.traits.threshold)
        chosen = [i for i in range(len(p)) if p[i] > self.traits.threshold]
        if not chosen:
            best = p.topk(min(2, len(p)))
            if len(p) > 1:
                self.decide(best.values[0] - best.values[1])
            chosen = [int(best.indices[0])]
        return chosen

    def by_entropy(self, log_p, gamma):
        """EB sampler: in the order of entropy, the most whose sum less the largest is within gamma."""
        entropy = -(log_p.exp() * log_p.masked_fill(log_p == -math.inf, 0)).sum(-1)
        order = entropy.argsort()
        count = 1
        while count < len(order):
            rest = entropy[order[:count]].sum() - gamma
            self.decide(rest)
            if rest > 0:
                self.decide(entropy[order[count]] - entropy[order[count - 1]])
                break
            count += 1
        return [int(i) for i in order[:count]]

    def blocks(self, prompt, count, gamma=None):
        """Fills whole blocks until `count` tokens are there: [[[position, token] per pass] per block].

        With the threshold it is the checkpoints' own loop: where the pass over the past predicts the first
        position, that one is decided before masks are computed. With gamma it is algorithm 3 of
        arXiv 2509.04185: the same pass computes the masks too.
        """
        traits, text, trace = self.traits, list(prompt), []
        while len(text) < len(prompt) + count:
            start = len(text) // traits.block * traits.block if traits.bidirectional else len(text)
            past, block = text[:start], text[start:]
            block += [traits.mask] * (traits.block - len(block))
            passes = []
            if (traits.shifted or not traits.bidirectional) and block[0] == traits.mask and gamma is None:
                block[0] = self.token(self.rows(past, [])[-1])
                passes.append([[start, block[0]]])
            while traits.mask in block:
                passes.append(self.fill(past, block, gamma, is_first=not passes))
            text = past + block
            trace.append(passes)
        return trace

    def fill(self, past, block, gamma, is_first):
        """One pass over a block: the tokens that it reveals."""
        traits, start = self.traits, len(past)
        opened = [i for i, token in enumerate(block) if token == traits.mask]
        if traits.sub_block:
            end = (opened[0] // traits.sub_block + 1) * traits.sub_block
            opened = [i for i in opened if i < end]
        rows = self.rows(past, block)
        by_past = is_first and opened[0] == 0 and (traits.shifted or not traits.bidirectional)
        source = [start + i - (traits.shifted or (by_past and i == 0)) for i in opened]
        log_p = rows[source].log_softmax(-1)
        chosen = self.by_confidence(log_p) if gamma is None else self.by_entropy(log_p, gamma)
        if traits.shifted and by_past and 0 not in chosen:
            chosen.append(0)  # no later pass predicts it
        reveals = []
        for i in sorted(chosen):
            block[opened[i]] = self.token(rows[source[i]])
            reveals.append([start + opened[i], block[opened[i]]])
        return reveals
