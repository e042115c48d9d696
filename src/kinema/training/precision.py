"""The arithmetic of a training step."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

Precision = Literal["float32", "bfloat16", "float16"]


def dtype_of(precision: Precision) -> torch.dtype:
    """What matrix products run in."""
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]


@contextmanager
def training_precision(device: str, precision: Precision) -> Iterator[None]:
    """Matrix products in the given precision, whatever the weights have.

    On a CPU the fused attention kernel is slow backwards in bfloat16; the plain one trains items of up to a
    few hundred tokens two to four times as fast.
    """
    kind = torch.device(device).type
    is_lower = precision != "float32"
    with torch.autocast(kind, dtype_of(precision) if is_lower else None, enabled=is_lower):
        if not takes_plain_attention(device, precision):
            yield
            return
        before = torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()
        torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True)
        try:
            with sdpa_kernel(SDPBackend.MATH):
                yield
        finally:
            torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(before)


def takes_plain_attention(device: str, precision: Precision) -> bool:
    """Whether attention is computed by the plain kernel; see ``training_precision``."""
    return torch.device(device).type == "cpu" and precision != "float32"
