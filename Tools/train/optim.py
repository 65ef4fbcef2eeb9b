"""Muon for the layers' matrices, AdamW for the rest; warm-up, constant, linear decay."""
import torch
from torch import Tensor, nn


def orthogonalize(g: Tensor, dtype: torch.dtype, steps: int = 5) -> Tensor:
    """Newton-Schulz iteration in `dtype` towards the nearest semi-orthogonal matrix; g [n, rows, columns]."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = (g / (g.norm(dim=(-2, -1), keepdim=True) + 1e-7)).to(dtype)
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    for _ in range(steps):
        s = x @ x.mT
        x = a * x + (b * s + c * (s @ s)) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum, then orthogonalized updates; matrices of one shape are handled together."""

    def __init__(self, parameters, lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 0.0,
                 dtype: torch.dtype = torch.float32):
        super().__init__(parameters, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))
        self.dtype = dtype

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            shapes: dict = {}
            for p in group["params"]:
                if p.grad is not None:
                    shapes.setdefault(p.shape, []).append(p)
            for shape, parameters in shapes.items():
                updates = []
                for p in parameters:
                    state = self.state[p]
                    if "momentum" not in state:
                        state["momentum"] = torch.zeros_like(p)
                    m = state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                    updates.append(p.grad.lerp(m, group["momentum"]))
                scale = max(1.0, shape[0] / shape[1]) ** 0.5
                for p, update in zip(parameters, orthogonalize(torch.stack(updates), self.dtype)):
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.add_(update, alpha=-group["lr"] * scale)


def make_optimizers(model: nn.Module, kind: str, lr: float, adam_lr: float, weight_decay: float,
                    dtype: torch.dtype = torch.float32) -> list:
    """`kind` muon: matrices of the layers with Muon at `lr`, the rest AdamW at `adam_lr`; adamw: all at `lr`."""
    trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    if kind == "adamw":
        groups = [dict(params=[p for _, p in trained if p.ndim > 1], weight_decay=weight_decay),
                  dict(params=[p for _, p in trained if p.ndim < 2], weight_decay=0.0)]
        result = [torch.optim.AdamW([g for g in groups if g["params"]], lr=lr, betas=(0.9, 0.95))]
    else:
        matrices = [p for n, p in trained if p.ndim == 2 and "layers." in n]
        rest = [p for n, p in trained if not (p.ndim == 2 and "layers." in n)]
        result = [Muon(matrices, lr=lr, weight_decay=weight_decay, dtype=dtype),
                  torch.optim.AdamW(rest, lr=adam_lr, betas=(0.9, 0.95), weight_decay=0.0)]
    for optimizer in result:
        for group in optimizer.param_groups:
            group["base_lr"] = group["lr"]
    return result


def schedule(step: int, steps: int, warmup: int, decay: float, kind: str) -> float:
    """Factor on the learning rate: linear warm-up, then `wsd` (the last `decay` share falls linearly) or `cosine`."""
    import math
    if step < warmup:
        return (step + 1) / warmup
    if kind == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
    begin = steps * (1 - decay)
    return 1.0 if step < begin else max(0.0, (steps - step) / max(1, steps - begin))
