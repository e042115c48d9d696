"""What a run will do, before it does: what learns, from what, for how long."""

from collections.abc import Sequence, Sized
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import numpy as np
from torch import nn

from kinema.datasets.joined import Joined
from kinema.datasets.mixture import Source
from kinema.processors.labels import IGNORE_INDEX
from kinema.processors.prepared import PreparedConversation
from kinema.recipes.lora import expect_holdable, with_updates
from kinema.recipes.published_data import DataGroup
from kinema.recipes.recipe import Recipe, Request, SampleSize
from kinema.recipes.registry import twin_command
from kinema.recipes.settings import plain
from kinema.training.memory import TrainingForecast, forecast_training
from kinema.training.optimizer import find_parts
from kinema.training.run import RunConfig
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
    memory: TrainingForecast | None
    """Bytes a device; None where it is not known how long samples are."""


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """All stages, of a model of so many parameters, updates not counted."""

    recipe: str
    num_parameters: int
    stages: tuple[PlannedStage, ...]
    left_out: tuple[str, ...]
    """Stages of the recipe that have no data: nobody's own, and none that are counted anywhere."""
    twin: str | None
    """The command that trains the like at nano size."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        memory = [None if stage.memory is None else stage.memory.to_dict() for stage in self.stages]
        stages = [
            asdict(stage) | {"memory_bytes": each} for stage, each in zip(self.stages, memory, strict=True)
        ]
        for stage in stages:
            del stage["memory"]
        return {
            "recipe": self.recipe,
            "num_parameters": self.num_parameters,
            "stages": stages,
            "left_out": list(self.left_out),
            "twin": self.twin,
        }


def plan_run(recipe: Recipe, request: Request, stages: Sequence[Stage], run: RunConfig) -> PlannedRun:
    """Look at a run; weights are counted on the meta device and none is read.

    Memory is that of batches as long as the recipe's longest sample of each stage, or where it has none as
    the first.

    Raises:
        ConfigError: if a stage names a part that the model has not, or the request and the run do not agree.
    """
    expect_holdable(request, run)
    model = recipe.outline(request).model
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    if request.lora:
        with_updates(model, request, stages, recipe.updates)
    return PlannedRun(
        recipe=recipe.name,
        num_parameters=num_parameters,
        left_out=tuple(name for name in recipe.data if name not in {stage.name for stage in stages}),
        twin=None if recipe.twin is None else twin_command(recipe.twin),
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
                memory=_memory(recipe, request, model, stage, run),
            )
            for stage in stages
        ),
    )


def _memory(
    recipe: Recipe, request: Request, model: nn.Module, stage: Stage, run: RunConfig
) -> TrainingForecast | None:
    size = recipe.longest.get(stage.name)
    if size is None and (found := first_sample(recipe, request, stage)) is not None:
        size = _size_of(found[0])
    if size is None:
        return None
    return forecast_training(model, stage, run, tokens=size.tokens, labelled=size.labelled)


def _size_of(prepared: PreparedConversation) -> SampleSize:
    labels = prepared.sample.labels
    return SampleSize(
        tokens={
            "language_model": len(prepared.sample.input_ids),
            "vision_encoder": sum(prod(item.grid_thw) for item in prepared.items),
        },
        labelled=0 if labels is None else int((labels != IGNORE_INDEX).sum()),
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
            what=_name(part),
            num_samples=len(part) if isinstance(part, Sized) else None,
            share=weight * share / total,
            not_public=part.not_public if isinstance(part, DataGroup) else (),
        )
        for source, weight in stage.data.parts
        for part, share in _joined(source)
    )


def _joined(source: Source) -> list[tuple[Source, float]]:
    """What is joined in a source, each with its share."""
    if not isinstance(source, Joined):
        return [(source, 1.0)]
    return [(part, count / len(source)) for part, count in source.parts]


def _name(source: object) -> str:
    if isinstance(source, DataGroup):
        return f"{source.kind}: {', '.join(source.names)}"
    files = getattr(source, "files", None) or [getattr(source, "file", type(source).__name__)]
    return ", ".join(map(str, files))
