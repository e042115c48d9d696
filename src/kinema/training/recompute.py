"""Activation checkpointing: layers that keep what enters them, and compute the rest again on the way back."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from kinema.training.parts import layers_of
from kinema.training.precision import Precision, takes_plain_attention, training_precision


@contextmanager
def recomputed_layers(model: nn.Module, device: str, precision: Precision) -> Iterator[None]:
    """Within, the layers of a model keep no activations; its numbers and its names stay as they are."""
    layers = list(layers_of(model).values())
    kept = partial(checkpoint, use_reentrant=False)
    if takes_plain_attention(device, precision):  # the kernel is chosen outside of the layer
        kept = partial(kept, context_fn=partial(_contexts, device, precision))
    for layer in layers:
        layer.forward = partial(_forward, kept, layer.forward)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _forward(kept: Any, forward: Any, *args: Any, **kwargs: Any) -> Any:
    return kept(forward, *args, **kwargs) if torch.is_grad_enabled() else forward(*args, **kwargs)


def _contexts(
    device: str, precision: Precision
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Around a layer the first time, and the second."""
    return nullcontext(), training_precision(device, precision)
