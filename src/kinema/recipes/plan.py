"""What a run will do, before it does: what learns, from what, for how long."""

from collections.abc import Sequence, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np

from kinema.recipes.published_data import DataGroup
from kinema.recipes.recipe import Recipe, Request
from kinema.recipes.settings import plain
from kinema.training.optimizer import find_parts
from kinema.training.stage import Stage


@dataclass(frozen=True, kw_only=True)
class PlannedPart:
    """A part of the model that learns."""

    name: str
    rate: float
    num_parameters: int


@dataclass(frozen=True, kw_only=True)
class PlannedSource:
    """What a share of the samples comes from."""

    what: str
    num_samples: int | None
    """None where the source has no end."""
    share: float
    """Of the samples of the stage."""
    not_public: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PlannedStage:
    """One stage."""

    name: str
    num_steps: int
    batch_size: int
    parts: tuple[PlannedPart, ...]
    sources: tuple[PlannedSource, ...]
    processor: dict[str, Any]
    """Settings of the processor that the stage changes, in plain form."""


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """All stages, of a model of so many parameters."""

    recipe: str
    num_parameters: int
    stages: tuple[PlannedStage, ...]


def plan_run(recipe: Recipe, request: Request, stages: Sequence[Stage]) -> PlannedRun:
    """Look at a run; weights are counted on the meta device and none is read.

    Raises:
        ConfigError: if a stage names a part that the model has not.
    """
    model = recipe.outline(request).model
    return PlannedRun(
        recipe=recipe.name,
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        stages=tuple(
            PlannedStage(
                name=stage.name,
                num_steps=stage.num_steps,
                batch_size=stage.batch_size,
                parts=tuple(
                    PlannedPart(
                        name=name,
                        rate=stage.learning_rates[name],
                        num_parameters=sum(parameter.numel() for parameter in parameters),
                    )
                    for name, parameters in find_parts(model, stage.learning_rates).items()
                ),
                sources=_sources(stage),
                processor=plain(dict(stage.processor)),
            )
            for stage in stages
        ),
    )


def first_sample(recipe: Recipe, request: Request, stage: Stage) -> tuple[Any, Any] | None:
    """The first sample of a stage with its labels, and the processor that made it.

    Returns:
        None where the data or the vocabulary are not here, or the processor makes no samples of text.

    Raises:
        KinemaError: if the sample cannot be read.
    """
    processor = recipe.outline(request).processor
    if not request.data or processor is None or not hasattr(processor, "prepare"):
        return None
    processor = processor.with_settings(**stage.processor)
    talk = stage.data.sample(stage.order.batch(0, stage.batch_size)[0], np.random.default_rng(0))
    return processor.prepare(talk, with_labels=True), processor


def _sources(stage: Stage) -> tuple[PlannedSource, ...]:
    total = sum(weight for _, weight in stage.data.parts)
    return tuple(
        PlannedSource(
            what=_name(source),
            num_samples=len(source) if isinstance(source, Sized) else None,
            share=weight / total,
            not_public=source.not_public if isinstance(source, DataGroup) else (),
        )
        for source, weight in stage.data.parts
    )


def _name(source: object) -> str:
    if isinstance(source, DataGroup):
        return f"{source.kind}: {', '.join(source.names)}"
    files = getattr(source, "files", None)
    return ", ".join(map(str, files)) if files else type(source).__name__
