"""The nearest of what was found, looked at again together with the query (InternVideo2, arXiv 2403.15377).

Cosines compare vectors that were made apart; a match head reads text in the light of the media, which costs
more and tells more. V media, T texts.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from kinema.errors import ConfigError

UNSCORED = -100.0
"""Of pairs that were not looked at again."""


class MatchScores(NamedTuple):
    """Logits of "these belong together", in both directions of a search."""

    by_media: Tensor
    """(V, T): for each media its nearest texts, the rest ``UNSCORED``."""
    by_text: Tensor
    """(T, V): for each text its nearest media, the rest ``UNSCORED``."""


@torch.inference_mode()
def rerank(
    model: Any, media: Any, text: Any, similarity: Tensor, *, top_k: int = 128, batch_size: int = 32
) -> MatchScores:
    """Score the nearest of every query with a match head.

    Args:
        model: has ``match(media, text)``, such as stage 2 of InternVideo2.
        media: V features, as the model's ``see``, ``hear`` or ``join`` make them.
        text: T features, as its ``read`` makes them.
        similarity: (V, T), which says what is nearest: cosines, or their dual softmax.
        top_k: how many of each query are scored; the published headline numbers score 128.
        batch_size: pairs that are scored at a time.

    Raises:
        ConfigError: if ``top_k`` or ``batch_size`` is below 1.
    """
    if min(top_k, batch_size) < 1:
        raise ConfigError(f"top_k {top_k} and batch_size {batch_size} must be at least 1.")
    scores = []
    for rows in (similarity, similarity.T):
        nearest = rows.topk(min(top_k, rows.shape[1]), dim=1).indices  # (queries, k)
        queries = torch.arange(len(rows), device=rows.device)[:, None].expand_as(nearest)
        pairs = torch.stack([queries.flatten(), nearest.flatten()])
        media_of, text_of = pairs if rows is similarity else pairs.flip(0)
        logits = [
            model.match(media.rows(first), text.rows(second))[:, 1].float()
            for first, second in zip(media_of.split(batch_size), text_of.split(batch_size), strict=True)
        ]
        found = torch.full(rows.shape, UNSCORED, device=rows.device)
        scores.append(found.scatter(1, nearest, torch.cat(logits).view(nearest.shape)))
    return MatchScores(*scores)
