"""Put visual features where their placeholders stand."""

from typing import TypeVar

from torch import Tensor

from kinema.errors import InputError
from kinema.processors.inputs import Visual

Wanted = TypeVar("Wanted")


def expect_visual(visual: Visual, wanted: type[Wanted]) -> Wanted:
    """Visual inputs of the kind that a model takes.

    Raises:
        InputError: if they are of another kind.
    """
    if not isinstance(visual, wanted):
        raise InputError(
            f"this model takes {wanted.__name__}, got {type(visual).__name__}; "
            "make inputs with its own processor."
        )
    return visual


def place_visual(text: Tensor, visual: Tensor, visual_mask: Tensor) -> Tensor:
    """Replace the embeddings of placeholders by visual features, in order.

    Args:
        text: (B, N, D), embeddings of all tokens.
        visual: (K, D), features of the kept visual tokens of the batch, row by row.
        visual_mask: (B, N) bool, True at the placeholders.

    Returns:
        (B, N, D), a new tensor.

    Raises:
        InputError: if there are not exactly as many placeholders as features.
    """
    num_placeholders = int(visual_mask.sum())
    if num_placeholders != len(visual):
        raise InputError(
            f"{num_placeholders} placeholders for {len(visual)} visual features. Make both with the "
            "processor of this model, and do not cut the text between them."
        )
    return text.masked_scatter(visual_mask[..., None], visual.to(text.dtype))
