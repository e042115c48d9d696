"""What a person sees of a run."""

import io
import logging

import pytest
from letters import letter_stage
from rich.console import Console

from kinema.training.display import Bar, PlainLines, display, in_words

LINE = {
    "stage": "align",
    "step": 10,
    "of": 20,
    "loss": 1.25,
    "samples_per_s": 3.0,
    "tokens_per_s": 12345,
    "memory_gb": 6.25,
    "data_wait": 0.02,
    "eta_s": 3725,
    "cut_samples": 0,
    "skipped_steps": 0,
    "bad_samples": 0,
}
WORDS = "loss 1.2500  3.0 samples/s  12,345 tokens/s  6.2 GB  data wait 2%  ETA 1:02:05"


def test_numbers_are_put_as_a_person_reads_them():
    assert in_words(LINE) == WORDS
    assert "tokens/s  MFU 41%  6.2 GB" in in_words(LINE | {"mfu": 0.411})
    counted = {"eta_s": 65, "cut_samples": 1, "skipped_steps": 2, "bad_samples": 3}
    assert in_words(LINE | counted).endswith("ETA 1:05  1 cut  2 steps skipped  3 bad")
    assert in_words(LINE | {"loss": None}).startswith("loss none finite")


def test_where_there_is_no_terminal_it_is_plain_lines(caplog):
    shown = display()
    assert isinstance(shown, PlainLines)
    with caplog.at_level(logging.INFO):
        shown.write(LINE)
    assert caplog.messages == [f"align 10/20  {WORDS}"]


def test_a_terminal_has_a_bar_for_each_stage():
    file = io.StringIO()
    bar = Bar(Console(file=file, force_terminal=True, width=140))
    bar.begin(letter_stage("align", 20), 0)
    bar.step(1, 3.5)
    bar.write(LINE)
    bar.begin(letter_stage("tune", 40), 7)
    bar.close()
    said = file.getvalue()
    assert "loss 3.5000" in said
    assert WORDS in said
    assert "10/20" in said
    assert "7/40" in said.replace(" ", "")


def test_a_bar_is_drawn_twice_a_second_at_most():
    file = io.StringIO()
    bar = Bar(Console(file=file, force_terminal=True, width=140))
    bar.begin(letter_stage("align", 20), 0)
    bar.step(1, 3.5)
    drawn = len(file.getvalue())
    for step in range(2, 10):
        bar.step(step, 3.5)
    assert len(file.getvalue()) == drawn
    bar.close()


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_run_without_a_terminal_draws_nothing(stream, capfd):
    display().close()
    assert getattr(capfd.readouterr(), "out" if stream == "stdout" else "err") == ""
