import sys

import pytest

from kinema.errors import StoppedError
from kinema.recipes.program import run_as_program


def test_an_error_of_ours_is_one_line_and_its_exit_code(monkeypatch, capsys):
    def train(steps: int) -> None:
        raise StoppedError(f"stopped after {steps} steps; the same command goes on.", 15)

    monkeypatch.setattr(sys, "argv", ["train", "3"])
    with pytest.raises(SystemExit) as left:
        run_as_program(train)
    assert left.value.code == 143
    assert capsys.readouterr().err == "error: stopped after 3 steps; the same command goes on.\n"


def test_an_error_of_another_kind_keeps_its_trace(monkeypatch):
    def train() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(sys, "argv", ["train"])
    with pytest.raises(ZeroDivisionError):
        run_as_program(train)
