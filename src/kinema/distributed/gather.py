"""Tensors that go from process to process, with their gradients. W processes, B rows of each."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

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
        rows: (B, ...); processes may have different numbers of them, but one at least.
        gradient: see ``GatheredGradient``.

    Returns:
        (sum of all B, ...), W·B where all have as many; ``rows`` itself where there is one process.
    """
    return rows if world_size() == 1 else _Gather.apply(rows, gradient)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give every process the mean gradient of all.

    A parameter that took no part in the loss here may have done so in another process: it counts as zero. The
    gradients of sharded ones have been averaged as they were computed.
    """
    if world_size() == 1:
        return
    whole = [parameter for parameter in parameters if not isinstance(parameter, DTensor)]
    gradients = []
    for parameter in whole:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        gradients.append(parameter.grad)
    sent = [dist.all_reduce(gradient, async_op=True) for gradient in gradients]
    for gradient, work in zip(gradients, sent, strict=True):
        work.wait()
        gradient /= world_size()


def sum_of_all(number: float, device: str) -> float:
    """The sum of a number over processes, which exchange it from their devices."""
    return _reduced(number, device, dist.ReduceOp.SUM)


def largest_of_all(number: int, device: str) -> int:
    """The largest of a number over processes."""
    return int(_reduced(number, device, dist.ReduceOp.MAX))


def is_same_for_all(numbers: Sequence[int], device: str) -> bool:
    """Whether all processes have these numbers, each as many of them."""
    if world_size() == 1:
        return True
    own = torch.tensor(numbers, device=device)
    largest = torch.stack([own, -own])
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    return torch.equal(largest[0], -largest[1])


def _reduced(number: float, device: str, operation: dist.ReduceOp.RedOpType) -> float:
    if world_size() == 1:
        return number
    told = torch.tensor(number, dtype=torch.float64, device=device)
    dist.all_reduce(told, operation)
    return told.item()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, gradient: GatheredGradient) -> Tensor:
        counts = _counts(rows)
        ctx.gradient, ctx.counts = gradient, counts
        padded = torch.cat([rows, rows.new_zeros(max(counts) - len(rows), *rows.shape[1:])])
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        total = gradient.contiguous().clone()
        if ctx.gradient == "sum":
            dist.all_reduce(total)
        return total.split(ctx.counts)[rank()], None


def _counts(rows: Tensor) -> list[int]:
    """How many rows each process has."""
    own = torch.tensor([len(rows)], device=rows.device)
    counts = [torch.empty_like(own) for _ in range(world_size())]
    dist.all_gather(counts, own)
    return [int(count) for count in counts]
