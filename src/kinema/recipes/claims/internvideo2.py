"""InternVideo2 (arXiv 2403.15377): stage 1 before stage 2, and sound beside pictures.

Arms and scores are those of ``nano_internvideo2_claims``. The toybox has no speech, so what speech adds is
not measured.
"""

from collections.abc import Sequence
from dataclasses import replace

from kinema.recipes.claims.lab import Claim, Experiment, Scores
from kinema.recipes.nano_internvideo2 import train_nano_stage1
from kinema.recipes.nano_internvideo2_claims import VARIANTS, score_variant
from kinema.recipes.nano_internvideo2_parts import train_nano_parts
from kinema.recipes.nano_languagebind import NanoRun

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
)


def prepare(run: NanoRun, seeds: Sequence[int]) -> None:
    """Train teachers, words and ears, and the student of each seed, unless they are there."""
    parts = train_nano_parts(_home(run))
    for seed in seeds:
        train_nano_stage1(_seeded(run, seed), parts)


def run_arm(run: NanoRun, name: str, seed: int) -> Scores:
    """Train one variant of stage 2, and stage 1 before it where it starts from there."""
    return score_variant(_seeded(run, seed), train_nano_parts(_home(run)), name)


def _seeded(run: NanoRun, seed: int) -> NanoRun:
    return replace(run, seed=seed, out_dir=_home(run).out_dir / f"seed{seed}")


def _home(run: NanoRun) -> NanoRun:
    return replace(run, out_dir=run.out_dir / EXPERIMENT.name)


EXPERIMENT = Experiment(
    name="internvideo2", arms=tuple(VARIANTS), run_arm=run_arm, claims=CLAIMS, prepare=prepare
)
