"""Attention over items packed end to end, without a mask over the pack.

P packed tokens, A heads, d head size. Segments of one length that follow one another, such as the frames of a
video, become one batched call; memory grows with the longest item, never with the square of the pack.
"""

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor
from torch.nn import functional as F

from kinema.modules.long_attention import is_long, long_attention


def packed_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    lengths: Sequence[int],
    *,
    causal: bool = False,
    window: int | None = None,
) -> Tensor:
    """Attend inside each segment of a pack, never across.

    Args:
        query: (P, A, d).
        key: (P, A_kv, d), A a multiple of A_kv.
        value: (P, A_kv, d).
        lengths: tokens of each segment, P in sum.
        causal: whether a token sees only those before it in its segment.
        window: how many tokens it sees at most then, itself among them; None for all.

    Returns:
        (P, A, d).

    Raises:
        ValueError: if the segments do not cover the pack.
    """
    if sum(lengths) != len(query):
        raise ValueError(f"segments of {sum(lengths)} tokens in all do not cover a pack of {len(query)}.")
    outputs, start = [], 0
    for length, run in groupby(lengths):
        count = len(list(run))
        span = slice(start, start + count * length)
        batch = [x[span].unflatten(0, (count, length)).transpose(1, 2) for x in (query, key, value)]
        mask = None
        if window is not None and length > window:
            mask = windowed_mask(torch.arange(length, device=query.device), length, window)
        outputs.append(attention(*batch, causal=causal, mask=mask).transpose(1, 2).flatten(0, 1))
        start = span.stop
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def windowed_mask(positions: Tensor, num_keys: int, window: int) -> Tensor:
    """What each position sees: itself and those before it, as many as the window in all.

    Args:
        positions: (N,) of the queries.
        num_keys: K, whose positions count from 0.
        window: at least 1.

    Returns:
        (N, K) bool.
    """
    ours, theirs = positions[:, None], torch.arange(num_keys, device=positions.device)
    return (theirs <= ours) & (theirs > ours - window)


def attention(
    query: Tensor, key: Tensor, value: Tensor, *, causal: bool = False, mask: Tensor | None = None
) -> Tensor:
    """Scaled dot-product attention, (B, A, N, d); fewer key than query heads are shared by groups."""
    grouped = query.shape[1] != key.shape[1]
    if grouped and query.shape[2] == 1:
        rows = query.reshape(
            len(query), key.shape[1], -1, query.shape[3]
        )  # a group as rows: keys are read once
        return attention(rows, key, value, mask=mask).reshape(query.shape)
    if not causal and mask is None and is_long(query, key):
        return long_attention(query, key, value)
    return F.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=causal and mask is None, enable_gqa=grouped
    )
