"""``run.yaml``, beside the checkpoints of a run: all that it was made of, and enough to run it again.

It keeps two runs from sharing a folder.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from kinema.errors import ConfigError
from kinema.recipes.recipe import Recipe, Request
from kinema.recipes.settings import plain, restored
from kinema.training.run import RunConfig
from kinema.training.stage import Stage

NAME = "run.yaml"


@dataclass(frozen=True, kw_only=True)
class RunFile:
    """What a file says."""

    path: Path
    recipe: str
    request: Request
    stages: Mapping[str, Any]
    """Plain stages by name, as they were when the run began, or as somebody has edited them since."""
    run: Mapping[str, Any]
    """How it was run."""

    @classmethod
    def read(cls, path: Path) -> "RunFile":
        """Read a file.

        Raises:
            ConfigError: if it is not one of ours.
        """
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            request = TypeAdapter(Request).validate_python(content["request"])
            recipe, stages, run = content["recipe"], content["stages"], content["run"]
        except (OSError, yaml.YAMLError, KeyError, TypeError, ValidationError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(
                f"{path} is not the file of a run: {reason}. A run writes one as {NAME}."
            ) from error
        return cls(path=path, recipe=str(recipe), request=request, stages=stages, run=run)

    def stages_of(self, recipe: Recipe) -> list[Stage]:
        """The stages of the recipe as the file has them.

        Raises:
            ConfigError: if the recipe has other stages today, or a setting cannot be what the file says.
        """
        stages = recipe.stages(self.request)
        names = [stage.name for stage in stages]
        if names != list(self.stages):
            raise ConfigError(
                f"{self.path} has the stages {', '.join(self.stages)}, its recipe has {', '.join(names)}."
            )
        return [restored(stage, self.stages[stage.name], f"stage.{stage.name}") for stage in stages]


def write_run_file(
    folder: Path, recipe: str, request: Request, stages: Sequence[Stage], run: RunConfig
) -> None:
    """Write what a run is into its folder, unless that holds the same run.

    Raises:
        ConfigError: if it holds another one, naming what differs.
    """
    path = folder / NAME
    content = {
        "recipe": recipe,
        "request": _without_kind(plain(request)),
        "run": _without_kind(plain(run)),
        "stages": {stage.name: plain(stage) for stage in stages},
    }
    if path.exists():
        before = yaml.safe_load(path.read_text(encoding="utf-8"))
        was, now = ({key: entry[key] for key in ("recipe", "stages")} for entry in (before, content))
        if differences := list(_differences(was, now, "")):
            raise ConfigError(
                f"{folder} holds another run: {'; '.join(differences[:3])}. Name another folder with --out, "
                f"or go on with that run: kinema train {path}"
            )
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    partial.replace(path)


def _without_kind(entries: dict[str, Any]) -> dict[str, Any]:
    return {key: entry for key, entry in entries.items() if key != "is"}


def _differences(before: Any, now: Any, where: str) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *(key for key in now if key not in before)]:
            yield from _differences(before.get(key), now.get(key), f"{where}.{key}" if where else str(key))
    elif before != now:
        yield f"{where} was {before!r} and is {now!r}"
