"""Reference decoder in PyTorch: next-token, Set Block Decoding (algorithms 2 and 3), lossless drafts.

Many sequences are decoded at once, each with its own progress; exact key/value caching: a finished
block enters the cache through causal attention. Greedy. A pass is counted for every forward call a
sequence alone would need; the prompt and the first block share one pass.
"""
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from model import Llama


@dataclass
class Settings:
    """k = 1 is next-token decoding. `order`: entropy, confidence or margin, the sampler's error proxy."""
    block_size: int = 8
    gamma: float = 0.1
    order: str = "entropy"
    max_tokens: int = 160
    first: bool = True       # reveal the first open position in every pass (the paper: the surest)
    use_ntp: bool = True     # the causal pass gives the first open position's distribution
    lossless: bool = False


@dataclass
class Sequence:
    """Progress of one sequence. `fresh`: tokens to enter the cache in the next pass."""
    fresh: list[int]
    cached: int = 0
    output: list[int] = field(default_factory=list)   # finished tokens
    open: list[int] = field(default_factory=list)     # current block, mask ids where undecided
    passes: int = 0
    done: bool = False
    trace: list = field(default_factory=list)         # per pass: [(position in the output, token)]
    end: int | None = None                            # open positions from here on come after a stop token
    drafted: int = 0                                  # lossless: how many of `fresh` are unverified
    acceptance: float = 1.0                           # lossless: accepted tokens per draft, moving average


class Cache:
    """Keys and values of all sequences, [sequences, kv_heads, capacity, head_dim] per layer."""

    def __init__(self, model: Llama, count: int, capacity: int):
        c, p = model.config, next(model.parameters())
        shape = (count, c.num_key_value_heads, capacity, c.head_dim)
        self.keys = [torch.zeros(shape, dtype=p.dtype, device=p.device) for _ in range(c.num_hidden_layers)]
        self.values = [torch.zeros_like(k) for k in self.keys]
        self.capacity = capacity

    def attention(self, rows: Tensor, slots: Tensor, mask: Tensor):
        """An `attend` that appends the pass's keys; entries with slot < capacity stay in the cache."""
        layer = iter(range(len(self.keys)))

        def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            i = next(layer)
            keys = torch.cat([self.keys[i][rows], k], 2)
            values = torch.cat([self.values[i][rows], v], 2)
            y = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask, enable_gqa=q.shape[1] != k.shape[1])
            r, n = torch.nonzero(slots < self.capacity, as_tuple=True)
            self.keys[i][rows[r], :, slots[r, n]] = k[r, :, n]
            self.values[i][rows[r], :, slots[r, n]] = v[r, :, n]
            return y
        return attend


@torch.no_grad()
def run_pass(model: Llama, cache: Cache, index: list[int], sequences: list[Sequence]) -> tuple[Tensor, Tensor]:
    """One pass: causal `fresh` tokens (cached), then the open block (bidirectional, not cached).

    Returns logits of the fresh tokens [n, F, vocab] (right-aligned) and of the open ones [n, K, vocab].
    """
    device = next(model.parameters()).device
    width = max(len(s.fresh) for s in sequences)
    open_width = max((len(s.open) for s in sequences), default=0)
    n, length = len(sequences), width + open_width
    tokens = torch.zeros(n, length, dtype=torch.long)
    positions = torch.zeros(n, length, dtype=torch.long)
    slots = torch.full((n, length), cache.capacity)
    past = torch.zeros(n, cache.capacity, dtype=torch.bool)
    valid = torch.zeros(n, length, dtype=torch.bool)
    for r, s in enumerate(sequences):
        f, o = len(s.fresh), len(s.open)
        tokens[r, width - f:width] = torch.tensor(s.fresh, dtype=torch.long)
        tokens[r, width:width + o] = torch.tensor(s.open, dtype=torch.long)
        positions[r, width - f:width + o] = torch.arange(s.cached, s.cached + f + o)
        slots[r, width - f:width] = torch.arange(s.cached, s.cached + f)
        past[r, :s.cached] = True
        valid[r, width - f:width + o] = True
    own = torch.ones(length, length).tril().bool()
    own[width:, width:] = True
    own = (own & valid[:, None, :]) | torch.eye(length, dtype=torch.bool)
    mask = torch.cat([past[:, None, :].expand(n, length, -1), own], 2)[:, None].to(device)
    attend = cache.attention(torch.tensor(index, device=device), slots.to(device), mask)
    logits = model(tokens.to(device), positions.to(device), attend).float().cpu()
    return logits[:, :width], logits[:, width:]


def error_proxy(logits: Tensor, order: str) -> tuple[Tensor, Tensor, Tensor]:
    """Per position: the greedy token, the sort key (small = sure) and the entropy in nats."""
    log_p = logits.log_softmax(-1)
    p = log_p.exp()
    entropy = -(p * log_p.masked_fill(p == 0, 0)).sum(-1)
    top = p.topk(2, -1).values
    key = {"entropy": entropy, "confidence": -top[..., 0], "margin": top[..., 1] - top[..., 0]}[order]
    return logits.argmax(-1), key, entropy


def choose(key: Tensor, entropy: Tensor, gamma: float, first: bool) -> list[int]:
    """Indices to reveal, of open positions in ascending order.

    With `first`: the first position, and in the key's order the most others whose entropies sum to <= gamma.
    Without: in the key's order, the most whose entropies but the largest sum to <= gamma (eq. 8, 18).
    """
    order = torch.argsort(key, stable=True)
    if first:
        others = order[order != 0]
        return [0, *others[entropy[others].cumsum(0) <= gamma].tolist()]
    sums = entropy[order].cumsum(0) - entropy[order].cummax(0).values
    return order[:max(1, int((sums <= gamma).sum()))].tolist()


