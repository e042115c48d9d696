"""A two-layer MLP from the width of a vision encoder to that of a language model ("mlp2x_gelu")."""

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
