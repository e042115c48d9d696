"""A two-layer MLP from the width of a vision encoder to that of a language model ("mlp2x_gelu")."""

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.modules.linear import Linear


class MLPConnector(nn.Module):
    """Linear, exact GELU, Linear; the encoder's tanh GELU here would be wrong by 2e-4."""

    def __init__(self, visual_size: int, hidden_size: int) -> None:
        super().__init__()
        self.fc1 = Linear(visual_size, hidden_size)
        self.fc2 = Linear(hidden_size, hidden_size)

    def forward(self, features: Tensor) -> Tensor:
        """(M, D_vision) -> (M, D)."""
        return self.fc2(F.gelu(self.fc1(features)))

    @torch.no_grad()
    def draw(self, generator: torch.Generator) -> None:
        """Begin anew: uniform between plus and minus 1 / sqrt(inputs), as ``nn.Linear`` does."""
        for layer in (self.fc1, self.fc2):
            bound = 1 / sqrt(layer.weight.shape[1])
            for parameter in layer.parameters():
                parameter.copy_(torch.rand(parameter.shape, generator=generator) * 2 * bound - bound)
