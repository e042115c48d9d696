"""nano learns a shape that it has never seen, hearts, from 200 clips: fine-tuning on own data, tried whole.

The clips are files with records beside them, as anybody's would be, and the run is ``kinema train finetune``
with rates for a model of this size:

    kinema data toybox hearts --clips 200 --split new_shape
    kinema train finetune --model nano --data hearts/clips.jsonl --batch-size 8 --epochs 4 \
        --set stage.tune.learning_rates.connector=1e-3 --set stage.tune.learning_rates.language_model=1e-3

    python -m kinema.recipes.nano_finetune runs/nano_finetune       # both, and what it knows before and after
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import typer

from kinema.evaluation.predictions import Prediction
from kinema.evaluation.scores import score
from kinema.evaluation.toybox import Condition, predict_toybox
from kinema.inference.engine import VideoLanguageModel
from kinema.inference.load import load
from kinema.recipes.carry_out import carry_out
from kinema.recipes.finetune import FINETUNE
from kinema.recipes.program import run_as_program
from kinema.recipes.recipe import Request
from kinema.toybox.vocabulary import NEW_SHAPE
from kinema.toybox.write import DatasetSettings, write_dataset
from kinema.training.run import RunConfig

RATE = 1e-3
"""Of connector and language model: what tunes billions of weights gently would leave three million where they
are."""

CONDITIONS = (Condition(name="new shape", split="new_shape_test"), Condition(name="as before"))
"""What is asked before and after: of the new shape, and of what nano was trained on."""


def learn_new_shape(out_dir: Path, *, num_clips: int = 200, epochs: float = 4.0, seed: int = 0) -> Path:
    """Film clips of the shape and fine-tune nano on them; a run that was stopped goes on where it was.

    Returns:
        The folder of the model.
    """
    records = write_dataset(out_dir / "clips", num_clips, DatasetSettings(split="new_shape"))
    request = Request(
        model="nano", data={"tune": (str(records),)}, batch_size=min(8, num_clips), epochs=epochs, seed=seed
    )
    stages = [
        replace(stage, learning_rates=dict.fromkeys(stage.learning_rates, RATE))
        for stage in FINETUNE.stages(request)
    ]
    return carry_out(FINETUNE, request, stages, RunConfig(out_dir=out_dir / "run", seed=seed, log_every=5))


def ask_nano(model: VideoLanguageModel, num_clips: int) -> dict[str, float]:
    """Share of right answers to held-out questions: of each condition, and of those that name the shape."""
    predictions = [
        prediction
        for condition in CONDITIONS
        for prediction in predict_toybox(model, condition, num_clips=num_clips)
    ]
    named = [
        replace(prediction, condition=f"naming a {NEW_SHAPE}")
        for prediction in predictions
        if NEW_SHAPE in prediction.question + prediction.truth
    ]
    return _accuracies([*predictions, *named])


def _accuracies(predictions: Iterable[Prediction]) -> dict[str, float]:
    return {name: found.accuracy for name, found in score(predictions).items()}


def _main(out_dir: Path, clips: int = 200, asked: int = 100, epochs: float = 4.0, seed: int = 0) -> None:
    """Fine-tune nano on the new shape, and print what it knows before and after."""
    folder = learn_new_shape(out_dir, num_clips=clips, epochs=epochs, seed=seed)
    before, after = (_asked(name, asked) for name in ("nano", folder))
    for name, share in after.items():
        typer.echo(f"{name:16} {before[name]:6.1%} before  {share:6.1%} after")
    typer.echo(f"ask it: kinema ask {out_dir}/clips/clips/000000.mp4 --model {folder}")


def _asked(source: str | Path, num_clips: int) -> dict[str, float]:
    model = load(source, device="cpu")
    assert isinstance(model, VideoLanguageModel)
    return ask_nano(model, num_clips)


if __name__ == "__main__":
    run_as_program(_main)
