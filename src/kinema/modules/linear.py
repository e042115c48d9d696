"""A linear layer that takes the faster of two float32 kernels on an x86 CPU, at the same precision.

PyTorch gives such products to MKL, which is slow on CPUs that are not Intel's: one core of an AMD EPYC
computes 110 GFLOP/s with it and 240 with oneDNN, which comes in the same wheel, and reads the weights of a
single row at 18 and 30 GB/s; with a second core, only oneDNN reads it faster. Intel's CPUs were not measured.
The operator is the one that ``torch.compile`` emits; it has no gradient, so training keeps PyTorch's own.
``benchmarks/versus_transformers.py`` measures whole models.
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
    num_rows = x.shape[:-1].numel()
    whole = num_rows if num_rows <= _FEW_ROWS else num_rows - num_rows % _ROW_BLOCK
    if not whole or not is_for_onednn(x, weight):
        return F.linear(x, weight, bias)
    if whole == num_rows:
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    rows = x.reshape(num_rows, -1)
    parts = linear(rows[:whole], weight, bias), F.linear(rows[whole:], weight, bias)
    return torch.cat(parts).view(*x.shape[:-1], -1)


def is_for_onednn(x: Tensor, weight: Tensor) -> bool:
    """Whether such a product can go to oneDNN: float32 on an x86 CPU, without a gradient."""
    if torch.is_grad_enabled() or torch.compiler.is_compiling():  # a compiler chooses kernels itself
        return False
    on_cpu = x.device.type == weight.device.type == "cpu"
    in_float32 = x.dtype == weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return _HAS_ONEDNN and on_cpu and in_float32 and bool(torch.backends.mkldnn.enabled)


_FEW_ROWS, _ROW_BLOCK = 16, 64
"""oneDNN compiles code for every number of rows, half a megabyte each time, and keeps it. So it gets numbers
that come again: those of a decoding batch, and multiples of a block. The rest of the rows goes to MKL."""

_HAS_ONEDNN = (
    platform.machine().lower() in ("x86_64", "amd64")
    and torch.backends.mkldnn.is_available()
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
)
