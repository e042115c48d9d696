"""A batch that does not fit the device at once: its parts go through the model one after the other."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from kinema.errors import ConfigError
from kinema.training.losses import Loss
from kinema.training.precision import training_precision


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


def backward(loss: Loss, model: nn.Module, parts: Sequence[Any], *, device: str, bfloat16: bool) -> float:
    """Add the gradients of the whole batch's loss to those of the model.

    The whole is the mean over all that ``count`` counts, however it is spread over the parts: a part weighs
    as much as it has of it. A part that has nothing is skipped, unless no part has anything.

    Returns:
        The loss of the whole batch.
    """
    counts = [loss.count(part) for part in parts] if isinstance(loss, DivisibleLoss) else [1]
    total, whole = sum(counts), 0.0
    for part, count in zip(parts, counts, strict=True):
        if total and not count:
            continue
        with training_precision(device, bfloat16=bfloat16):
            share = loss(model, part.to(device)) * (count / total if total else 1.0)
        share.backward()
        whole += share.item()
    return whole
