"""Carry out a recipe: from what was asked of it to a folder with a model that can be asked."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import get_args

import torch
from torch import nn

from kinema.distributed.world import joined_world, own_device, rank
from kinema.inference.load import choose_device, parse_dtype
from kinema.models.registry import find_checkpoint, stored_dtype
from kinema.recipes.lora import expect_holdable, merged, with_updates
from kinema.recipes.recipe import Recipe, Request
from kinema.recipes.run_file import write_run_file
from kinema.training.loop import train
from kinema.training.precision import Precision, dtype_of
from kinema.training.run import RunConfig
from kinema.training.stage import Stage


def carry_out(recipe: Recipe, request: Request, stages: Sequence[Stage], run: RunConfig) -> Path:
    """Train, and save a whole model after each stage in a folder of its name; a run that stopped goes on.

    Args:
        recipe: what is done.
        request: what it starts from and learns from.
        stages: those of the recipe, settings changed perhaps.
        run: where and how.

    Returns:
        The folder of the finished model.

    Raises:
        ConfigError: if there is nothing to start from, or the folder holds another run.
        MissingExtraError: if the request needs a package that is not installed.
    """
    recipe.expect_start(request)
    expect_holdable(request, run)
    with joined_world(run.device):
        if rank() == 0:
            write_run_file(run.out_dir, recipe.name, request, stages, run)
        dtype = _dtype_to_save(request, run)
        loaded = recipe.start(request)
        if request.lora:
            with_updates(loaded.model, request, stages, recipe.updates)

        def save(stage: Stage) -> None:
            folder = run.out_dir / stage.name
            if rank() > 0 or folder.exists():
                return
            kept = {name: stage.processor[name] for name in recipe.keeps if name in stage.processor}
            whole = recipe.merged(loaded)
            if request.lora:
                whole = merged(loaded, recipe.outline(request).model)
            with _held_in(dtype, whole.model):
                recipe.save(replace(whole, processor=loaded.processor.with_settings(**kept)), folder)

        train(loaded.model, loaded.processor, stages, run, on_stage_end=save)
    return run.out_dir / stages[-1].name


def _dtype_to_save(request: Request, run: RunConfig) -> torch.dtype:
    """See ``RunConfig.save_dtype``."""
    if run.save_dtype is not None:
        return dtype_of(run.save_dtype)
    stored = None if request.model is None else stored_dtype(find_checkpoint(request.model))
    if stored is None or stored not in get_args(Precision):
        return request.dtype
    return parse_dtype(stored)


@contextmanager
def _held_in(dtype: torch.dtype, model: nn.Module) -> Iterator[None]:
    """Within, all weights have this dtype and lie on the host, where there is room for them a second time."""
    learned = {parameter: parameter.data for parameter in model.parameters()}
    try:
        for parameter, data in learned.items():
            parameter.data = data.to("cpu", dtype)
        yield
    finally:
        for parameter, data in learned.items():
            parameter.data = data


SAMPLE_TIMEOUT_S = 120.0
"""Seconds for one sample, beyond which it is left out; frames of an hour of 1080p are read in ten."""


def run_here(out_dir: Path, device: str | None, workers: int, seed: int) -> RunConfig:
    """How a recipe is run on this machine; on a GPU matrix products run in bfloat16.

    Args:
        out_dir: folder of the run.
        device: None for the best there is.
        workers: processes that read media ahead.
        seed: of what is drawn.
    """
    kind = device or choose_device().type
    return RunConfig(
        out_dir=out_dir,
        seed=seed,
        device=own_device(kind),
        precision="bfloat16" if kind.startswith("cuda") else "float32",
        num_workers=workers,
        sample_timeout_s=SAMPLE_TIMEOUT_S,
        log_every=10,
    )
