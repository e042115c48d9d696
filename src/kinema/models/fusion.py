"""Put visual features where their placeholders stand."""

from torch import Tensor

from kinema.errors import InputError


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
