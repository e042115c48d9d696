"""How often the right thing is found: recall at the first few places."""

from collections.abc import Sequence

from torch import Tensor


def recall_at(similarity: Tensor, places: Sequence[int] = (1, 5, 10)) -> dict[int, float]:
    """Share of queries whose own item is among the first k.

    An item as similar as the right one stands before it: whoever gives everything the same vector finds
    nothing.

    Args:
        similarity: (Q, Q), of query i to item j; item i is the right one.
        places: each k.

    Returns:
        k to the share, between 0 and 1.

    Raises:
        ValueError: if there are not as many items as queries.
    """
    if similarity.ndim != 2 or similarity.shape[0] != similarity.shape[1]:
        raise ValueError(f"each query needs one item of its own, got {tuple(similarity.shape)}.")
    rank = (similarity >= similarity.diagonal()[:, None]).sum(-1)  # (Q,) 1 for what is found first
    return {k: (rank <= k).double().mean().item() for k in places}
