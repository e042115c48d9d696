"""Tensors that go from process to process, with their gradients. W processes, B rows of each."""

from collections.abc import Iterable
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn

from kinema.distributed.world import rank, world_size

GatheredGradient = Literal["sum", "local"]
"""What a process gets back of the gradients at its rows: the sum over processes, or its own part alone."""


def gather_rows(rows: Tensor, *, gradient: GatheredGradient = "sum") -> Tensor:
    """The rows of all processes, in the order of their ranks; gradients find their way back.

    Every process is taken to compute the same loss from what it gathers, and ``average_gradients`` to follow.
    The gradient that a process gets back is therefore the sum over processes: the mean of the parameters'
    gradients is then that of one process with all rows. With ``local``, as in the released code of
    InternVideo2, it is 1 / W of that.

    Args:
        rows: (B, ...), as many in every process.
        gradient: see ``GatheredGradient``.

    Returns:
        (W·B, ...); ``rows`` itself where there is one process.
    """
    return rows if world_size() == 1 else _Gather.apply(rows, gradient)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give every process the mean gradient of all.

    A parameter that took no part in the loss here may have done so in another process: it counts as zero.
    """
    if world_size() == 1:
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        dist.all_reduce(parameter.grad)
        parameter.grad /= world_size()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, gradient: GatheredGradient) -> Tensor:
        ctx.gradient = gradient
        parts = [torch.empty_like(rows) for _ in range(world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        total = gradient.contiguous().clone()
        if ctx.gradient == "sum":
            dist.all_reduce(total)
        return total.chunk(world_size())[rank()], None
