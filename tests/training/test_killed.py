"""``kill -9`` at any moment costs no more than what came after the last checkpoint, and changes nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import many_lives
import pytest
import torch


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("lives")
    support = str(Path(many_lives.__file__).parent)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": support}
    command = [sys.executable, many_lives.__file__, str(folder), "1"]
    subprocess.run(command, env=environment, check=True, timeout=300)
    return folder


def log(folder: Path) -> list[tuple[str, int, float, float]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [(line["stage"], line["step"], line["loss"], line["grad_norm"]) for line in lines]


@pytest.mark.slow
def test_a_run_that_was_killed_ten_times_has_the_losses_of_one_that_was_not(folder):
    assert (folder / "kills.txt").read_text() == "10"
    assert log(folder / "killed") == log(folder / "whole")
    assert [step for stage, step, *_ in log(folder / "whole") if stage == "two"] == [7, 14, 21, 28, 35, 40]


@pytest.mark.slow
def test_a_run_that_was_killed_ten_times_has_the_weights_of_one_that_was_not(folder):
    whole, killed = (torch.load(folder / name / "weights.pt") for name in ("whole", "killed"))
    assert whole.keys() == killed.keys()
    for name, value in whole.items():
        assert torch.equal(value, killed[name]), name


@pytest.mark.slow
def test_nothing_is_left_of_checkpoints_that_were_not_finished(folder):
    names = sorted(path.name for path in (folder / "killed/checkpoints").iterdir())
    assert names == ["stage1-step00000039", "stage1-step00000040"]
