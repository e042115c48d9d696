"""Run what is missing, two trials at a time, and report.

What is there already is neither trained nor scored again, so it can be stopped at any time. Two processes
share the work, a trial each; nothing of a trial depends on another.
"""

import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from functools import partial
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
        run_each(pool, jobs, [partial(_prepare, run, each.name, seeds) for each in experiments])
        trials = [
            partial(_trial, run, experiment.name, arm, seed)
            for seed in range(seeds)  # so that a run that is stopped has whole seeds
            for experiment in experiments
            for arm in experiment.arms
            if not trial_file(run, experiment, arm, seed).exists()
        ]
        run_each(pool, jobs, trials)


def run_each(pool: Executor, jobs: int, calls: Iterable[Callable[[], None]]) -> None:
    """Run calls in a pool of so many processes; none begins after one has raised, or was stopped.

    Raises:
        Exception: the first of those that calls raise, when those beside it are through.
    """
    under_way: set[Future[None]] = set()
    for call in calls:
        if len(under_way) == jobs:  # what waited in the pool would begin after a stop
            ended, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            _raise_from(ended)
        under_way.add(pool.submit(call))
    _raise_from(wait(under_way).done)


def _raise_from(ended: set[Future[None]]) -> None:
    for each in ended:
        each.result()


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
