"""The model in the package, on clips that it never saw. The whole benchmark is ``kinema evaluate nano``."""

import warnings

import pytest

import kinema
from kinema.evaluation.scores import Scores, score
from kinema.evaluation.toybox import CONDITIONS, predict_toybox
from kinema.models.registry import named_models
from kinema.toybox import make_scene, write_clip


@pytest.fixture(scope="module")
def nano():
    return kinema.load()


@pytest.fixture(scope="module")
def scores(nano) -> dict[str, Scores]:
    names = ("test", "blind", "no pruning", "unseen sizes")
    asked = [condition for condition in CONDITIONS if condition.name in names]
    return score(
        row for condition in asked for row in predict_toybox(nano, condition, num_clips=16, seed=5000)
    )


def test_nano_is_the_first_named_model_and_weighs_less_than_30_mb():
    assert named_models()[0].name == "nano"
    assert named_models()[0].bf16_bytes < 30e6


def test_what_nano_answers_it_has_seen(scores):
    assert scores["test"].num_questions >= 150
    assert scores["test"].accuracy >= 0.85
    assert min(scores["test"].by_kind.values()) >= 0.6
    assert scores["blind"].accuracy <= 0.45


def test_nano_finds_when_things_happen(scores):
    assert scores["test"].span_iou >= 0.6


def test_pruning_and_other_sizes_cost_nano_little(scores):
    assert scores["no pruning"].accuracy - scores["test"].accuracy <= 0.01
    assert scores["test"].accuracy - scores["unseen sizes"].accuracy <= 0.05


def test_nano_knows_its_own_clips_and_warns_of_others(nano, tmp_path):
    clip = tmp_path / "clip.mp4"
    write_clip(make_scene(1, split="test"), clip, fps=4.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nano.ask(clip, "How many objects are there?")
    frame = make_scene(1).render([0.0])[0]
    with pytest.warns(UserWarning, match="knows only the toybox"):
        nano.ask(frame, "How many objects are there?")
