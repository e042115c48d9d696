"""A model as this process trains it: on its device, whole or a share of it, compiled, as a run says."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from kinema.distributed.world import world_size
from kinema.training.losses import Loss
from kinema.training.parts import layers_of
from kinema.training.precision import training_precision
from kinema.training.recompute import recomputed_layers
from kinema.training.run import RunConfig
from kinema.training.sharding import Shell, shard


class Trainee(nn.Module):
    """Wraps a model, so that whatever a loss asks of it happens in one forward pass, and can be sharded."""

    def __init__(self, model: nn.Module, run: RunConfig) -> None:
        super().__init__()
        self.device, self.precision = run.device, run.precision
        self.shell = Shell(model) if run.shard and world_size() > 1 else None
        self.model: nn.Module = model if self.shell is None else self.shell.twin
        kind = torch.device(run.device).type
        self.scaler = torch.amp.GradScaler(kind, enabled=run.precision == "float16")
        self.stand_in: Any = None
        """A batch that this process has learned from, for when it has none and others do."""

    @property
    def is_sharded(self) -> bool:
        """Whether processes must go through it in step."""
        return self.shell is not None

    def forward(self, loss: Loss, inputs: Any) -> Tensor:
        """The loss of a batch, which may still be on the host."""
        with training_precision(self.device, self.precision):
            return loss(self.model, inputs.to(self.device))

    def whole(self) -> AbstractContextManager[None]:
        """Within, the model that was given has all its weights in every process, to be saved or evaluated."""
        return nullcontext() if self.shell is None else self.shell.filled()


@contextmanager
def trainee(model: nn.Module, run: RunConfig) -> Iterator[Trainee]:
    """A model made ready for training here; it has all its weights again on leaving.

    Raises:
        ConfigError: if a part to be sharded is none of the model.
    """
    made = Trainee(model, run)
    with ExitStack() as stack:
        if run.activation_checkpointing:
            stack.enter_context(recomputed_layers(made.model, run.device, run.precision))
        if run.compile:
            for layer in layers_of(made.model).values():
                layer.compile()
        if made.shell is None:
            made.to(run.device)
        else:
            shard(made, made.model, run.shard, run.device, run.precision)
        yield made.train()
        if made.shell is not None:
            made.shell.fill()
