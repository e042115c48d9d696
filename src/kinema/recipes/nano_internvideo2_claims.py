"""What stage 1, sound and the match head are worth, at the size of the toybox: ``nano_internvideo2``, three
seeds.

A seed trains one student, and three models of stage 2 with equal steps on the same films. ``seeing`` starts
from the student and has no ears, ``blank`` starts from nothing and has none either, ``hearing`` starts from
the student and gets the sound as well. Teachers, words and ears are trained once for all seeds.

    python -m kinema.recipes.nano_internvideo2_claims runs/nano_internvideo2_claims
"""

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev

import typer

from kinema.evaluation.toybox_films import chance_of_heard, film_retrieval
from kinema.models.internvideo2.stage2_checkpoint import load
from kinema.recipes.nano_internvideo2 import train_nano_stage1, train_nano_stage2
from kinema.recipes.nano_internvideo2_parts import train_nano_parts
from kinema.recipes.nano_languagebind import NanoRun


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to train stage 2."""

    starts_from_stage1: bool
    hears: bool


VARIANTS = {
    "seeing": Variant(starts_from_stage1=True, hears=False),
    "blank": Variant(starts_from_stage1=False, hears=False),
    "hearing": Variant(starts_from_stage1=True, hears=True),
}

Measure = tuple[str, str]
"""A variant, and one of the scores of ``film_retrieval``."""

CLAIMS: dict[str, tuple[Measure, Measure]] = {
    "stage 1 before stage 2": (("seeing", "seen"), ("blank", "seen")),
    "sound, for what is heard": (("hearing", "heard"), ("seeing", "heard by eyes")),
    "sound, for what is seen": (("hearing", "seen"), ("seeing", "seen")),
    "the same, with match head": (("hearing", "seen, matched"), ("seeing", "seen, matched")),
    "match head, without ears": (("seeing", "seen, matched"), ("seeing", "seen")),
    "match head, with ears": (("hearing", "seen, matched"), ("hearing", "seen")),
    "match head, seen and heard": (("hearing", "all, matched"), ("hearing", "all")),
}
"""What is said to be worth something: the measure with it, and the one without."""

Scores = dict[Measure, float]
"""Recall at 1 of one seed."""


def compare(
    run: NanoRun, *, num_seeds: int = 3, num_films: int = 400, num_galleries: int = 3
) -> list[Scores]:
    """Train and score all variants; what is there already is neither trained nor scored again.

    Args:
        run: how; its seed is the first.
        num_seeds: seeds of all but the parts that are trained once.
        num_films: that are chosen from.
        num_galleries: how many times as many others are chosen from; every variant and seed is asked for the
            same.

    Returns:
        Scores of each seed.
    """
    parts = train_nano_parts(run)
    seeds = range(run.seed, run.seed + num_seeds)
    runs = [replace(run, seed=seed, out_dir=run.out_dir / f"seed{seed}") for seed in seeds]
    return [_score_seed(each, parts, num_films, num_galleries) for each in runs]


def _score_seed(run: NanoRun, parts: Path, num_films: int, num_galleries: int) -> Scores:
    return {
        (name, measure): share
        for name in VARIANTS
        for measure, share in score_variant(
            run, parts, name, num_films=num_films, num_galleries=num_galleries
        ).items()
    }


def score_variant(
    run: NanoRun, parts: Path, name: str, *, num_films: int = 400, num_galleries: int = 3
) -> dict[str, float]:
    """Train one variant of a seed, stage 1 before it where it starts from there, and score it."""
    variant = VARIANTS[name]
    start = train_nano_stage1(run, parts) if variant.starts_from_stage1 else None
    folder = train_nano_stage2(run, parts, start, hears=variant.hears, name=name)
    found = [_scored(folder, num_films, gallery) for gallery in range(num_galleries)]
    return {measure: mean(recall[measure] for recall in found) for measure in found[0]}


def _scored(folder: Path, num_films: int, gallery: int) -> dict[str, float]:
    path = folder.with_name(f"{folder.name}_{num_films}_{gallery}.json")
    if not path.exists():
        loaded = load(folder)
        found = film_retrieval(loaded.model, loaded.processor, num_films=num_films, seed=gallery)
        path.write_text(json.dumps({name: recall[1] for name, recall in found.items()}, indent=1))
    return dict(json.loads(path.read_text()))


def summary(scores: list[Scores]) -> dict[str, tuple[str, str, str]]:
    """Of each claim the mean and spread over seeds: with it, without it, and of their difference."""
    return {
        claim: (
            _spread([row[with_it] for row in scores]),
            _spread([row[without] for row in scores]),
            _spread([row[with_it] - row[without] for row in scores], is_difference=True),
        )
        for claim, (with_it, without) in CLAIMS.items()
    }


def _spread(shares: list[float], *, is_difference: bool = False) -> str:
    """Mean and standard deviation: ``52.1 % ± 1.3`` of shares, ``+4.0 ± 1.3`` points of differences."""
    deviation = f" ± {100 * stdev(shares):.1f}" if len(shares) > 1 else ""
    points = 100 * mean(shares)
    return (f"{points:+.1f}" if is_difference else f"{points:.1f} %") + deviation


def _main(out_dir: Path, seeds: int = 3, scale: float = 1.0, films: int = 400, galleries: int = 3) -> None:
    """Train what is missing and print what each thing is worth, as recall at 1 of texts looking for films."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    run = NanoRun(out_dir=out_dir, scale=scale)
    scores = compare(run, num_seeds=seeds, num_films=films, num_galleries=galleries)
    typer.echo(f"{'':26} {'with':>14} {'without':>14} {'difference':>14}")
    for claim, cells in summary(scores).items():
        typer.echo(f"{claim:26} " + " ".join(f"{cell:>14}" for cell in cells))
    typer.echo(f"A film found by chance has the right sounds in {chance_of_heard(films):.1%}.")
    for variant, measure in scores[0]:
        each = "  ".join(f"{row[variant, measure]:.1%}" for row in scores)
        typer.echo(f"{variant:8} {measure:14} {each}")


if __name__ == "__main__":
    typer.run(_main)
