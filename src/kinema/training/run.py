"""How a recipe is run here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from kinema.errors import ConfigError
from kinema.training.precision import Precision

TrackerName = Literal["tensorboard", "wandb", "trackio"]


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """How a recipe is run here; nothing in it changes what is learned, but for rounding."""

    out_dir: Path
    seed: int = 0
    device: str = "cpu"
    precision: Precision = "float32"
    """Of matrix products; what learns is held in float32. In float16 the loss is scaled, so that small
    gradients are not lost, and a step whose gradients overflow is left out: ``max_skipped_steps`` counts it
    once the scale is down to 1."""
    activation_checkpointing: bool = False
    """Whether a layer keeps only what enters it, and computes the rest again on the way back: less memory for
    a third more work."""
    compile: bool = False
    """Whether layers are compiled (``torch.compile``) when they first run: minutes at the start, then faster
    steps on a GPU. Needs a C++ compiler, or Triton's."""
    shard: tuple[str, ...] = ()
    """Parts whose weights, gradients and optimizer states are spread over the processes (FSDP2), such as
    ``language_model``; all others are held whole by each. A part must then take part in every batch of every
    process: towers that some batches do not need are none."""
    num_workers: int = 1
    """Processes that draw and encode batches ahead; 0 does it in the training process."""
    sample_timeout_s: float | None = None
    """Seconds that one sample may take to be drawn and encoded, in a process that is ended beyond; the sample
    is bad then. None waits for ever."""
    max_bad_share: float = 0.05
    """Share of samples, of a hundred at least, that may be bad: unreadable, malformed, or too slow. They are
    left out, counted, and named in ``bad_samples.jsonl``; more of them end the run, and so do a hundred in a
    row, whatever their share."""
    max_samples_at_once: int | None = None
    """Samples that go through the model together; gradients of a larger batch are accumulated. Where a stage
    packs, a row of it goes through together."""
    log_every: int = 20
    """Steps from one line of the log to the next."""
    save_every: int = 500
    """Steps from one checkpoint to the next."""
    save_every_s: float = 1800.0
    """Seconds after which there is one anyway, where steps are slow."""
    keep_checkpoints: int = 2
    """Checkpoints that are kept, the last ones."""
    max_skipped_steps: int = 0
    """Steps of a run that may be left out because loss or gradient are not finite; one more ends it."""
    save_dtype: Precision | None = None
    """Of the weights of a finished model; None takes that of the model that the run started from, or where
    this has several or was put together from parts, the one in which they were read to be trained.
    Checkpoints, and stages that follow, keep what is learned as it is."""
    trackers: tuple[TrackerName, ...] = ()
    """Where the numbers of the log go beside it."""

    def __post_init__(self) -> None:
        if self.max_samples_at_once is not None and self.max_samples_at_once < 1:
            raise ConfigError(f"max_samples_at_once {self.max_samples_at_once} must be at least 1.")
        if self.sample_timeout_s is not None and self.sample_timeout_s <= 0:
            raise ConfigError(f"sample_timeout_s must be above 0, or None; got {self.sample_timeout_s}.")
        if not 0 <= self.max_bad_share <= 1:
            raise ConfigError(f"max_bad_share is a share from 0 to 1, got {self.max_bad_share}.")
        if self.log_every < 1 or self.save_every < 1 or self.keep_checkpoints < 1:
            raise ConfigError(
                f"log_every {self.log_every}, save_every {self.save_every} and keep_checkpoints "
                f"{self.keep_checkpoints} must be at least 1."
            )
        if self.save_every_s <= 0 or self.max_skipped_steps < 0:
            raise ConfigError(
                f"save_every_s {self.save_every_s} must be above 0, and max_skipped_steps "
                f"{self.max_skipped_steps} at least 0."
            )
        if unknown := set(self.trackers) - set(get_args(TrackerName)):
            raise ConfigError(
                f"trackers are {', '.join(get_args(TrackerName))}, not {', '.join(sorted(unknown))}."
            )
