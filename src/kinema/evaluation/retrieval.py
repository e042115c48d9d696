"""How often the right thing is found: recall at the first few places, and scores that it is taken from.

Q queries, I items.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def recall_at(
    similarity: Tensor, places: Sequence[int] = (1, 5, 10), *, matches: Tensor | None = None
) -> dict[int, float]:
    """Share of queries of which something right is among the first k.

    An item as similar as the right one stands before it: whoever gives everything the same vector finds
    nothing.

    Args:
        similarity: (Q, I), of query i to item j.
        places: each k.
        matches: (Q, I) bool, which items are right, at least one a query; None where that is item i alone.

    Returns:
        k to the share, between 0 and 1.

    Raises:
        ValueError: if a query has nothing that is right, or without ``matches`` there are not as many items.
    """
    if matches is None:
        if similarity.ndim != 2 or similarity.shape[0] != similarity.shape[1]:
            raise ValueError(f"each query needs one item of its own, got {tuple(similarity.shape)}.")
        matches = torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    if matches.shape != similarity.shape or not bool(matches.any(-1).all()):
        raise ValueError(
            f"matches is {tuple(matches.shape)} for {tuple(similarity.shape)} scores; every query needs at "
            "least one item that is right."
        )
    best = similarity.masked_fill(~matches, -torch.inf).amax(-1, keepdim=True)  # (Q, 1)
    rank = 1 + ((similarity >= best) & ~matches).sum(-1)  # (Q,) 1 for what is found first
    return {k: (rank <= k).double().mean().item() for k in places}


def dual_softmax(similarity: Tensor) -> Tensor:
    """Scores that count an item less where other queries want it more (arXiv 2109.04290).

    It knows all queries of a test at once, which a search does not: a number that used it says so.

    Args:
        similarity: (Q, I) cosines.

    Returns:
        (Q, I).
    """
    return similarity * similarity.softmax(0)


def class_scores(similarity: Tensor, num_classes: int) -> Tensor:
    """Scores of classes that several prompts stand for: the mean over them.

    Args:
        similarity: (Q, classes·prompts), the prompts of a class one after the other.
        num_classes: how many classes there are.

    Returns:
        (Q, classes).
    """
    return similarity.unflatten(-1, (num_classes, -1)).mean(-1)
