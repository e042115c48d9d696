"""Tensors that go from process to process, with their gradients. W processes, B rows of each."""

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from kinema.distributed.world import rank, world_size


def gather_rows(rows: Tensor) -> Tensor:
    """The rows of all processes, in the order of their ranks; gradients find their way back.

    Every process is taken to compute the same loss from what it gathers, and ``average_gradients`` to follow.
    The gradient that a process gets back is therefore the sum over processes: the mean of the parameters'
    gradients is then that of one process with all rows.

    Args:
        rows: (B, ...), as many in every process.

    Returns:
        (W·B, ...); ``rows`` itself where there is one process.
    """
    return rows if world_size() == 1 else _Gather.apply(rows)


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
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total.chunk(world_size())[rank()]
