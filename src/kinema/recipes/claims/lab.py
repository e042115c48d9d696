"""How the laboratory works: arms that differ in one thing, several seeds of each, nothing done twice.

An arm of a seed is trained and scored into a file of its own; whoever starts the laboratory again finds it
there. A claim compares one score of one arm with one score of another, seed by seed.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from kinema.recipes.nano_languagebind import NanoRun

Scores = dict[str, float]
"""Shares from 0 to 1 by name."""

Measure = tuple[str, str]
"""An arm, and one of its scores."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a paper says helps."""

    name: str
    paper: str
    with_it: Measure
    without: Measure


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Arms of one model family, and the claims that they decide."""

    name: str
    arms: tuple[str, ...]
    run_arm: Callable[[NanoRun, str, int], Scores]
    """Trains and scores an arm: how and where, its name, the seed."""
    claims: tuple[Claim, ...]
    prepare: Callable[[NanoRun, Sequence[int]], None]
    """Makes what several arms or seeds start from."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came out of a claim, a number a seed."""

    claim: Claim
    with_it: tuple[float, ...]
    without: tuple[float, ...]

    @property
    def differences(self) -> tuple[float, ...]:
        """Seed by seed."""
        return tuple(first - second for first, second in zip(self.with_it, self.without, strict=True))


def trial_file(run: NanoRun, experiment: Experiment, arm: str, seed: int) -> Path:
    """Where the scores of an arm of a seed are, or will be."""
    return run.out_dir / experiment.name / "scores" / f"{arm.replace(' ', '_')}_seed{seed}.json"


def run_trial(run: NanoRun, experiment: Experiment, arm: str, seed: int) -> Scores:
    """The scores of an arm of a seed, trained and scored unless they are there."""
    path = trial_file(run, experiment, arm, seed)
    if not path.exists():
        scores = experiment.run_arm(run, arm, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(scores, indent=1))
        partial.replace(path)
    return dict(json.loads(path.read_text()))


def outcomes(run: NanoRun, experiment: Experiment, seeds: Sequence[int]) -> list[Outcome]:
    """What came out of each claim, over the seeds whose arms are both scored; nothing is trained.

    A claim of which no seed is scored yet is left out.
    """
    found = []
    for claim in experiment.claims:
        pairs = [
            (_score(run, experiment, claim.with_it, seed), _score(run, experiment, claim.without, seed))
            for seed in seeds
        ]
        both = [(first, second) for first, second in pairs if first is not None and second is not None]
        if both:
            with_it, without = zip(*both, strict=True)
            found.append(Outcome(claim=claim, with_it=with_it, without=without))
    return found


def _score(run: NanoRun, experiment: Experiment, measure: Measure, seed: int) -> float | None:
    arm, name = measure
    path = trial_file(run, experiment, arm, seed)
    return float(json.loads(path.read_text())[name]) if path.exists() else None


def spread(shares: Sequence[float], *, is_difference: bool = False) -> str:
    """Mean and standard deviation: ``52.1 % ± 1.3`` of shares, ``+4.0 ± 1.3`` points of differences."""
    deviation = f" ± {100 * stdev(shares):.1f}" if len(shares) > 1 else ""
    points = 100 * mean(shares)
    return (f"{points:+.1f}" if is_difference else f"{points:.1f} %") + deviation
