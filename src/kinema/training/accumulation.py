"""The gradient of a batch that comes in parts: one after the other, and beside those of other processes."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import torch

from kinema.distributed.gather import largest_of_all, sum_of_all
from kinema.distributed.world import world_size
from kinema.errors import ConfigError, DataError
from kinema.training.losses import Loss
from kinema.training.parallel import Trainee


@runtime_checkable
class DivisibleLoss(Protocol):
    """A mean over things that can be counted, so that the means of parts make that of the whole."""

    def __call__(self, model: Any, inputs: Any) -> torch.Tensor:
        """The mean over the batch."""

    def count(self, inputs: Any) -> int:
        """Over how many things the mean of this batch goes."""


def split(samples: Sequence[Any], max_samples: int | None) -> list[Sequence[Any]]:
    """Parts of at most so many samples, in order; one part if there is no limit."""
    if max_samples is None:
        return [samples]
    return [samples[first : first + max_samples] for first in range(0, len(samples), max_samples)]


def check_divisible(loss: Loss, batch_size: int, max_samples: int | None) -> None:
    """Refuse to cut what cannot be cut.

    Raises:
        ConfigError: if a batch has more samples than go at once, and the loss compares them with each other.
    """
    if max_samples is not None and batch_size > max_samples and not isinstance(loss, DivisibleLoss):
        raise ConfigError(
            f"{type(loss).__name__} needs its batch of {batch_size} samples whole, and max_samples_at_once "
            f"is {max_samples}. Leave it out; a contrastive loss has a chunk_size of its own."
        )


def backward(loss: Loss, trainee: Trainee, parts: Sequence[Any]) -> float:
    """Add the gradients of the whole batch's loss to those of the model.

    The whole is the mean over all that ``count`` counts, however it is spread over parts and processes: a
    part weighs as much as it has of it. Gradients are those of this process times the number of processes, so
    that their mean, which sharded parts take here and others in ``PartOptimizer.step``, is that of the whole.

    Returns:
        The loss of the whole batch, equal in every process.

    Raises:
        DataError: if the batch has nothing to learn from in any process.
    """
    counts = [loss.count(part) if isinstance(loss, DivisibleLoss) else 1 for part in parts]
    total = sum_of_all(sum(counts), trainee.device)
    if not total:
        raise DataError(
            "no token of the batch has a label: every sample ends before an answer, or was left out."
        )
    whole = 0.0
    for part, count in _in_step(trainee, parts, counts):
        share = trainee(loss, part) * (count / total)
        trainee.scaler.scale(share * world_size()).backward()
        whole += share.item()
    return sum_of_all(whole, trainee.device)


def _in_step(trainee: Trainee, parts: Sequence[Any], counts: Sequence[int]) -> Iterator[tuple[Any, int]]:
    """Parts that have something, with how much; where shards go around, as many as the other processes."""
    useful = [(part, count) for part, count in zip(parts, counts, strict=True) if count]
    yield from useful
    if not trainee.is_sharded:
        return
    if useful:
        trainee.stand_in = useful[-1][0]
    for _ in range(largest_of_all(len(useful), trainee.device) - len(useful)):
        if trainee.stand_in is None:
            raise DataError("the first batch of a process has no label, and its parts are sharded; shuffle.")
        yield trainee.stand_in, 0
