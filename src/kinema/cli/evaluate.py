"""``kinema evaluate``: a benchmark, its predictions and its scores."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import kinema
from kinema.cli.command import OutputOptions, add_command
from kinema.cli.console import counter, print_json
from kinema.cli.loading import load
from kinema.cli.options import NANO, PlaceOptions
from kinema.errors import ConfigError

if TYPE_CHECKING:
    from kinema.evaluation.predictions import Prediction
    from kinema.evaluation.scores import Scores
    from kinema.inference.engine import VideoLanguageModel


class Benchmark(StrEnum):
    """What a model can be judged by."""

    TOYBOX = "toybox"


def add_commands(app: typer.Typer) -> None:
    """Add the command of this file to an application."""
    add_command(app, evaluate)


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="nano, a hub id or a folder.")] = NANO,
    *,
    benchmark: Annotated[Benchmark, typer.Option(help="What to judge it by.")] = Benchmark.TOYBOX,
    clips: Annotated[int, typer.Option(help="Clips of each condition.")] = 200,
    questions: Annotated[int, typer.Option(help="Questions a clip, at most.")] = 12,
    condition: Annotated[
        list[str] | None, typer.Option(help="Ask under this condition only; can be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the clips and questions.")] = 0,
    predictions_to: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep every answer, a line of JSON each.")
    ] = None,
    rescore: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Score answers that were kept; no model is loaded.")
    ] = None,
    place: PlaceOptions,
    output: OutputOptions,
) -> None:
    """Judge a model by a benchmark."""
    from kinema.evaluation.predictions import read_predictions, write_predictions
    from kinema.evaluation.scores import score

    if rescore is not None and predictions_to is not None:
        raise ConfigError("--rescore reads answers that were kept and --predictions-to keeps them; give one.")
    recipe: dict[str, Any] = {"benchmark": benchmark, "kinema": kinema.__version__}
    if rescore is not None:
        recipe["predictions"] = str(rescore)
        predictions = read_predictions(rescore)
    else:
        recipe |= {"model": model, "clips": clips, "questions": questions, "seed": seed}
        predictions = _predict(load(model, place), condition, clips, questions, seed)
    if predictions_to is not None:
        write_predictions(predictions_to, predictions)
        predictions = read_predictions(predictions_to)
    scores = score(predictions)
    if output.json:
        print_json({"recipe": recipe, "scores": {name: asdict(value) for name, value in scores.items()}})
    else:
        _print_table(scores)


def _predict(
    model: "VideoLanguageModel", names: list[str] | None, clips: int, questions: int, seed: int
) -> "Iterator[Prediction]":
    from kinema.evaluation.toybox import CONDITIONS, predict_toybox

    known = {condition.name: condition for condition in CONDITIONS}
    for name in names or known:
        if name not in known:
            raise ConfigError(f"there is no condition {name!r}; there are: {', '.join(known)}.")
    for name in names or known:
        with counter(name) as progress:
            yield from predict_toybox(
                model, known[name], num_clips=clips, questions_per_clip=questions, seed=seed, on_clip=progress
            )


def _print_table(scores: "dict[str, Scores]") -> None:
    """Per cent of exact answers, a row a kind, a column a condition."""
    kinds = sorted({kind for value in scores.values() for kind in value.by_kind})
    _print_row("", scores)
    _print_row("questions", [str(value.num_questions) for value in scores.values()])
    _print_row("exact", [_percent(value.accuracy) for value in scores.values()])
    for kind in kinds:
        _print_row(f"  {kind}", [_percent(value.by_kind.get(kind)) for value in scores.values()])
    _print_row("span IoU", [_percent(value.span_iou) for value in scores.values()])


def _print_row(name: str, cells: Iterable[str]) -> None:
    typer.echo(f"{name:12}" + "".join(f"{cell:>14}" for cell in cells))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
