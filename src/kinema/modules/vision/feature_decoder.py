"""From a student's tokens to a teacher's: what distillation compares (InternVideo2, arXiv 2403.15377, 3.1).

N tokens, D width of the student, D_t of the teacher.
"""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from kinema.modules.linear import Linear

DecoderForm = Literal["linear", "mlp"]
"""One linear layer, or two with a GELU between them."""


class FeatureDecoder(nn.Module):
    """A linear layer or an MLP, a norm, and unit length."""

    def __init__(self, hidden_size: int, target_size: int, form: DecoderForm) -> None:
        super().__init__()
        self.head: nn.Module = Linear(hidden_size, target_size)
        if form == "mlp":
            self.head = nn.Sequential(Linear(hidden_size, hidden_size), nn.GELU(), self.head)
        self.norm = nn.LayerNorm(target_size)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(..., D) -> (..., D_t), unit vectors."""
        return F.normalize(self.norm(self.head(hidden_states)), dim=-1)
