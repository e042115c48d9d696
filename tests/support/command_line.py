"""Run ``kinema`` through its entry point, within the process of the tests."""

import json
from dataclasses import dataclass
from typing import Any

from typer.testing import CliRunner

from kinema.cli.main import app


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        """All of stdout as one JSON document."""
        return json.loads(self.stdout)


def run(*arguments: object, typed: str | None = None) -> Outcome:
    """Run ``kinema`` with arguments, and what is typed into it."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=typed)
    return Outcome(result.exit_code, result.stdout, result.stderr)