def advance(s: Sequence, fresh_logits: Tensor, open_logits: Tensor, settings: Settings, mask_id: int, end: set[int]) -> None:
    """Reveals positions of the open block after a pass. Where the first one is revealed in every pass, the block is a
    window that slides on after the finished tokens; else the next block begins when it is full.

    Once a stop token is revealed, the positions after it no longer matter.
    """
    logits = open_logits[:len(s.open)].clone()
    if s.fresh and settings.use_ntp:
        logits[0] = fresh_logits[-1]
    logits[:, mask_id] = -torch.inf
    s.cached += len(s.fresh)
    s.fresh = []
    masked = [i for i, t in enumerate(s.open[:s.end]) if t == mask_id]
    tokens, key, entropy = error_proxy(logits[masked], settings.order)
    revealed = []
    for j in choose(key, entropy, settings.gamma, settings.first):
        s.open[masked[j]] = int(tokens[j])
        revealed.append((len(s.output) + masked[j], int(tokens[j])))
        if int(tokens[j]) in end:
            s.end = min(masked[j] + 1, len(s.open) if s.end is None else s.end)
    s.trace.append(revealed)
    prefix = s.open[:s.open.index(mask_id)] if mask_id in s.open else s.open
    stop = next((i for i, t in enumerate(prefix) if t in end), None)
    if stop is not None:
        s.output += prefix[:stop + 1]
        s.done = True
    elif settings.first:
        s.output += prefix
        s.fresh = list(prefix)
        s.open = s.open[len(prefix):] + [mask_id] * len(prefix)
        s.end = None if s.end is None else s.end - len(prefix)
        s.done = len(s.output) >= settings.max_tokens
    elif mask_id not in s.open:
        s.output += s.open
        s.fresh = list(s.open)
        s.open = [mask_id] * settings.block_size
        s.end = None
        s.done = len(s.output) >= settings.max_tokens


def advance_next_token(s: Sequence, fresh_logits: Tensor, settings: Settings, mask_id: int, end: set[int]) -> None:
    """Plain next-token decoding."""
    logits = fresh_logits[-1].clone()
    logits[mask_id] = -torch.inf
    token = int(logits.argmax())
    s.cached += len(s.fresh)
    s.fresh = [token]
    s.trace.append([(len(s.output), token)])
    s.output.append(token)
    s.done = token in end or len(s.output) >= settings.max_tokens


def advance_lossless(s: Sequence, fresh_logits: Tensor, open_logits: Tensor, settings: Settings, mask_id: int,
                     end: set[int]) -> None:
    """Keeps the drafted tokens that greedy next-token decoding would give, plus one; drafts anew from the masks.

    The last `drafted` fresh tokens are a draft. When all of it holds, the masks after it were the
    right ones and supply the next draft; otherwise the next pass starts from the corrected token.
    With a tokens accepted per draft on average, a further draft token of confidence c gains c and
    risks (1 - c) a, so the draft ends where c <= a / (1 + a).
    """
    fresh_logits = fresh_logits[fresh_logits.shape[0] - len(s.fresh):].clone()
    fresh_logits[:, mask_id] = -torch.inf
    sure = len(s.fresh) - s.drafted
    greedy = fresh_logits.argmax(-1).tolist()
    kept = 0
    while kept < s.drafted and s.fresh[sure + kept] == greedy[sure + kept - 1]:
        kept += 1
    new = s.fresh[sure:sure + kept] + [greedy[sure + kept - 1]]
    stop = next((i for i, t in enumerate(new) if t in end), None)
    new = new if stop is None else new[:stop + 1]
    s.trace.append([(len(s.output) + i, t) for i, t in enumerate(new)])
    s.output += new
    s.cached += sure + kept
    draft = []
    s.acceptance += (0.1 if s.drafted else 0.02) * (kept - s.acceptance)
    if kept == s.drafted:
        logits = open_logits[1:len(s.open)].clone()
        logits[:, mask_id] = -torch.inf
        confidence, tokens = logits.softmax(-1).max(-1)
        for c, token in zip(confidence.tolist(), tokens.tolist()):
            if c <= s.acceptance / (1 + s.acceptance):
                break
            draft.append(token)
            if token in end:
                break
    s.fresh, s.drafted = [new[-1]] + draft, len(draft)
    s.open = [mask_id] * settings.block_size
    s.done = stop is not None or len(s.output) >= settings.max_tokens


def decode(model: Llama, prompts: list[list[int]], settings: Settings, mask_id: int, end: set[int],
           batch: int = 32) -> list[Sequence]:
    """Decodes all prompts; `output` ends with the stop token if one was reached."""
    model.eval()
    finished = []
    open_size = settings.block_size if settings.block_size > 1 or settings.lossless else 0
    for begin in range(0, len(prompts), batch):
        group = [Sequence(fresh=list(p), open=[mask_id] * open_size) for p in prompts[begin:begin + batch]]
        capacity = max(len(p) for p in prompts[begin:begin + batch]) + settings.max_tokens + 3 * settings.block_size
        cache = Cache(model, len(group), capacity)
        while any(not s.done for s in group):
            index = [i for i, s in enumerate(group) if not s.done]
            active = [group[i] for i in index]
            fresh, opened = run_pass(model, cache, index, active)
            for s, f, o in zip(active, fresh, opened):
                s.passes += 1
                if settings.lossless:
                    advance_lossless(s, f, o, settings, mask_id, end)
                elif open_size:
                    advance(s, f, o, settings, mask_id, end)
                else:
                    advance_next_token(s, f, settings, mask_id, end)
        finished += group
    return finished
