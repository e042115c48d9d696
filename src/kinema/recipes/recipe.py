"""What a recipe is: stages, what they start from and learn from, and how one brings data of his own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import nn

from kinema.datasets.mixture import Mixture, mixture
from kinema.datasets.own import open_records
from kinema.datasets.own.place import is_remote, local_path
from kinema.errors import ConfigError
from kinema.models.loaded import Loaded
from kinema.processors.messages import Conversation
from kinema.recipes.published_data import PublishedData
from kinema.training.adapters import Adapter
from kinema.training.stage import Stage


class Finite(Protocol):
    """Samples that can be counted, by number."""

    def __len__(self) -> int:
        """How many there are."""

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        """One of them, its choices drawn from ``rng``."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What somebody asks of a recipe."""

    data: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Files of records for each stage, here or behind URLs; a stage without files is left out."""
    media: str | None = None
    """Folder that the paths in records start from; None is that of each file."""
    model: str | None = None
    """A whole model to go on from: hub id or folder."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """What to start from instead, by name."""
    batch_size: int | None = None
    """Samples a step, of all processes together; None takes the recipe's."""
    epochs: float | None = None
    """How often the data are seen; None takes the recipe's."""
    lora: bool = False
    """Whether the language model learns by low-rank updates beside its weights, see ``recipes.lora``."""
    half_base: bool = False
    """Whether what does not learn then is held in bfloat16, half the memory."""
    base_bits: Literal[4] | None = None
    """Four bits for the weights that have updates beside them (QLoRA); None keeps these as they are read."""
    seed: int = 42

    def __post_init__(self) -> None:
        if self.base_bits not in (None, 4):
            raise ConfigError(
                f"weights are held in 4 bits or as they are read, not in {self.base_bits} bits."
            )
        if self.base_bits is not None and not self.lora:
            raise ConfigError("weights in 4 bits stand still, so base_bits=4 needs the updates of lora=True.")

    @property
    def dtype(self) -> torch.dtype:
        """What weights are read as: float32, in which they learn."""
        return torch.bfloat16 if self.lora and self.half_base else torch.float32


@dataclass(frozen=True, kw_only=True)
class Outline:
    """What can be known of a model before any weight is read."""

    model: nn.Module
    """Its parameters have shapes only."""
    processor: Any = None
    """None where there is no vocabulary to make one with."""


class OpenData(Protocol):
    """Opens files of one's own."""

    def __call__(self, files: tuple[str, ...], /, *, media_dir: str | None) -> Finite:
        """All of their samples.

        Args:
            files: here or, where the form allows it, behind URLs.
            media_dir: where the paths in them start from; None is the folder of each file.

        Raises:
            DataError: if a file is broken, or has another form.
        """


class StageBuilder(Protocol):
    """Makes a stage of a recipe."""

    def __call__(self, name: str, source: Finite | PublishedData, request: Request) -> Stage:
        """The stage of that name.

        Args:
            name: a stage of the recipe.
            source: what it learns from.
            request: batch size and epochs, where they are not the recipe's.
        """


UPDATES = Adapter(parts=("language_model",), rank=64, alpha=16.0, dropout=0.05)
"""As the training code of DAMO-NLP-SG/VideoLLaMA3 has them (05cee23)."""


@dataclass(frozen=True, kw_only=True)
class SampleSize:
    """How much of a sample goes through each part of a model."""

    tokens: Mapping[str, int]
    """Positions of ``language_model``, patches of ``vision_encoder``, and the like."""
    labelled: int
    """Tokens that are learned."""


