"""Hard negatives: what is taken for a match most easily (ALBEF, arXiv 2107.07651). B pairs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kinema.errors import DataError

_LEAST_WEIGHT = 1e-8
"""Where the own pair is all that the softmax sees, something else must be drawn still. The released code adds
1e-4 inside the exponent instead, which changes nothing."""


@dataclass(frozen=True, kw_only=True)
class Negatives:
    """For each pair what belongs to another one."""

    media: Tensor
    """(B,) row of the media that text i is paired with."""
    text: Tensor
    """(B,) row of the text that media i are paired with."""


def negative_weights(similarity: Tensor, ids: Tensor) -> Tensor:
    """How likely each row draws each column: the more alike, the likelier; never what has the same id.

    Args:
        similarity: (B, B), cosines over the temperature.
        ids: (B,), of what each row and column is about.

    Returns:
        (B, B) float32, not normalised.
    """
    weights = similarity.float().softmax(-1).clamp(min=_LEAST_WEIGHT)
    return weights.masked_fill(ids[:, None] == ids, 0)


def draw_negatives(similarity: Tensor, ids: Tensor, *, generator: torch.Generator | None = None) -> Negatives:
    """A negative for each text and each media, inside the batch of this process.

    Args:
        similarity: (B, B), media i to text j, cosines over the temperature.
        ids: (B,), of what each pair is about.
        generator: draws, on the CPU; None for torch's own.

    Raises:
        DataError: if all pairs are about one thing.
    """
    if bool((ids == ids[0]).all()):
        raise DataError(
            f"matching needs pairs of two different ids in every process; all {len(ids)} are "
            f"{ids[0].item()}. Make the batch larger, or its samples more varied."
        )
    drawn = [
        torch.multinomial(negative_weights(rows, ids).cpu(), 1, generator=generator)[:, 0].to(ids.device)
        for rows in (similarity.T, similarity)
    ]
    return Negatives(media=drawn[0], text=drawn[1])
