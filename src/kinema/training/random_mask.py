"""Which patches a network sees, drawn at random. B clips, N tokens of a clip with its class token."""

import torch
from torch import Tensor


def random_keep_mask(
    batch: int, num_patches: int, mask_ratio: float, *, generator: torch.Generator | None = None
) -> Tensor:
    """Hide a fraction of all patches of each clip, other ones in each (InternVideo2, stage 2).

    Args:
        batch: B.
        num_patches: N - 1.
        mask_ratio: fraction of the patches that is hidden, rounded down.
        generator: draws; None for torch's own.

    Returns:
        (B, N) bool on the CPU, True where a token is seen; the class token, which is first, always is.
    """
    num_hidden = int(num_patches * mask_ratio)
    order = torch.rand(batch, num_patches, generator=generator).argsort(-1)
    keep = torch.ones(batch, 1 + num_patches, dtype=torch.bool)
    return keep.scatter_(1, 1 + order[:, :num_hidden], False)
