"""Run what is missing, two trials at a time, and report.

What is there already is neither trained nor scored again, so it can be stopped at any time. Two processes
share the work, a trial each; nothing of a trial depends on another.
"""

import logging
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, set_start_method
from pathlib import Path
from typing import Annotated

import torch
import typer

from kinema.errors import ConfigError
from kinema.recipes.claims import internvideo2, video_llava, videollama3
from kinema.recipes.claims.lab import Experiment, outcomes, run_trial, trial_file
from kinema.recipes.claims.report import as_table, plot
from kinema.recipes.nano_languagebind import NanoRun

_LOG = logging.getLogger(__name__)

EXPERIMENTS = {
    each.name: each for each in (videollama3.EXPERIMENT, video_llava.EXPERIMENT, internvideo2.EXPERIMENT)
}


def main(
    out_dir: Annotated[Path, typer.Argument(metavar="OUT", help="Run it again to go on.")],
    *,
    only: Annotated[
        list[str] | None, typer.Option(help=f"Of {', '.join(EXPERIMENTS)}; can be repeated.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Of every arm.")] = 3,
    jobs: Annotated[int, typer.Option(help="Trials at a time, a core each.")] = 2,
    scale: Annotated[float, typer.Option(help="Factor on numbers of steps, such as 0.001 to try it.")] = 1.0,
    train: Annotated[bool, typer.Option(help="Or only print what is there.")] = True,
) -> None:
    """Train and score what is missing, then print the table; OUT/claims.md and OUT/claims.png keep it."""
    if unknown := sorted(set(only or ()) - EXPERIMENTS.keys()):
        raise typer.BadParameter(f"there is no {', '.join(unknown)}; there are {', '.join(EXPERIMENTS)}.")
    names = only or list(EXPERIMENTS)
    run = NanoRun(out_dir=out_dir, scale=scale)
    if train:
        _run_all(run, [EXPERIMENTS[name] for name in names], seeds, jobs)
    found = [row for name in names for row in outcomes(run, EXPERIMENTS[name], range(seeds))]
    if not found:
        raise typer.BadParameter(f"{out_dir} holds no scores yet.")
    table = as_table(found)
    (out_dir / "claims.md").write_text(table + "\n")
    plot(found, out_dir / "claims.png")
    typer.echo(table)


def _run_all(run: NanoRun, experiments: list[Experiment], seeds: int, jobs: int) -> None:
    if jobs < 1:
        raise ConfigError(f"jobs {jobs} must be at least 1.")
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_begin_worker) as pool:
        for done in [pool.submit(_prepare, run, experiment.name, seeds) for experiment in experiments]:
            done.result()
        trials = [
            (experiment, arm, seed)
            for seed in range(seeds)  # so that a run that is stopped has whole seeds
            for experiment in experiments
            for arm in experiment.arms
            if not trial_file(run, experiment, arm, seed).exists()
        ]
        for done in [pool.submit(_trial, run, each.name, arm, seed) for each, arm, seed in trials]:
            done.result()


def _begin_worker() -> None:
    torch.set_num_threads(1)
    set_start_method("fork", force=True)  # of the processes that draw samples: this one was spawned
    logging.basicConfig(level=logging.INFO, format="%(process)d %(message)s")


def _prepare(run: NanoRun, experiment: str, seeds: int) -> None:
    EXPERIMENTS[experiment].prepare(run, range(seeds))


def _trial(run: NanoRun, experiment: str, arm: str, seed: int) -> None:
    begun_s = time.process_time()
    run_trial(run, EXPERIMENTS[experiment], arm, seed)
    minutes = (time.process_time() - begun_s) / 60
    _LOG.info("%s, %s, seed %d: %.1f minutes of a processor", experiment, arm, seed, minutes)
