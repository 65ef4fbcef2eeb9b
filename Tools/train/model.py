"""A Llama in plain PyTorch with Hugging Face's tensor names: Llama, Qwen2 and Qwen3 checkpoints load.

RoPE rotates the pairs (i, i + head_dim / 2); attention takes any mask, which is what the doubled
sequence of Set Block Decoding needs.
"""
import math
from dataclasses import asdict, dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass
class Config:
    """Fields of a Hugging Face config.json; `rope_scaling` knows Llama 3's kind."""
    vocab_size: int = 768
    hidden_size: int = 192
    intermediate_size: int = 512
    num_hidden_layers: int = 6
    num_attention_heads: int = 6
    num_key_value_heads: int = 3
    head_dim: int = 32
    max_position_embeddings: int = 1024
    rms_norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    rope_scaling: dict | None = None
    tie_word_embeddings: bool = True
    attention_bias: bool = False
    query_key_norm: bool = False
    model_type: str = "llama"
    extra: dict = field(default_factory=dict)

    def to_dict(self) -> dict:
        return asdict(self)


class RMSNorm(nn.Module):
    def __init__(self, width: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        y = x.float()
        y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + self.eps)
        return y.to(x.dtype) * self.weight


class Attention(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = c.num_attention_heads, c.num_key_value_heads, c.head_dim
        width, bias = c.hidden_size, c.attention_bias
        self.q_proj = nn.Linear(width, self.heads * self.head_dim, bias=bias)
        self.k_proj = nn.Linear(width, self.kv_heads * self.head_dim, bias=bias)
        self.v_proj = nn.Linear(width, self.kv_heads * self.head_dim, bias=bias)
        self.o_proj = nn.Linear(self.heads * self.head_dim, width, bias=False)
        if c.query_key_norm:
            self.q_norm = RMSNorm(self.head_dim, c.rms_norm_eps)
            self.k_norm = RMSNorm(self.head_dim, c.rms_norm_eps)

    def forward(self, x: Tensor, rope: tuple[Tensor, Tensor], attend) -> Tensor:
        batch, length, _ = x.shape
        q = self.q_proj(x).view(batch, length, self.heads, self.head_dim)
        k = self.k_proj(x).view(batch, length, self.kv_heads, self.head_dim)
        v = self.v_proj(x).view(batch, length, self.kv_heads, self.head_dim)
        if hasattr(self, "q_norm"):
            q, k = self.q_norm(q), self.k_norm(k)
        q, k = rotate(q, rope), rotate(k, rope)
        y = attend(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        return self.o_proj(y.transpose(1, 2).reshape(batch, length, -1))


class MLP(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.gate_proj = nn.Linear(c.hidden_size, c.intermediate_size, bias=False)
        self.up_proj = nn.Linear(c.hidden_size, c.intermediate_size, bias=False)
        self.down_proj = nn.Linear(c.intermediate_size, c.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.input_layernorm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.self_attn = Attention(c)
        self.post_attention_layernorm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.mlp = MLP(c)

    def forward(self, x: Tensor, rope: tuple[Tensor, Tensor], attend) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), rope, attend)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.embed_tokens = nn.Embedding(c.vocab_size, c.hidden_size)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.num_hidden_layers))
        self.norm = RMSNorm(c.hidden_size, c.rms_norm_eps)


class Llama(nn.Module):
    """Parameters are named as in Hugging Face checkpoints (`model.layers.0.self_attn.q_proj.weight`)."""

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.model = Decoder(config)
        if not config.tie_word_embeddings:
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.register_buffer("frequencies", rope_frequencies(config), persistent=False)
        self.checkpoint_layers = False

    def initialize(self, seed: int) -> None:
        """Normal(0, 0.02) as Llama does; residual outputs are scaled down by depth."""
        generator = torch.Generator().manual_seed(seed)
        scale = 1 / math.sqrt(2 * self.config.num_hidden_layers)
        with torch.no_grad():
            for name, p in self.named_parameters():
                if p.ndim == 2:
                    residual = name.endswith(("o_proj.weight", "down_proj.weight"))
                    std = 0.02 if "embed" in name or "lm_head" in name else 0.5 / math.sqrt(p.shape[1])
                    p.normal_(0, std * (scale if residual else 1), generator=generator)

    def hidden(self, tokens: Tensor, positions: Tensor, attend) -> Tensor:
        """tokens, positions [batch, length] -> the normed residual stream [batch, length, hidden]."""
        x = self.model.embed_tokens(tokens)
        angles = positions[..., None].float() * self.frequencies
        rope = (angles.cos()[:, :, None].to(x.dtype), angles.sin()[:, :, None].to(x.dtype))
        for layer in self.model.layers:
            if self.checkpoint_layers and self.training:
                x = torch.utils.checkpoint.checkpoint(layer, x, rope, attend, use_reentrant=False)
            else:
                x = layer(x, rope, attend)
        return self.model.norm(x)

    def head(self) -> Tensor:
        """The output matrix [vocab, hidden]."""
        return self.model.embed_tokens.weight if self.config.tie_word_embeddings else self.lm_head.weight

    def forward(self, tokens: Tensor, positions: Tensor, attend) -> Tensor:
        """Logits [batch, length, vocab]."""
        return F.linear(self.hidden(tokens, positions, attend), self.head())


def rotate(x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
    """x [batch, length, heads, head_dim]; cos and sin [batch, length, 1, head_dim / 2]."""
    cos, sin = rope
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


def rope_frequencies(c: Config) -> Tensor:
    """Angle per position of each pair, with Llama 3's or linear scaling."""
    f = c.rope_theta ** (-torch.arange(0, c.head_dim, 2, dtype=torch.float64) / c.head_dim)
    scaling = c.rope_scaling or {}
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind == "linear":
        f = f / scaling["factor"]
    elif kind == "llama3":
        low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
        turns = scaling["original_max_position_embeddings"] * f / (2 * math.pi)
        smooth = ((turns - low) / (high - low)).clamp(0, 1)
        f = (1 - smooth) * f / scaling["factor"] + smooth * f
    elif kind != "default":
        raise ValueError(f"rope scaling {kind!r} is not supported here: use default, linear or llama3")
    return f.float()


def masked_attention(mask: Tensor | None):
    """An `attend` for the model: dense boolean mask [batch, 1, queries, keys], None for causal."""
    bias = None

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        nonlocal bias
        q, k = q.to(v.dtype), k.to(v.dtype)
        if mask is not None and v.device.type == "cpu" and v.dtype == torch.bfloat16:
            if bias is None:
                bias = torch.zeros_like(mask, dtype=v.dtype).masked_fill(~mask, -1e4)
            return attention_by_products(q, k, v, bias)
        gqa = q.shape[1] != k.shape[1]
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None, enable_gqa=gqa)
    return attend


def attention_by_products(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """Attention of short rows: on CPUs with bfloat16 products, half the time of PyTorch's fused kernel."""
    batch, heads, length, width = q.shape
    grouped = (batch, k.shape[1], -1, width)
    scores = (q * width**-0.5).reshape(grouped) @ k.mT
    shares = (scores.view(batch, heads, length, -1) + bias).softmax(-1)
    return (shares.view(*grouped[:3], k.shape[2]) @ v).view(batch, heads, length, width)
