"""The Set Block Decoding objective (arXiv 2509.04185, algorithm 1): batches, mask, loss.

A batch holds the clean half [B, T] and the noised half [B, M]. The noised half repeats only the
tokens that are trained on (answers), in blocks of k that start at the answer's first token; after
the end it goes on with end tokens to the end of its block, as the open positions of a decoder do.
Every rule of attention follows from three vectors: document, position, block.
"""
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from model import Llama, masked_attention

IGNORE = -100


@dataclass
class Batch:
    """Tensors [B, T] (clean) and [B, M] (noised); `noised` is None for pure next-token training."""
    tokens: Tensor
    positions: Tensor
    documents: Tensor        # number of the document in its row, -1 for padding
    targets: Tensor          # the next token, IGNORE where none
    weights: Tensor          # weight of each next-token loss term
    blocks: Tensor           # block of each clean token, -1 before the first block
    noised: Tensor | None = None            # token or mask id
    noised_positions: Tensor | None = None
    noised_documents: Tensor | None = None
    noised_blocks: Tensor | None = None
    noised_targets: Tensor | None = None    # the token, IGNORE where it is visible

    def to(self, device) -> "Batch":
        return Batch(**{k: None if v is None else v.to(device) for k, v in self.__dict__.items()})


@dataclass
class Example:
    """One document: token ids; those from `start` on are trained on (0: all).

    `weights`, one a token, replace the weights of the next-token loss (prompt weight, then 1);
    tokens with weight 0 are not masked either.
    """
    ids: list[int]
    start: int
    weights: list[float] | None = None


def noised_length(example: Example, block_size: int) -> int:
    """Upper bound of the noised tokens of an example: its answer and the rest of the last block."""
    return len(example.ids) - example.start + block_size - 1


class Packer:
    """Best-fit packing of examples into rows of T clean and M noised tokens, from a stream."""

    def __init__(self, stream, clean: int, noised: int, pool: int = 64):
        self.stream, self.clean, self.noised, self.pool_size = stream, clean, noised, pool
        self.pool: list[Example] = []

    def rows(self, count: int, block_size: int) -> list[list[Example]]:
        """`count` rows whose examples fit both lengths."""
        result = []
        for _ in range(count):
            row, room, open_room = [], self.clean, self.noised
            while True:
                while len(self.pool) < self.pool_size:
                    self.pool.append(self.cut(next(self.stream)))
                # The oldest goes first so that no example waits forever; then the longest that fits.
                fits = [i for i, e in enumerate(self.pool)
                        if len(e.ids) <= room and noised_length(e, block_size) <= open_room]
                if not fits:
                    break
                best = fits[0] if not row else max(fits, key=lambda i: len(self.pool[i].ids))
                example = self.pool.pop(best)
                row.append(example)
                room -= len(example.ids)
                open_room -= noised_length(example, block_size)
            result.append(row)
        return result

    def cut(self, example: Example) -> Example:
        """Shortens an example that no row could hold."""
        limit = min(self.clean, example.start + self.noised - 64)
        if len(example.ids) <= limit:
            return example
        return Example(example.ids[:limit], min(example.start, limit), example.weights and example.weights[:limit])


