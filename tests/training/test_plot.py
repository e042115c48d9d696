"""The picture of the losses."""

import logging

import numpy as np
import pytest
from letters import LetterModel, LetterProcessor, letter_run, letter_stage
from PIL import Image

from kinema.training.loop import train
from kinema.training.plot import plot_losses, trend


def test_a_run_leaves_a_picture_beside_its_checkpoints(tmp_path):
    train(LetterModel(), LetterProcessor(), [letter_stage(num_steps=20)], letter_run(tmp_path))
    with Image.open(tmp_path / "loss.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape == (540, 1080, 3)
    assert (pixels == (31, 119, 180)).all(-1).sum() > 500  # the first colour, of the trend and of the legend
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["loss.png"]


def test_each_stage_has_a_colour_of_its_own(tmp_path):
    lines = [{"stage": stage, "step": step, "loss": 2.0} for stage in ("one", "two") for step in (5, 10)]
    plot_losses(lines, tmp_path / "loss.png")
    with Image.open(tmp_path / "loss.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    for colour in ((31, 119, 180), (255, 127, 14)):
        assert (pixels == colour).all(-1).any()


def test_a_stage_of_one_line_is_a_point(tmp_path):
    places = [("one", 5, 2.0), ("one", 10, 2.0), ("two", 5, 1.0)]
    plot_losses(
        [{"stage": stage, "step": step, "loss": loss} for stage, step, loss in places], tmp_path / "loss.png"
    )
    with Image.open(tmp_path / "loss.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    right_below = pixels[270:, 864:]  # the legend is not there
    assert (right_below == (255, 127, 14)).all(-1).sum() > 20


def test_a_run_of_one_line_has_no_picture(tmp_path):
    train(LetterModel(), LetterProcessor(), [letter_stage(num_steps=3)], letter_run(tmp_path))
    assert not (tmp_path / "loss.png").exists()


def test_a_line_without_a_loss_is_a_gap(tmp_path):
    lines = [{"stage": "one", "step": step, "loss": loss} for step, loss in ((5, None), (10, 2.0), (15, 1.0))]
    plot_losses(lines, tmp_path / "loss.png")
    assert (tmp_path / "loss.png").exists()


def test_without_matplotlib_a_run_says_once_how_to_have_one(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with caplog.at_level(logging.INFO):
        train(LetterModel(), LetterProcessor(), [letter_stage(num_steps=20)], letter_run(tmp_path))
    said = [message for message in caplog.messages if message.startswith("no picture of the losses")]
    assert len(said) == 1
    assert "pip install 'kinema[train]'" in said[0]


def test_the_trend_of_a_constant_is_the_constant():
    assert trend([2.0, 2.0, 2.0]) == pytest.approx([2.0, 2.0, 2.0])


def test_the_trend_forgets_half_within_three_hundredths():
    values = [0.0] * 50 + [1.0] * 50  # a half-life of three values
    assert trend(values)[52] == pytest.approx(0.5, abs=0.01)
    assert trend(values)[-1] == pytest.approx(1.0, abs=0.001)
