"""How a recipe is run here."""

from dataclasses import dataclass
from pathlib import Path

from kinema.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """How a recipe is run here; nothing in it changes what is learned, but for rounding."""

    out_dir: Path
    seed: int = 0
    device: str = "cpu"
    bfloat16: bool = False
    """Whether matrix products run in bfloat16, with float32 weights."""
    num_workers: int = 1
    """Processes that draw and encode batches ahead; 0 does it in the training process."""
    max_samples_at_once: int | None = None
    """Samples that go through the model together; gradients of a larger batch are accumulated."""
    log_every: int = 20
    save_every: int = 500

    def __post_init__(self) -> None:
        if self.max_samples_at_once is not None and self.max_samples_at_once < 1:
            raise ConfigError(f"max_samples_at_once {self.max_samples_at_once} must be at least 1.")
        if self.log_every < 1 or self.save_every < 1:
            raise ConfigError(
                f"log_every {self.log_every} and save_every {self.save_every} must be at least 1."
            )
