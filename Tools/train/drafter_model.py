"""A block drafter: a few Qwen3 layers that read a target's residual stream and guess the next tokens all at once.

The last known token, the anchor, stands at position s. Context is what the target computed of the tokens before it:
c_p = RMS(fc [tap_1(p); ...; tap_n(p)]), whose keys and values each layer makes with its own matrices. A block is the
embeddings of [anchor, mask, mask, ...] at s, s + 1, ...; its rows see all context and each other. Row i predicts the token
at s + i + 1. The target's embedding and some rows of its head are used as they are.
"""
from dataclasses import asdict, dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model import MLP, Attention, Config, Llama, RMSNorm, rope_frequencies, rotate


def default_taps(layers: int, count: int) -> list[int]:
    """Blocks of the target, from 0, after which the residual stream is read: from the second to the fourth from the end."""
    return [layers // 2] if count == 1 else [round(1 + i * (layers - 4) / (count - 1)) for i in range(count)]


@dataclass
class Shape:
    """What a drafter is, apart from its weights."""
    taps: list[int] = field(default_factory=list)
    layers: int = 2
    block: int = 7
    markov_rank: int = 64
    confidence: bool = True
    mask_token: int = 0
    draft_tokens: list[int] = field(default_factory=list)  # ids that can be drafted, ascending; none: all
    intermediate_size: int = 0

    def to_dict(self) -> dict:
        return asdict(self)


class Layer(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.input_layernorm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.self_attn = Attention(c)
        self.post_attention_layernorm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.mlp = MLP(c)

    def heads(self, x: Tensor, rope, queries: bool) -> tuple[Tensor | None, Tensor, Tensor]:
        """q (or None), k, v of rows x [rows, hidden], as [heads, rows, head_dim]."""
        a = self.self_attn
        shaped = lambda y, heads: y.view(1, len(x), heads, a.head_dim)
        k = rotate(a.k_norm(shaped(a.k_proj(x), a.kv_heads)), rope)
        q = rotate(a.q_norm(shaped(a.q_proj(x), a.heads)), rope) if queries else None
        turned = lambda y: None if y is None else y[0].transpose(0, 1)
        return turned(q), turned(k), turned(shaped(a.v_proj(x), a.kv_heads))

    def forward(self, x: Tensor, context: Tensor, rope, context_rope, mask: Tensor) -> Tensor:
        """x [rows, hidden], context [length, hidden], mask [rows, length + rows]."""
        q, k, v = self.heads(self.input_layernorm(x), rope, True)
        _, ck, cv = self.heads(context, context_rope, False)
        y = F.scaled_dot_product_attention(
            q[None], torch.cat((ck, k), 1)[None], torch.cat((cv, v), 1)[None], attn_mask=mask, enable_gqa=True)
        x = x + self.self_attn.o_proj(y[0].transpose(0, 1).reshape(len(x), -1))
        return x + self.mlp(self.post_attention_layernorm(x))


class Drafter(nn.Module):
    """Parameters have the names of published drafters (`layers.0.self_attn.q_proj.weight`, `fc.weight`)."""

    def __init__(self, shape: Shape, target: Llama):
        super().__init__()
        self.shape = shape
        c = Config(**{**target.config.to_dict(), "query_key_norm": True, "attention_bias": False,
                      "num_hidden_layers": shape.layers})
        c.intermediate_size = shape.intermediate_size or c.intermediate_size
        self.config = c
        ids = torch.tensor(shape.draft_tokens or list(range(c.vocab_size)))
        rows = torch.full((c.vocab_size,), -1)
        rows[ids] = torch.arange(len(ids))
        self.register_buffer("ids", ids, persistent=False)    # of rows of the head
        self.register_buffer("rows", rows, persistent=False)  # of ids; -1: cannot be drafted
        self.fc = nn.Linear(len(shape.taps) * c.hidden_size, c.hidden_size, bias=False)
        self.hidden_norm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.layers = nn.ModuleList(Layer(c) for _ in range(shape.layers))
        self.norm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        if shape.markov_rank:
            self.markov_head = nn.Module()
            self.markov_head.markov_w1 = nn.Embedding(c.vocab_size, shape.markov_rank)
            self.markov_head.markov_w2 = nn.Linear(shape.markov_rank, len(ids), bias=False)
        if shape.confidence:
            self.confidence_head = nn.Module()
            self.confidence_head.proj = nn.Linear(c.hidden_size + shape.markov_rank, 1)
        self.register_buffer("embedding", target.model.embed_tokens.weight.detach(), persistent=False)
        self.register_buffer("head", target.head().detach()[ids.to(target.head().device)], persistent=False)
        self.register_buffer("frequencies", rope_frequencies(c), persistent=False)

    def initialize(self, seed: int, target: Llama) -> None:
        """Matrices are random, small where they add to the residual stream; the last norm begins as the target's."""
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, p in self.named_parameters():
                if p.ndim == 2:
                    scale = 0.25 if name.endswith(("o_proj.weight", "down_proj.weight")) else 0.5
                    p.normal_(0, scale / p.shape[1] ** 0.5, generator=generator)
            self.norm.weight.copy_(target.model.norm.weight)
            if self.shape.markov_rank:
                self.markov_head.markov_w2.weight.zero_()
            if self.shape.confidence:
                self.confidence_head.proj.weight.zero_()
                self.confidence_head.proj.bias.zero_()

    def rope(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        angles = positions[:, None].float() * self.frequencies
        return angles.cos()[None, :, None], angles.sin()[None, :, None]

    def hidden(self, tokens: Tensor, taps: Tensor, anchors: Tensor, count: int) -> Tensor:
        """tokens [length], taps [length, taps * hidden], anchors [blocks] -> normed rows [blocks, count, hidden]."""
        blocks, length, device = len(anchors), len(tokens), tokens.device
        context = self.hidden_norm(self.fc(taps))
        ids = torch.full((blocks, count), self.shape.mask_token, device=device)
        ids[:, 0] = tokens[anchors]
        x = F.embedding(ids.flatten(), self.embedding)
        places = (anchors[:, None] + torch.arange(count, device=device)).flatten()
        owner = torch.arange(blocks, device=device).repeat_interleave(count)
        mask = torch.cat((torch.arange(length, device=device) < anchors[owner][:, None], owner[:, None] == owner), 1)
        rope, context_rope = self.rope(places), self.rope(torch.arange(length, device=device))
        for layer in self.layers:
            x = layer(x, context, rope, context_rope, mask)
        return self.norm(x).view(blocks, count, -1)

    def logits(self, hidden: Tensor, previous: Tensor) -> Tensor:
        """Of the rows, where `previous` are the tokens just before those that they predict."""
        logits = F.linear(hidden, self.head)
        if self.shape.markov_rank:
            logits = logits + self.markov_head.markov_w2(self.markov_head.markov_w1(previous))
        return logits

    def confidence(self, hidden: Tensor, previous: Tensor) -> Tensor:
        """Logits of the chance that a row's token is accepted if those before it are."""
        parts = [hidden]
        if self.shape.markov_rank:
            parts.append(self.markov_head.markov_w1(previous))
        return self.confidence_head.proj(torch.cat(parts, -1))[..., 0]

    @torch.no_grad()
    def draft(self, tokens: Tensor, taps: Tensor, anchors: Tensor, count: int) -> Tensor:
        """The likeliest chain after each anchor: ids [blocks, count]."""
        hidden = self.hidden(tokens, taps, anchors, count)
        previous, chain = tokens[anchors], []
        for row in range(count):
            previous = self.ids[self.logits(hidden[:, row], previous).argmax(-1)]
            chain.append(previous)
        return torch.stack(chain, 1)


def read_target(target: Llama, tokens: Tensor, taps: list[int]) -> Tensor:
    """Residual streams after the layers `taps` and the normed last one of tokens [length]: [length, (taps + 1) * hidden]."""
    from model import masked_attention
    found: dict = {}
    with torch.no_grad():
        hooks = [target.model.layers[i].register_forward_hook(lambda m, a, y, i=i: found.__setitem__(i, y[0])) for i in set(taps)]
        last = target.hidden(tokens[None], torch.arange(len(tokens), device=tokens.device)[None], masked_attention(None))[0]
        for hook in hooks:
            hook.remove()
    return torch.cat([found[i] for i in taps] + [last], -1)


def losses(drafter: Drafter, tokens: Tensor, read: Tensor, anchors: Tensor, decay: float) -> dict[str, Tensor]:
    """Sums over rows, weighted exp(-i / decay): cross entropy, total variation distance to the target, and what the
    confidence head says of it; and the rows' weights.

    An anchor needs one token after it; rows whose token would stand past the end weigh nothing, and neither does, in
    the cross entropy, one whose token cannot be drafted.
    """
    shape, width = drafter.shape, drafter.config.hidden_size
    count, length = shape.block, len(tokens)
    hidden = drafter.hidden(tokens, read[:, :-width], anchors, count)
    places = anchors[:, None] + torch.arange(count, device=tokens.device)      # of the token before the predicted one
    weight = (places + 1 < length) * torch.exp(-torch.arange(count, device=tokens.device) / decay)
    places = places.clamp(max=length - 2)
    previous, wanted = tokens[places], tokens[places + 1]
    logits = drafter.logits(hidden, previous).float()
    q = logits.log_softmax(-1)
    rows = drafter.rows[wanted]
    cross = -q.gather(-1, rows.clamp(min=0)[..., None])[..., 0] * (rows >= 0)
    with torch.no_grad():
        true = F.linear(read[:, -width:][places].to(drafter.head.dtype), drafter.head).float().softmax(-1)
    distance = 0.5 * (q.exp() - true).abs().sum(-1)
    result = dict(ce=(cross * weight).sum(), tv=(distance * weight).sum(), weight=weight.sum())
    if shape.confidence:
        said = drafter.confidence(hidden.detach(), previous).float()
        result["confidence"] = (F.binary_cross_entropy_with_logits(
            said, 1 - distance.detach().clamp(0, 1), reduction="none") * weight).sum()
    return result


@torch.no_grad()
def accepted(drafter: Drafter, tokens: Tensor, read: Tensor, anchors: Tensor, count: int) -> Tensor:
    """Draft tokens that are right before the first wrong one, for each anchor with `count` tokens after it."""
    width = drafter.config.hidden_size
    chain = drafter.draft(tokens, read[:, :-width], anchors, count)
    wanted = tokens[anchors[:, None] + 1 + torch.arange(count, device=tokens.device)]
    return (chain == wanted).long().cumprod(1).sum(1)
