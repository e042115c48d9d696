"""``run.yaml``, beside the checkpoints of a run: all that it was made of, and enough to run it again.

It keeps two runs from sharing a folder, and knows the files of data again.
"""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from kinema.datasets.own.place import is_remote, local_path, open_bytes
from kinema.errors import ConfigError
from kinema.recipes.recipe import Recipe, Request
from kinema.recipes.settings import plain, restored
from kinema.training.run import RunConfig
from kinema.training.stage import Stage

logger = logging.getLogger(__name__)

NAME = "run.yaml"
_NO_IDENTITY = ("data", "media", "batch_size", "epochs", "half_base")
"""What was asked for and stands in the stages, or follows from the machine."""
_EDGE_BYTES = 2**20
"""Of a file of data so much is looked at, where it begins and where it ends."""


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

    Files of data that have changed since, and other settings of how it is run, are told in the log.

    Raises:
        ConfigError: if it holds another one, naming what differs, or what is no ``run.yaml``.
        DataError: if a file of data is not there.
    """
    path = folder / NAME
    content = {
        "recipe": recipe,
        "request": _without_kind(plain(request)),
        "run": _without_kind(plain(run)),
        "stages": {stage.name: plain(stage) for stage in stages},
        "files": {name: _state_of(name) for names in request.data.values() for name in names},
    }
    if path.exists():
        before = _read(path)
        if differences := list(_differences(_identity(before), _identity(content), "")):
            raise ConfigError(
                f"{folder} holds another run: {'; '.join(differences[:3])}. Name another folder with --out, "
                f"or go on with that run: kinema train {path}"
            )
        _tell_changes(path, before, content)
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    partial.replace(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        content = None
    if not isinstance(content, dict) or not content.keys() >= {"recipe", "request", "run", "stages"}:
        raise ConfigError(f"{path} is not the file of a run; remove it, or name another folder with --out.")
    return content


def _identity(content: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a run another one."""
    asked = {key: entry for key, entry in content["request"].items() if key not in _NO_IDENTITY}
    return {
        "recipe": content["recipe"],
        "stages": content["stages"],
        "request": asked,
        "run": {"seed": content["run"]["seed"]},
    }


def _tell_changes(path: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Say what a run goes on with that it did not begin with."""
    known = before.get("files", {})
    for name, state in now["files"].items():
        if known.get(name, state) != state:
            logger.warning(
                "%s has changed since the run last began: it was %s and is %s. What is learned from here on "
                "is of the file as it is now; %s would not repeat this run.",
                name,
                known[name],
                state,
                path,
            )
    for difference in _differences(before["run"], now["run"], "run"):
        logger.info("going on with another setting: %s", difference)


def _state_of(name: str) -> str | None:
    """The size of a file and a hash of its edges, by which it is known again; None for a folder."""
    if not is_remote(name) and local_path(name).is_dir():
        return None
    with open_bytes(name) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        edges = sha256(file.read(_EDGE_BYTES))
        file.seek(max(0, size - _EDGE_BYTES))
        edges.update(file.read(_EDGE_BYTES))
    return f"{size} bytes, {edges.hexdigest()[:16]}"


def _without_kind(entries: dict[str, Any]) -> dict[str, Any]:
    return {key: entry for key, entry in entries.items() if key != "is"}


def _differences(before: Any, now: Any, where: str) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *(key for key in now if key not in before)]:
            yield from _differences(before.get(key), now.get(key), f"{where}.{key}" if where else str(key))
    elif before != now:
        yield f"{where} was {before!r} and is {now!r}"