def make_batch(rows: list[list[Example]], clean: int, noised: int, block_size: int, end: int, mask: int,
               rng: np.random.Generator, prompt_weight: float, with_noised: bool) -> Batch:
    """Packs rows into tensors and draws the noise: eta ~ U(0, 1) per document."""
    shape, open_shape = (len(rows), clean), (len(rows), noised)
    tokens, positions = np.full(shape, end), np.zeros(shape, np.int64)
    documents, targets = np.full(shape, -1), np.full(shape, IGNORE)
    weights, blocks = np.zeros(shape, np.float32), np.full(shape, -1)
    n_tokens, n_positions = np.full(open_shape, end), np.zeros(open_shape, np.int64)
    n_documents, n_blocks, n_targets = np.full(open_shape, -1), np.zeros(open_shape, np.int64), np.full(open_shape, IGNORE)
    for r, row in enumerate(rows):
        at = open_at = 0
        for d, example in enumerate(row):
            ids, start = np.asarray(example.ids), example.start
            n = len(ids)
            # Half of the documents begin with a full block, as decoding does; the others with any part.
            shift = int(rng.integers(0, block_size)) if rng.random() < 0.5 else 0
            place = np.arange(n)
            block = np.where(place >= start, (place - start + shift) // block_size, -1)
            here = slice(at, at + n)
            tokens[r, here], positions[r, here], documents[r, here], blocks[r, here] = ids, place, d, block
            targets[r, at:at + n - 1] = ids[1:]
            given = np.where(place >= start, 1.0, prompt_weight) if example.weights is None else example.weights
            weights[r, at:at + n - 1] = given[1:]
            at += n
            if with_noised:
                ended = ids[-1] == end
                tail = (-(n - start + shift)) % block_size if ended else 0
                truth = np.concatenate([ids[start:], np.full(tail, end)])
                place = np.arange(start, n + tail)
                hidden = rng.random(len(truth)) < rng.random()
                if example.weights is not None:
                    hidden[:n - start] &= np.asarray(example.weights[start:]) > 0
                here = slice(open_at, open_at + len(truth))
                n_tokens[r, here] = np.where(hidden, mask, truth)
                n_targets[r, here] = np.where(hidden, truth, IGNORE)
                n_positions[r, here], n_documents[r, here] = place, d
                n_blocks[r, here] = (place - start + shift) // block_size
                open_at += len(truth)
    tensor = torch.from_numpy
    batch = Batch(tensor(tokens), tensor(positions), tensor(documents), tensor(targets), tensor(weights), tensor(blocks))
    if with_noised:
        batch.noised, batch.noised_positions = tensor(n_tokens), tensor(n_positions)
        batch.noised_documents, batch.noised_blocks = tensor(n_documents), tensor(n_blocks)
        batch.noised_targets = tensor(n_targets)
    return batch


def visibility(q_doc, k_doc, q_pos, k_pos, q_block, k_block, q_noised, k_noised):
    """The rule of attention, for broadcastable tensors: who sees whom in [clean ; noised]."""
    same = q_doc == k_doc
    causal = ~q_noised & ~k_noised & (k_pos <= q_pos)
    past = q_noised & ~k_noised & (k_block < q_block)
    within = q_noised & k_noised & (k_block == q_block)
    return same & (causal | past | within)


def joined(batch: Batch):
    """The doubled sequence: tokens, positions, documents, blocks, noised flags, each [B, T + M]."""
    if batch.noised is None:
        flag = torch.zeros_like(batch.tokens, dtype=torch.bool)
        return batch.tokens, batch.positions, batch.documents, batch.blocks, flag
    flag = torch.cat([torch.zeros_like(batch.tokens), torch.ones_like(batch.noised)], 1).bool()
    cat = lambda a, b: torch.cat([a, b], 1)
    return (cat(batch.tokens, batch.noised), cat(batch.positions, batch.noised_positions),
            cat(batch.documents, batch.noised_documents), cat(batch.blocks, batch.noised_blocks), flag)


def dense_mask(documents: Tensor, positions: Tensor, blocks: Tensor, flag: Tensor) -> Tensor:
    """Boolean mask [B, 1, S, S]."""
    q, k = (lambda v: v[:, :, None]), (lambda v: v[:, None, :])
    seen = visibility(q(documents), k(documents), q(positions), k(positions), q(blocks), k(blocks), q(flag), k(flag))
    return seen[:, None]


def flex_attention(documents: Tensor, positions: Tensor, blocks: Tensor, flag: Tensor):
    """An `attend` on FlexAttention with a block-sparse mask: for GPUs."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention as flex
    batch, length = documents.shape

    def rule(b, h, q, k):
        return visibility(documents[b, q], documents[b, k], positions[b, q], positions[b, k],
                          blocks[b, q], blocks[b, k], flag[b, q], flag[b, k])
    mask = create_block_mask(rule, batch, None, length, length, device=documents.device)
    compiled = torch.compile(flex)
    return lambda q, k, v: compiled(q, k, v, block_mask=mask, enable_gqa=q.shape[1] != k.shape[1])


def losses(model: Llama, batch: Batch, use_flex: bool = False) -> tuple[Tensor, Tensor]:
    """Mean next-token loss of the clean half and mean masked-token loss of the noised half, in nats."""
    tokens, positions, documents, blocks, flag = joined(batch)
    attend = (flex_attention if use_flex else lambda *v: masked_attention(dense_mask(*v)))(documents, positions, blocks, flag)
    hidden = model.hidden(tokens, positions, attend)
    length = batch.tokens.shape[1]
    logits = F.linear(hidden[:, :length], model.head()).float()
    ntp = F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORE, reduction="none")
    weights = batch.weights.flatten()
    ntp = (ntp * weights).sum() / weights.sum().clamp(min=1)
    if batch.noised is None:
        return ntp, torch.zeros_like(ntp)
    logits = F.linear(hidden[:, length:], model.head()).float()
    targets = batch.noised_targets.flatten()
    matp = F.cross_entropy(logits.flatten(0, 1), targets, ignore_index=IGNORE, reduction="sum")
    return ntp, matp / (targets != IGNORE).sum().clamp(min=1)
