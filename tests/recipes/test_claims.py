"""The laboratory at a thousandth of its size: nothing is done twice, and arms differ in what they say."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest

from kinema.datasets.toybox import ToyboxImages
from kinema.recipes.claims import internvideo2, video_llava, videollama3
from kinema.recipes.claims.lab import Claim, Experiment, Outcome, outcomes, run_trial, spread
from kinema.recipes.claims.report import as_table, plot
from kinema.recipes.claims.run import EXPERIMENTS, run_each
from kinema.recipes.nano_internvideo2_parts import train_nano_parts
from kinema.recipes.nano_languagebind import NanoRun

CLAIM = Claim(name="sugar", paper="Cake, 1", with_it=("sweet", "taste"), without=("plain", "taste"))


def bakery(baked: list) -> Experiment:
    def bake(run: NanoRun, arm: str, seed: int) -> dict[str, float]:
        baked.append((arm, seed))
        return {"taste": (0.5 if arm == "sweet" else 0.25) + 0.01 * seed}

    return Experiment(
        name="cake", arms=("sweet", "plain"), run_arm=bake, claims=(CLAIM,), prepare=lambda run, seeds: None
    )


def test_a_trial_that_is_scored_is_not_run_again(tmp_path):
    baked, run = [], NanoRun(out_dir=tmp_path)
    first = run_trial(run, bakery(baked), "sweet", 0)
    assert run_trial(run, bakery(baked), "sweet", 0) == first == {"taste": 0.5}
    assert baked == [("sweet", 0)]


def test_a_claim_is_decided_over_the_seeds_that_have_both_arms(tmp_path):
    run, cake = NanoRun(out_dir=tmp_path), bakery([])
    assert outcomes(run, cake, range(3)) == []
    for arm, seed in [("sweet", 0), ("plain", 0), ("sweet", 1)]:
        run_trial(run, cake, arm, seed)
    (outcome,) = outcomes(run, cake, range(3))
    assert (outcome.with_it, outcome.without, outcome.differences) == ((0.5,), (0.25,), (0.25,))


def test_no_trial_begins_after_one_has_raised(tmp_path):
    first, last = tmp_path / "first", tmp_path / "last"
    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="sour"):
        run_each(pool, 1, [first.touch, partial(int, "sour"), last.touch])
    assert (first.exists(), last.exists()) == (True, False)


def test_the_table_tells_mean_and_spread():
    outcome = Outcome(claim=CLAIM, with_it=(0.50, 0.60), without=(0.40, 0.40))
    row = "| sugar | Cake, 1 | 55.0 % ± 7.1 | 40.0 % ± 0.0 | +15.0 ± 7.1 | 2 |"
    assert as_table([outcome]).splitlines()[-1] == row
    assert spread([0.123]) == "12.3 %"


def test_the_plot_is_drawn(tmp_path):
    plot([Outcome(claim=CLAIM, with_it=(0.5,), without=(0.6,))], tmp_path / "claims.png")
    assert (tmp_path / "claims.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_claims_are_about_arms_that_there_are(name):
    experiment = EXPERIMENTS[name]
    named = {arm for claim in experiment.claims for arm, _ in (claim.with_it, claim.without)}
    assert named == set(experiment.arms)


def test_arms_of_video_llava_differ_in_images_alone():
    joint, alone = (
        video_llava._stages(NanoRun(out_dir=None), video_llava.ARMS[name])
        for name in ("joint", "videos alone")
    )
    for with_images, without in zip(joint, alone, strict=True):
        assert replace(with_images, data=without.data) == without
        assert sum(share for _, share in with_images.data.parts) == sum(
            share for _, share in without.data.parts
        )
        assert not any(isinstance(source, ToyboxImages) for source, _ in without.data.parts)


@pytest.mark.filterwarnings("ignore")
def test_an_arm_of_videollama3_is_trained_and_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(videollama3, "QUESTIONS_PER_CLIP", 1)
    run, experiment = NanoRun(out_dir=tmp_path, scale=0.001), EXPERIMENTS["videollama3"]
    experiment.prepare(run, range(1))
    scores = run_trial(run, experiment, "one size", 0)
    assert {"test", "no pruning", "unseen sizes", "tokens", "all tokens"} == set(scores)
    assert 0 < scores["tokens"] < scores["all tokens"] == 1
    assert json.loads((tmp_path / "videollama3/scores/one_size_seed0.json").read_text()) == scores


@pytest.mark.filterwarnings("ignore")
def test_an_arm_of_internvideo2_is_told_what_is_said_and_asked_for_films(
    internvideo2_run, tmp_path, monkeypatch
):
    monkeypatch.setattr(internvideo2, "NUM_FILMS", 40)
    monkeypatch.setattr(internvideo2, "NUM_GALLERIES", 1)
    experiment, home = EXPERIMENTS["internvideo2"], tmp_path / "internvideo2"
    run = replace(internvideo2_run, out_dir=tmp_path)
    parts = train_nano_parts(internvideo2_run)
    shutil.copytree(parts, home / "parts")
    experiment.prepare(run, range(1))
    scores = {arm: run_trial(run, experiment, arm, 0) for arm in ("told", "hearing")}
    for claim in experiment.claims:
        for arm, measure in (claim.with_it, claim.without):
            assert arm not in scores or 0 <= scores[arm][measure] <= 1
    assert "heard" in scores["hearing"]
    assert "heard" not in scores["told"]
    assert (home / "seed0/told_4_0.json").exists()
