"""What lies between published parts before its training: drawn as BERT was."""

import torch
from torch import nn

_STD = 0.02
"""Of all that is drawn."""


@torch.no_grad()
def draw_bridge(part: nn.Module, generator: torch.Generator) -> None:
    """Matrices and queries from a normal distribution, biases zero, norms one; in place."""
    for module in part.modules():
        if isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
            continue
        for parameter in module.parameters(recurse=False):
            drawn = torch.randn(parameter.shape, generator=generator) * _STD
            parameter.copy_(torch.zeros_like(drawn) if parameter.ndim == 1 else drawn)
