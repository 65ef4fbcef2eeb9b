"""Low-rank adapters on the layers' matrices; merged into plain weights on export."""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model import Llama

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class LoRALinear(nn.Module):
    """y = W x + (alpha / rank) B A x with W frozen; B starts at zero."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float):
        super().__init__()
        self.base = base
        self.base.requires_grad_(False)
        self.a = nn.Parameter(torch.empty(rank, base.in_features, device=base.weight.device))
        self.b = nn.Parameter(torch.zeros(base.out_features, rank, device=base.weight.device))
        nn.init.kaiming_uniform_(self.a, a=5 ** 0.5)
        self.scale = alpha / rank

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + F.linear(F.linear(x, self.a.to(x.dtype)), self.b.to(x.dtype)) * self.scale

    def merged(self) -> Tensor:
        return self.base.weight + (self.scale * (self.b @ self.a)).to(self.base.weight.dtype)


def add_lora(model: Llama, rank: int, alpha: float, mask_token: int) -> None:
    """Freezes the model, adds adapters to every layer; the mask token's embedding stays trainable."""
    model.requires_grad_(False)
    for layer in model.model.layers:
        for part in (layer.self_attn, layer.mlp):
            for name in TARGETS:
                if hasattr(part, name):
                    setattr(part, name, LoRALinear(getattr(part, name), rank, alpha))
    embedding = model.model.embed_tokens.weight
    embedding.requires_grad_(True)
    keep = torch.zeros(embedding.shape[0], 1, device=embedding.device)
    keep[mask_token] = 1
    embedding.register_hook(lambda grad: grad * keep)


def merged_state(model: Llama) -> dict:
    """The state dict of the same model without adapters."""
    state = model.state_dict()
    result = {k: v for k, v in state.items() if not k.endswith((".a", ".b")) and ".base." not in k}
    for name, module in model.named_modules():
        if isinstance(module, LoRALinear):
            result[name + ".weight"] = module.merged()
            if module.base.bias is not None:
                result[name + ".bias"] = module.base.bias
    return result
