"""Attention over many tokens on one thread of an x86 CPU, by oneDNN, at the same precision.

PyTorch's kernel for such attention multiplies by MKL, which is slow on CPUs that are not Intel's; see
``linear``. Here the two products of each head are linear layers, a block of queries at a time, so that no
whole square is held. On one core of an AMD EPYC, 2049 tokens of heads of 64, 88 and 128 take 0.72, 0.74 and
0.56 of the time, 577 take 0.86, and 257 would take 1.8. With more threads PyTorch deals heads out among them
and waits for them once, this 160 times a layer, so it is left to one.

B clips, A heads, N tokens, d head size.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from kinema.modules.linear import is_for_onednn, linear

FEWEST_TOKENS = 512
"""From how many on it is faster."""

_BLOCK = 256
_MULTIPLE = 64
"""Tokens are filled up to it, for oneDNN compiles and keeps code for every number of rows."""


def is_long(query: Tensor, key: Tensor) -> bool:
    """Whether this is the faster way, for (B, A, N, d) each, no gradient wanted."""
    enough = min(query.shape[2], key.shape[2]) >= FEWEST_TOKENS
    alone = torch.get_num_threads() == 1 and query.shape[1] == key.shape[1]
    return enough and alone and is_for_onednn(query, key)


def long_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Scaled dot-product attention without a mask, (B, A, N, d); N of keys may be another."""
    num_queries, num_keys = query.shape[2], key.shape[2]
    query = query * query.shape[-1] ** -0.5
    padded = (F.pad(x, (0, 0, 0, -x.shape[2] % _MULTIPLE)) for x in (query, key, value))
    query, key, value = (x.contiguous() for x in padded)
    output = torch.empty_like(query)
    heads = (x.flatten(0, 1) for x in (query, key, value, output))
    for q, k, v, out in zip(*heads, strict=True):  # (N, d) each
        columns = v.T.contiguous()
        for start in range(0, len(q), _BLOCK):
            block = slice(start, start + _BLOCK)
            scores = linear(q[block], k)
            scores[:, num_keys:] = float("-inf")
            out[block] = linear(scores.softmax(-1), columns)
    return output[:, :, :num_queries]
