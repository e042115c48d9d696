"""Curves in other people's tools."""

import pytest
from letters import LetterModel, LetterProcessor, letter_run, letter_stage

from kinema.errors import ConfigError, MissingExtraError
from kinema.training.loop import train


def curves(folder):
    """Tags of a TensorBoard folder with their steps and values."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder))
    events.Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]
    }


def test_tensorboard_has_a_folder_for_each_stage(tmp_path):
    pytest.importorskip("tensorboard")
    stages = [letter_stage("one", 10), letter_stage("two", 20)]
    train(LetterModel(), LetterProcessor(), stages, letter_run(tmp_path, trackers=("tensorboard",)))
    two = curves(tmp_path / "tensorboard/two")
    assert [step for step, _ in curves(tmp_path / "tensorboard/one")["loss"]] == [5, 10]
    assert [step for step, _ in two["loss"]] == [5, 10, 15, 20]
    assert two["loss"][0][1] > two["loss"][-1][1]
    assert {"grad_norm", "tokens_per_s", "data_wait", "memory_gb"} < two.keys()


def test_tensorboard_goes_on_where_the_run_does(tmp_path):
    pytest.importorskip("tensorboard")

    class Stopped(Exception):
        pass

    class Stops(LetterProcessor):
        calls = 0

        def __call__(self, conversations, *, with_labels):
            Stops.calls += 1
            if Stops.calls == 9:
                raise Stopped
            return super().__call__(conversations, with_labels=with_labels)

        def with_settings(self, **settings):
            return self

    run = letter_run(tmp_path, trackers=("tensorboard",), log_every=2)
    with pytest.raises(Stopped):
        train(LetterModel(), Stops(), [letter_stage(num_steps=12)], run)
    train(LetterModel(), LetterProcessor(), [letter_stage(num_steps=12)], run)
    steps = [step for step, _ in curves(tmp_path / "tensorboard/letters")["loss"]]
    assert steps == [2, 4, 6, 8, 10, 12]


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_tracker_that_is_not_installed_is_told_before_anything_is_learned(tmp_path, name, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, name, None)
    run = letter_run(tmp_path, trackers=(name,))
    with pytest.raises(MissingExtraError, match=f"not installed: pip install {name}, or leave it out"):
        train(LetterModel(), LetterProcessor(), [letter_stage()], run)
    assert not (tmp_path / "checkpoints").exists()


def test_a_tracker_that_lacks_something_itself_says_what(tmp_path, monkeypatch):
    (tmp_path / "trackio.py").write_text("import what_trackio_needs")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="what_trackio_needs"):
        train(LetterModel(), LetterProcessor(), [letter_stage()], letter_run(tmp_path, trackers=("trackio",)))


def test_a_tracker_that_nobody_knows_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="trackers are tensorboard, wandb, trackio, not mlflow"):
        letter_run(tmp_path, trackers=("mlflow",))