def _as_it_is(loaded: Loaded[Any, Any]) -> Loaded[Any, Any]:
    return loaded


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A complete training run."""

    name: str
    summary: str
    """One line."""
    data: Mapping[str, PublishedData | None]
    """What each stage was published to learn from, stages in order; None where it is always one's own."""
    parts: Mapping[str, str]
    """What a run starts from: what each part is, with an example."""
    optional_parts: Mapping[str, str] = field(default_factory=dict)
    """What may be given beside them, likewise; without it, it is drawn."""
    takes_model: bool = True
    """Whether a run can begin from a whole model, and then needs no parts."""
    outline: Callable[[Request], Outline]
    """The model with shapes only, for a plan; the published size where the request names none."""
    start: Callable[[Request], Loaded[Any, Any]]
    """The model as training begins, on the CPU in the dtype of the request, with its processor."""
    stage: StageBuilder
    open_data: OpenData = open_records
    """How one's own files are read."""
    merged: Callable[[Loaded[Any, Any]], Loaded[Any, Any]] = _as_it_is
    """What ``start`` gave, trained since, with updates of the recipe's own folded in; it goes on learning."""
    save: Callable[[Loaded[Any, Any], Path], None]
    """Writes that as a folder."""
    longest: Mapping[str, SampleSize] = field(default_factory=dict)
    """How long a sample of each stage gets, for a forecast of memory; without it the first sample is one."""
    updates: Adapter = UPDATES
    """What ``--lora`` puts beside weights: what was published for the recipe, if anything was."""
    twin: str | None = None
    """The recipe that trains the like at nano size, a key of ``registry.TWINS``."""
    on_gpus: Mapping[str, Any] = field(default_factory=dict)
    """How it is run on GPUs, where nobody says otherwise: fields of ``RunConfig``."""
    keeps: tuple[str, ...] = ()
    """Settings of a stage's processor that are saved with the model it leaves: how media are to be seen."""

    def stages(self, request: Request) -> list[Stage]:
        """The stages for which the request has data, in order; the published ones where it has none at all.

        Raises:
            ConfigError: if it has data for a stage that there is not, too few to fill a batch, or a folder of
                media that is not there.
            DataError: if a file is broken.
        """
        if unknown := sorted(request.data.keys() - self.data.keys()):
            raise ConfigError(
                f"{self.name} has no stage {', '.join(unknown)}; its stages are {', '.join(self.data)}."
            )
        media = request.media
        if media is not None and not is_remote(media) and not local_path(media).is_dir():
            raise ConfigError(f"--media {media}: there is no such folder, and media are looked for there.")
        sources: dict[str, Finite | PublishedData] = {}
        for name, published in self.data.items():
            if files := request.data.get(name):
                sources[name] = self.open_data(files, media_dir=request.media)
            elif not request.data and published is not None:
                sources[name] = published
        if not sources:
            raise ConfigError(f"{self.name} learns from your own data; name them with --data FILE.")
        stages = [self.stage(name, source, request) for name, source in sources.items()]
        return [replace(stage, order=stage.order.with_seed(request.seed)) for stage in stages]

    def expect_start(self, request: Request) -> None:
        """Raise ``ConfigError`` where a request names neither a whole model nor all parts, or both."""
        known = {**self.parts, **self.optional_parts}
        if unknown := sorted(request.parts.keys() - known.keys()):
            raise ConfigError(
                f"{self.name} has no part {', '.join(unknown)}; it has {', '.join(known) or 'none'}."
            )
        lacking = [
            f"--part {name}=... ({self.parts[name]})" for name in self.parts if name not in request.parts
        ]
        if self.takes_model and request.model is not None and not request.parts:
            return
        if request.model is not None or lacking or not self.parts:
            wanted = " and ".join(lacking) or "nothing else"
            begins = "--model alone, a whole model" if self.takes_model else "its parts alone"
            instead = f"{', or from its parts' if self.takes_model else ''}: {wanted}" if self.parts else ""
            raise ConfigError(f"{self.name} begins from {begins}{instead}.")


def num_steps(data: Finite | PublishedData, batch_size: int, epochs: float, name: str) -> int:
    """Whole batches in so many epochs.

    Raises:
        ConfigError: if the data do not fill a batch even once.
    """
    expect_full_batch(name, len(data), batch_size)
    return int(len(data) * epochs) // batch_size


def expect_full_batch(name: str, num_samples: int, batch_size: int) -> None:
    """Raise ``ConfigError`` where a batch of a stage would hold samples twice."""
    if num_samples < batch_size:
        raise ConfigError(
            f"stage {name}: {num_samples} samples do not fill a batch of {batch_size}; take a smaller batch "
            "with --batch-size, or more data."
        )


def mixture_of(source: Finite | PublishedData) -> Mixture:
    """What a stage learns from, by itself."""
    return source.as_mixture() if isinstance(source, PublishedData) else mixture((source, 1.0))


def save_loaded(save: Callable[..., None]) -> Callable[[Loaded[Any, Any], Path], None]:
    """How a recipe saves, by a family's function that takes model, processor and folder."""
    return lambda loaded, folder: save(loaded.model, loaded.processor, folder)
