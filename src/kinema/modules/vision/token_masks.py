"""Which patches of a clip a masked encoder sees. B clips, R rows drawn apart, n patches of a row.

Masks are True where a token is kept, the class token first, as ``InternVideo2Vision`` takes them.
"""

import torch
from torch import Tensor

from kinema.errors import ConfigError

_LEAST_WEIGHT = 1e-12


def mask_by_attention(
    attention: Tensor, mask_ratio: float, generator: torch.Generator | None = None
) -> Tensor:
    """Draw patches without replacement, each as likely as a teacher attended to it.

    "Semantic masking" of InternVideo2 (arXiv 2403.15377, 3.1; UMT, arXiv 2303.16058): not the most attended
    to, but a draw that favours them.

    Args:
        attention: (B, R, n), at least 0; what is drawn is drawn row by row, such as from each frame.
        mask_ratio: share that is dropped; of n patches, n - int(n · ratio) are kept.
        generator: where chance comes from; None for torch's own.

    Returns:
        (B, 1 + R·n) bool.
    """
    batch, _, num_patches = attention.shape
    weights = attention.flatten(0, 1).float() + _LEAST_WEIGHT  # what was not attended to can still be drawn
    kept = torch.multinomial(weights, _num_kept(num_patches, mask_ratio), generator=generator)
    mask = torch.zeros_like(weights, dtype=torch.bool).scatter_(1, kept, True)
    return _with_class_token(mask.view(batch, -1))


def _num_kept(num_patches: int, mask_ratio: float) -> int:
    if not 0 <= mask_ratio < 1:
        raise ConfigError(f"mask_ratio is a share from 0 to below 1, got {mask_ratio}.")
    return num_patches - int(num_patches * mask_ratio)


def _with_class_token(mask: Tensor) -> Tensor:
    return torch.cat([mask.new_ones(len(mask), 1), mask], dim=1)
