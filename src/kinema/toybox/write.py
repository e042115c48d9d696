"""Write scenes as real files: MP4 with H.264 and AAC, and a line of JSON a clip that says all about it."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kinema.errors import ConfigError, DataError
from kinema.media.write import write_video
from kinema.toybox.generate import make_scene
from kinema.toybox.records import clip_record
from kinema.toybox.scene import Scene

INDEX = "clips.jsonl"
SETTINGS = "toybox.json"


COMMENT = "kinema toybox"
"""Stands in the container of every clip, so that a model that knows only the toybox knows its own."""


@dataclass(frozen=True, kw_only=True)
class DatasetSettings:
    """What the clips of a data set are like; two runs into one folder must agree on it."""

    level: int = 1
    split: str = "train"
    seed: int = 0
    """Clip i is the scene of ``seed + i``."""
    height: int = 112
    width: int = 112
    fps: float = 24.0
    sample_rate: int = 16_000
    num_questions: int = 20
    """Questions a clip, at most."""

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 16 or self.height % 2 or self.width % 2:
            raise ConfigError(f"size must be even and at least 16 x 16, got {self.height} x {self.width}.")
        if self.fps <= 0 or self.num_questions < 0:
            raise ConfigError(f"fps must be above 0 and num_questions 0 or more, got {self}.")


def write_clip(scene: Scene, path: str | Path, *, fps: float = 24.0, sample_rate: int = 16_000) -> None:
    """Film a scene into a file; the name's ending chooses the container, ``.mp4`` for H.264 and AAC.

    The file appears under its name only when it is complete. A scene without sounds has a silent track.

    Raises:
        InputError: if the container is unknown.
        MediaError: if FFmpeg cannot write it.
    """
    write_video(Path(path), scene.frames(fps), fps=fps, audio=scene.sound(sample_rate), comment=COMMENT)


def write_dataset(
    out: str | Path,
    num_clips: int,
    settings: DatasetSettings | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write ``num_clips`` clips under ``out/clips`` and what is known of each into ``out/clips.jsonl``.

    Can be run again after it was broken off, also by force, and with a greater ``num_clips``: a clip whose
    file and record are there is not made again.

    Args:
        out: the folder; made if it does not exist.
        num_clips: how many clips there shall be in all.
        settings: what they are like; by default level 1 for training.
        progress: called after every clip with the number of clips done and ``num_clips``.

    Returns:
        The path of ``clips.jsonl``.

    Raises:
        ConfigError: if the folder holds clips of other settings, or ``num_clips`` is below 1.
        DataError: if the folder holds a ``clips.jsonl`` that was not written here.
    """
    if num_clips < 1:
        raise ConfigError(f"num_clips must be 1 or more, got {num_clips}.")
    settings = settings or DatasetSettings()
    out = Path(out)
    (out / "clips").mkdir(parents=True, exist_ok=True)
    _claim(out, settings)
    done = _repair_index(out)
    with (out / INDEX).open("a", encoding="utf-8") as index:
        for number in range(num_clips):
            file = f"clips/{number:06d}.mp4"
            if file not in done:
                index.write(json.dumps(_make(out, file, number, settings)) + "\n")
                index.flush()
            if progress is not None:
                progress(number + 1, num_clips)
    return out / INDEX


def _make(out: Path, file: str, number: int, settings: DatasetSettings) -> dict[str, Any]:
    """Film one clip and give its record."""
    scene = make_scene(
        settings.seed + number,
        level=settings.level,
        split=settings.split,
        height=settings.height,
        width=settings.width,
    )
    write_clip(scene, out / file, fps=settings.fps, sample_rate=settings.sample_rate)
    return clip_record(scene, file, fps=settings.fps, num_questions=settings.num_questions)


def _claim(out: Path, settings: DatasetSettings) -> None:
    """Note the settings in the folder, or find that they are those noted there."""
    path, ours = out / SETTINGS, asdict(settings)
    if not path.exists():
        _write_whole(path, json.dumps(ours, indent=2) + "\n")
        return
    theirs = json.loads(path.read_text(encoding="utf-8"))
    differing = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    if differing:
        was = ", ".join(f"{name}={theirs.get(name)}" for name in differing)
        raise ConfigError(f"{out}: holds clips made with {was}; ask for the same, or choose another folder.")


def _repair_index(out: Path) -> set[str]:
    """The files of all finished clips; drops the half line of a run that was broken off, and lost clips."""
    path = out / INDEX
    if not path.exists():
        return set()
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = {}
    for number, line in enumerate(lines, start=1):
        if not line.endswith("\n"):
            continue
        try:
            file = json.loads(line)["file"]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise DataError(f"{path}, line {number}: not a record of a clip; delete the file.") from error
        if (out / file).exists():
            kept[file] = line
    _write_whole(path, "".join(kept.values()))
    return set(kept)


def _write_whole(path: Path, text: str) -> None:
    """Write a file so that under its name there is always all of it."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
