"""InternVideo2 (arXiv 2403.15377): stage 1 before stage 2, sound beside pictures, speech, the match head.

A seed trains one student, and four models of stage 2 with equal steps on the same films: ``seeing`` starts
from the student and has no ears, ``blank`` starts from nothing and has none either, ``hearing`` starts from
the student and gets the sound as well, ``told`` is ``seeing`` with captions that go on with what a speaker
says. Teachers, words and ears are trained once for all seeds. Scores are recall at 1 of texts that look for
films.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

from kinema.evaluation.toybox_films import film_retrieval
from kinema.models.internvideo2.stage2_checkpoint import load
from kinema.recipes.claims.lab import Claim, Experiment, Scores
from kinema.recipes.nano_internvideo2 import train_nano_stage1, train_nano_stage2
from kinema.recipes.nano_internvideo2_parts import train_nano_parts
from kinema.recipes.nano_languagebind import NanoRun

NUM_FILMS = 400
"""That are chosen from."""
NUM_GALLERIES = 3
"""How many times as many others are chosen from; every arm and seed is asked for the same."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to train stage 2."""

    starts_from_stage1: bool = True
    hears: bool = False
    has_speech: bool = False


ARMS = {
    "seeing": Arm(),
    "blank": Arm(starts_from_stage1=False),
    "hearing": Arm(hears=True),
    "told": Arm(has_speech=True),
}

CLAIMS = (
    Claim(
        name="stage 1 before stage 2, films found by what is seen",
        paper="InternVideo2, 3.1",
        with_it=("seeing", "seen"),
        without=("blank", "seen"),
    ),
    Claim(
        name="sound, films found by what is heard",
        paper="InternVideo2, 3.2",
        with_it=("hearing", "heard"),
        without=("seeing", "heard by eyes"),
    ),
    Claim(
        name="sound, films found by what is seen",
        paper="InternVideo2, 3.2",
        with_it=("hearing", "seen"),
        without=("seeing", "seen"),
    ),
    Claim(
        name="sound, by what is seen, matched",
        paper="InternVideo2, 3.2",
        with_it=("hearing", "seen, matched"),
        without=("seeing", "seen, matched"),
    ),
    Claim(
        name="speech in captions, films found by what is seen",
        paper="InternVideo2, 3.2",
        with_it=("told", "seen"),
        without=("seeing", "seen"),
    ),
    Claim(
        name="speech in captions, by what is seen and said",
        paper="InternVideo2, 3.2",
        with_it=("told", "seen and said"),
        without=("seeing", "seen and said"),
    ),
    Claim(
        name="match head, without ears, by what is seen",
        paper="InternVideo2, 3.2",
        with_it=("seeing", "seen, matched"),
        without=("seeing", "seen"),
    ),
    Claim(
        name="match head, with ears, by what is seen",
        paper="InternVideo2, 3.2",
        with_it=("hearing", "seen, matched"),
        without=("hearing", "seen"),
    ),
    Claim(
        name="match head, with ears, by what is seen and heard",
        paper="InternVideo2, 3.2",
        with_it=("hearing", "all, matched"),
        without=("hearing", "all"),
    ),
)


def prepare(run: NanoRun, seeds: Sequence[int]) -> None:
    """Train teachers, words and ears, and the student of each seed, unless they are there."""
    parts = train_nano_parts(_home(run))
    for seed in seeds:
        train_nano_stage1(_seeded(run, seed), parts)


def run_arm(run: NanoRun, name: str, seed: int) -> Scores:
    """Train one model of stage 2, and ask it for films."""
    arm, seeded = ARMS[name], _seeded(run, seed)
    parts = train_nano_parts(_home(run))
    start = train_nano_stage1(seeded, parts) if arm.starts_from_stage1 else None
    folder = train_nano_stage2(seeded, parts, start, hears=arm.hears, has_speech=arm.has_speech, name=name)
    found = [_scored(folder, run.rows(NUM_FILMS), gallery) for gallery in range(NUM_GALLERIES)]
    return {measure: mean(scores[measure] for scores in found) for measure in found[0]}


def _scored(folder: Path, num_films: int, gallery: int) -> Scores:
    path = folder.with_name(f"{folder.name}_{num_films}_{gallery}.json")
    if not path.exists():
        loaded = load(folder)
        found = film_retrieval(loaded.model, loaded.processor, num_films=num_films, seed=gallery)
        path.write_text(json.dumps({name: recall[1] for name, recall in found.items()}, indent=1))
    return dict(json.loads(path.read_text()))


def _seeded(run: NanoRun, seed: int) -> NanoRun:
    return replace(run, seed=seed, out_dir=_home(run).out_dir / f"seed{seed}")


def _home(run: NanoRun) -> NanoRun:
    return replace(run, out_dir=run.out_dir / EXPERIMENT.name)


EXPERIMENT = Experiment(
    name="internvideo2", arms=tuple(ARMS), run_arm=run_arm, claims=CLAIMS, prepare=prepare
)
