"""What a run tells of itself."""

import json
import time
from pathlib import Path

import pytest
from letters import LetterModel, LetterProcessor, letter_run, letter_stage

from kinema.training.checkpoint import Progress
from kinema.training.json_lines import append_lines, forget_unkept, read_lines
from kinema.training.loop import train

LINE = {"stage": "one", "step": 5, "loss": 1.0}


def lines_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_a_line_has_what_a_person_wants_to_know(tmp_path):
    train(LetterModel(), LetterProcessor(), [letter_stage(num_steps=5)], letter_run(tmp_path))
    (line,) = lines_of(tmp_path)
    assert list(line) == [
        "stage",
        "step",
        "of",
        "loss",
        "grad_norm",
        "rate_factor",
        "samples_per_s",
        "tokens_per_s",
        "real_tokens",
        "cut_samples",
        "bad_samples",
        "skipped_steps",
        "data_wait",
        "memory_gb",
        "eta_s",
    ]
    assert line["tokens_per_s"] == pytest.approx(8 * line["samples_per_s"], rel=0.01)
    assert line["eta_s"] == line["skipped_steps"] == line["bad_samples"] == 0
    assert 0.05 < line["memory_gb"] < 50


def test_a_stage_ends_with_a_line_whatever_its_length(tmp_path):
    train(LetterModel(), LetterProcessor(), [letter_stage(num_steps=7)], letter_run(tmp_path))
    assert [line["step"] for line in lines_of(tmp_path)] == [5, 7]


def test_the_share_of_time_spent_waiting_for_data_is_measured(tmp_path):
    class SlowData(LetterProcessor):
        def __call__(self, conversations, *, with_labels):
            time.sleep(0.1)
            return super().__call__(conversations, with_labels=with_labels)

        def with_settings(self, **settings):
            return self

    class SlowModel(LetterModel):
        def hidden_states(self, inputs):
            time.sleep(0.1)
            return super().hidden_states(inputs)

    waits = []
    for name, model, processor in [
        ("data", LetterModel(), SlowData()),
        ("model", SlowModel(), LetterProcessor()),
    ]:
        train(model, processor, [letter_stage(num_steps=5)], letter_run(tmp_path / name))
        waits.append(lines_of(tmp_path / name)[0]["data_wait"])
    assert 1 >= waits[0] > waits[1] >= 0


def test_a_loss_that_was_never_finite_is_none(tmp_path):
    class NeverFinite:
        def __call__(self, model, inputs):
            return model.hidden_states(inputs).sum() * float("nan")

    run = letter_run(tmp_path, max_skipped_steps=5)
    train(LetterModel(), LetterProcessor(), [letter_stage(num_steps=5, loss=NeverFinite())], run)
    (line,) = lines_of(tmp_path)
    assert (line["loss"], line["grad_norm"], line["skipped_steps"]) == (None, None, 5)


def test_lines_after_the_checkpoint_go_since_they_come_again(tmp_path):
    path = tmp_path / "log.jsonl"
    lines = [LINE, LINE | {"step": 10}, LINE | {"stage": "two"}, LINE | {"stage": "two", "step": 10}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"stage": "tw')
    stages = [letter_stage("one", 10), letter_stage("two", 20)]
    forget_unkept(path, stages, Progress(stage=1, step=7))
    assert lines_of(tmp_path) == read_lines(path) == lines[:3]
    forget_unkept(path, stages, Progress())
    assert path.read_text() == ""


def test_a_line_that_a_killed_process_did_not_finish_spoils_none_that_follows(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps(LINE) + '\n{"stage": "on')
    forget_unkept(path, [letter_stage("one", 10)], Progress(step=5))
    append_lines(path, [LINE | {"step": 10}])
    assert lines_of(tmp_path) == [LINE, LINE | {"step": 10}]
