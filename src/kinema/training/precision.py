"""The arithmetic of a training step."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def training_precision(device: str, *, bfloat16: bool) -> Iterator[None]:
    """Matrix products in bfloat16 where asked, with float32 weights.

    On a CPU the fused attention kernel is slow backwards in bfloat16; the plain one trains items of up to a
    few hundred tokens two to four times as fast.
    """
    kind = torch.device(device).type
    with torch.autocast(kind, torch.bfloat16, enabled=bfloat16):
        if kind != "cpu" or not bfloat16:
            yield
            return
        before = torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()
        torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True)
        try:
            with sdpa_kernel(SDPBackend.MATH):
                yield
        finally:
            torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(before)
