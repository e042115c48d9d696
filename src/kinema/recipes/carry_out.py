"""Carry out a recipe: from what was asked of it to a folder with a model that can be asked."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kinema.distributed.world import joined_world, own_device, rank
from kinema.inference.load import choose_device
from kinema.recipes.lora import expect_holdable, merged, with_updates
from kinema.recipes.recipe import Recipe, Request
from kinema.recipes.run_file import write_run_file
from kinema.training.loop import train
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
        loaded = recipe.start(request)
        if request.lora:
            with_updates(loaded.model, request, stages)

        def save(stage: Stage) -> None:
            folder = run.out_dir / stage.name
            if rank() > 0 or folder.exists():
                return
            kept = {name: stage.processor[name] for name in recipe.keeps if name in stage.processor}
            whole = merged(loaded, recipe.outline(request).model) if request.lora else loaded
            recipe.save(replace(whole, processor=loaded.processor.with_settings(**kept)), folder)

        train(loaded.model, loaded.processor, stages, run, on_stage_end=save)
    return run.out_dir / stages[-1].name


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
