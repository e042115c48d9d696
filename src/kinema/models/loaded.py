"""A model with all that its checkpoint says about how to use it, so that nobody can pair the wrong two."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from torch import nn

from kinema.hub.generation import GenerationDefaults

Model = TypeVar("Model", bound=nn.Module)
Processor = TypeVar("Processor")


@dataclass(frozen=True, kw_only=True)
class Loaded(Generic[Model, Processor]):
    """What one checkpoint folder holds."""

    model: Model
    processor: Processor
    generation: GenerationDefaults | None
    """How it writes; None for a model that embeds, and writes nothing."""
    folder: Path
    """Where it was read from."""
    beside: tuple[tuple[Any, Any], ...] = ()
    """Network and processor for each other kind of media that the same weights embed."""
