"""Carry out a recipe: from what was asked of it to a folder with a model that can be asked."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kinema.distributed.world import joined_world, rank
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
    """
    recipe.expect_start(request)
    with joined_world(run.device):
        if rank() == 0:
            write_run_file(run.out_dir, recipe.name, request, stages, run)
        loaded = recipe.start(request)

        def save(stage: Stage) -> None:
            folder = run.out_dir / stage.name
            if rank() == 0 and not folder.exists():
                kept = {name: stage.processor[name] for name in recipe.keeps if name in stage.processor}
                recipe.save(replace(loaded, processor=loaded.processor.with_settings(**kept)), folder)

        train(loaded.model, loaded.processor, stages, run, on_stage_end=save)
    return run.out_dir / stages[-1].name
