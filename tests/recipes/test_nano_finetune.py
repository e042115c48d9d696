import pytest

import kinema
from kinema.models.registry import load_model
from kinema.recipes.nano_finetune import ask_nano, learn_new_shape
from kinema.toybox import make_scene, write_clip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return learn_new_shape(tmp_path_factory.mktemp("runs") / "mine", num_clips=4, epochs=2)


def test_a_model_that_learned_from_clips_is_served(folder, tmp_path):
    write_clip(make_scene(0, split="new_shape_test"), tmp_path / "clip.mp4")
    answer = kinema.load(folder, device="cpu").ask(tmp_path / "clip.mp4", "What is seen?", max_new_tokens=8)
    assert answer


def test_two_steps_on_hearts_change_the_language_model_and_leave_the_eyes(folder):
    before, after = (load_model(source).model.float().state_dict() for source in ("nano", folder))
    moved = {name.split(".")[0] for name in before if not before[name].equal(after[name])}
    assert moved == {"connector", "language_model"}


def test_questions_that_name_the_shape_are_scored_apart(folder):
    shares = ask_nano(kinema.load(folder, device="cpu"), num_clips=1)
    assert set(shares) == {"new shape", "as before", "naming a heart"}
    assert all(0 <= share <= 1 for share in shares.values())
