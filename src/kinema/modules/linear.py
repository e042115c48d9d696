"""A linear layer that takes the faster of two float32 kernels on an x86 CPU, at the same precision.

PyTorch gives such products to MKL, which keeps to AVX2 on CPUs that are not Intel's. oneDNN, in the same wheel,
takes AVX-512 where there is some: on one core of an AMD EPYC it computes 240 GFLOP/s where MKL computes 110, and
reads the weights of a single row at 30 GB/s, not 18. Its operator is the one that ``torch.compile`` emits; it
has no gradient, so training keeps PyTorch's own.
"""

import platform

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Linear(nn.Linear):
    """``nn.Linear``, computed by ``linear``."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D_out)."""
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``F.linear`` but for the order of its sums: (..., D), (D_out, D), (D_out,) -> (..., D_out)."""
    if _is_for_onednn(x, weight):
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return F.linear(x, weight, bias)


def _is_for_onednn(x: Tensor, weight: Tensor) -> bool:
    return (
        _HAS_ONEDNN
        and not torch.is_grad_enabled()
        and x.dtype == weight.dtype == torch.float32
        and x.device.type == weight.device.type == "cpu"
        and torch.backends.mkldnn.enabled
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()  # which chooses kernels itself
    )


_HAS_ONEDNN = (
    platform.machine().lower() in ("x86_64", "amd64")
    and torch.backends.mkldnn.is_available()
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
)
