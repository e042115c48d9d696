"""Options that several commands share, in the groups in which commands take them."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from kinema.errors import ConfigError

if TYPE_CHECKING:
    from kinema.inference.request import AskOptions

NANO = "nano"


class Dtype(StrEnum):
    """Number formats that weights can be held in."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


Video = Annotated[
    str,
    typer.Argument(
        metavar="VIDEO",
        help="A video, an image or, for a model that hears, a sound: a file, a URL, or a folder of images. "
        "audio:FILE is the sound track of a video, depth:FILE a depth map, thermal:FILE a heat map.",
    ),
]


Question = Annotated[
    str | None, typer.Argument(metavar="QUESTION", help="What to ask; without it, a description.")
]

Also = Annotated[
    list[str] | None,
    typer.Option("--also", metavar="VIDEO", help="Another one, after the first; can be repeated."),
]


def _option(*names: str, help: str, panel: str, **settings: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=False, **settings)


Parts = Annotated[
    list[str] | None,
    _option(
        "--part",
        metavar="NAME=SOURCE",
        help="What was published apart from the model, such as vision=FILE; can be repeated.",
        panel="Model",
    ),
]


@dataclass(frozen=True, kw_only=True)
class PlaceOptions:
    """Where a model comes from and where it runs."""

    device: Annotated[
        str | None,
        _option("--device", help="cpu, cuda, cuda:1 or mps; default the best.", panel="Model"),
    ] = None
    dtype: Annotated[
        Dtype | None, _option("--dtype", help="Number format; default what suits the device.", panel="Model")
    ] = None
    revision: Annotated[
        str | None, _option("--revision", help="Branch, tag or commit on the hub.", panel="Model")
    ] = None
    offline: Annotated[
        bool, _option("--offline", help="Use what the hub's cache holds; download nothing.", panel="Model")
    ] = False
    part: Parts = None


@dataclass(frozen=True, kw_only=True)
class ModelOptions(PlaceOptions):
    """Which model, and where it runs."""

    model: Annotated[
        str, _option("--model", "-m", help="nano, a hub id or a folder; default nano.", panel="Model")
    ] = NANO


@dataclass(frozen=True, kw_only=True)
class FrameOptions:
    """Which frames the model sees. What is None is left to the model."""

    fps: Annotated[float | None, _option("--fps", help="Frames a second.", panel="Frames")] = None
    max_frames: Annotated[
        int | None,
        _option("--max-frames", help="Most frames; a longer video is read more sparsely.", panel="Frames"),
    ] = None
    start_s: Annotated[
        float | None, _option("--start", metavar="SECONDS", help="Read from here.", panel="Frames")
    ] = None
    end_s: Annotated[
        float | None, _option("--end", metavar="SECONDS", help="Read up to here.", panel="Frames")
    ] = None
    max_tokens: Annotated[
        int | None,
        _option("--max-tokens", help="Most visual tokens; frames shrink to keep it.", panel="Frames"),
    ] = None


@dataclass(frozen=True, kw_only=True)
class SeenOptions:
    """How to see what the model saw."""

    frames_to: Annotated[
        Path | None,
        _option(
            "--frames-to",
            metavar="DIR",
            help="Write the frames that the model saw, each with its time, and an index.json.",
            panel="Frames",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class AnswerOptions:
    """How an answer is written. What is None is left to the model."""

    system: Annotated[
        str | None, _option("--system", metavar="TEXT", help="Said to the model first.", panel="Answer")
    ] = None
    max_new_tokens: Annotated[
        int | None, _option("--max-new-tokens", help="Longest answer.", panel="Answer")
    ] = None
    temperature: Annotated[
        float | None,
        _option("--temperature", help="0 for the likeliest words; higher varies.", panel="Answer"),
    ] = None
    top_k: Annotated[
        int | None, _option("--top-k", help="Draw from the k likeliest tokens.", panel="Answer")
    ] = None
    top_p: Annotated[
        float | None,
        _option("--top-p", help="Draw from the likeliest tokens of this probability in all.", panel="Answer"),
    ] = None
    repetition_penalty: Annotated[
        float | None, _option("--repetition-penalty", help="Above 1 to repeat less.", panel="Answer")
    ] = None
    stop: Annotated[
        list[str] | None,
        _option("--stop", metavar="TEXT", help="End before this text; can be repeated.", panel="Answer"),
    ] = None
    seed: Annotated[int | None, _option("--seed", help="Of the draws of this answer.", panel="Answer")] = None


def ask_options(frames: FrameOptions, answer: AnswerOptions) -> "AskOptions":
    """What was given, by the names that ``VideoLanguageModel.ask`` has for it."""
    options = {
        name: value for name, value in {**asdict(frames), **asdict(answer)}.items() if value is not None
    }
    if "stop" in options:
        options["stop"] = tuple(options["stop"])
    return cast("AskOptions", options)


def parts_of(options: list[str] | None) -> dict[str, str]:
    """Sources by name, of the option ``--part``.

    Raises:
        ConfigError: if one has another form, or a name stands there twice.
    """
    parts: dict[str, str] = {}
    for option in options or ():
        name, _, source = option.partition("=")
        if not name or not source or name in parts:
            raise ConfigError(f"--part {option}: give each part once, as NAME=SOURCE.")
        parts[name] = source
    return parts
