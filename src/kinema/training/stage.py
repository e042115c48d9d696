"""A stage of training as data: what learns at which rate, from what, how long."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kinema.datasets.mixture import Mixture
from kinema.errors import ConfigError
from kinema.training.losses import Loss, NextToken
from kinema.training.optimizer import OptimizerConfig
from kinema.training.order import Counted, Order
from kinema.training.packing import Packing
from kinema.training.schedule import Cosine


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of a recipe."""

    name: str
    learning_rates: Mapping[str, float]
    """Peak rate of each part of the model, a part of a part by its path; see ``build_optimizer``. A part that
    is not named is frozen."""
    data: Mixture
    num_steps: int
    batch_size: int
    """Samples a step, of all processes together."""
    order: Order = field(default_factory=Counted)
    """Which samples of the data make up each batch."""
    loss: Loss = field(default_factory=NextToken)
    schedule: Cosine = field(default_factory=Cosine)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    packing: Packing | None = None
    """How samples are laid end to end; None pads each to the longest of its batch."""
    processor: Mapping[str, object] = field(default_factory=dict)
    """Settings of the processor that this stage changes, such as ``video_merge_size`` or ``pruning``."""

    def __post_init__(self) -> None:
        if not self.learning_rates or any(rate <= 0 for rate in self.learning_rates.values()):
            raise ConfigError(
                f"stage {self.name}: learning_rates must name a part and a rate above 0, got "
                f"{dict(self.learning_rates)}; leave a part out to freeze it."
            )
        if self.num_steps < 1 or self.batch_size < 1:
            raise ConfigError(
                f"stage {self.name}: num_steps and batch_size must be at least 1, got {self.num_steps} and "
                f"{self.batch_size}."
            )
