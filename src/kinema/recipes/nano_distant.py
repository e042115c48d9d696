"""What a fixed input size costs: a small encoder told the shapes of distant toys, at their own size and
squeezed.

The limit that InternVideo2 states of itself (arXiv 2403.15377, its section on limits): every frame is
squeezed to 224x224, in which small objects vanish. At a quarter of that size, a toy of 12 to 16 pixels lies
somewhere in a picture of 168x168. Either the encoder sees that picture as it is, with interpolated positions,
or squeezed to the 56x56 of its position table, as published. It learns both, and pictures of 56x56 that show
the toy as large.

    python -m kinema.recipes.nano_distant
"""

import logging
from dataclasses import dataclass

import numpy as np
import torch
import typer

from kinema.models.internvideo2.classifier import InternVideo2Classifier, start_classifier
from kinema.modules.vision.internvideo2 import InternVideo2Tower, InternVideo2VisionConfig
from kinema.processors.labelled import LabelledClips
from kinema.processors.square_pixels import normalised, resize_levels
from kinema.recipes.program import run_as_program
from kinema.toybox.distant import draw_distant_toy
from kinema.toybox.vocabulary import SHAPES
from kinema.training.classification import Classification
from kinema.training.init import init_weights
from kinema.training.optimizer import OptimizerConfig, build_optimizer
from kinema.training.schedule import Cosine

logger = logging.getLogger(__name__)

TABLE_SIZE = 56
NATIVE_SIZE = 168
VIEWS = ("near", "native", "squeezed", "unseen")
"""A toy in a picture of the table's size; in a larger one, as it is, or squeezed; and in one of a size and an
aspect ratio that were never learned, 112x224, as it is."""
_LEARNED = ("near", "squeezed", "native", "near", "squeezed", "near")
_ROWS = {"near": 64, "squeezed": 64, "native": 16, "unseen": 16}
"""Pictures of a batch."""


@dataclass(frozen=True, kw_only=True)
class DistantRun:
    """How long to train, and from which draw."""

    num_steps: int = 1500
    seed: int = 0
    learning_rate: float = 2e-3


def nano_encoder() -> InternVideo2VisionConfig:
    """Four layers of InternVideo2's encoder, for single pictures."""
    return InternVideo2VisionConfig(
        hidden_size=96,
        intermediate_size=256,
        num_layers=4,
        num_heads=4,
        num_frames=1,
        image_size=TABLE_SIZE,
        layer_scale=0.5,
    )


def train_distant(run: DistantRun) -> InternVideo2Classifier:
    """A classifier of shapes that has learned from three kinds of pictures, a batch of each in turn."""
    torch.manual_seed(run.seed)
    model = start_classifier(InternVideo2Tower(nano_encoder(), 96), num_classes=len(SHAPES))
    init_weights(model, run.seed)
    rates = dict.fromkeys(("vision_encoder", "norm", "head"), run.learning_rate)
    optimizer = build_optimizer(model, rates, OptimizerConfig(rule="muon"))
    schedule, loss = Cosine(), Classification(label_smoothing=0.0)
    rng = np.random.default_rng([run.seed, 0])
    for step in range(run.num_steps):
        view = _LEARNED[step % len(_LEARNED)]
        value = loss(model, draw_batch(view, _ROWS[view], rng))
        value.backward()
        optimizer.step(schedule.factor(step, run.num_steps))
        if (step + 1) % 100 == 0:
            logger.info("step %d of %d, loss %.3f", step + 1, run.num_steps, value.item())
    return model.eval()


@torch.inference_mode()
def accuracy(model: InternVideo2Classifier, view: str, *, num_pictures: int = 480, seed: int = 0) -> float:
    """Share of held-out pictures whose shape is told; by chance it is a sixth."""
    rng = np.random.default_rng([seed, 1])
    right = 0
    for _ in range(num_pictures // _ROWS[view]):
        batch = draw_batch(view, _ROWS[view], rng)
        right += int((model(batch.pixel_values).argmax(-1) == batch.labels).sum())
    return right / (num_pictures // _ROWS[view] * _ROWS[view])


def draw_batch(view: str, num_pictures: int, rng: np.random.Generator) -> LabelledClips:
    """Pictures of one of ``VIEWS``, each a clip of one frame, with the numbers of their shapes."""
    labels = rng.integers(len(SHAPES), size=num_pictures)
    height, width = {"near": (TABLE_SIZE, TABLE_SIZE), "unseen": (112, 224)}.get(
        view, (NATIVE_SIZE, NATIVE_SIZE)
    )
    pictures = [draw_distant_toy(SHAPES[label], height, width, rng) for label in labels]
    levels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float()
    if view == "squeezed":
        levels = resize_levels(levels, (TABLE_SIZE, TABLE_SIZE))  # as published, without antialias
    return LabelledClips(pixel_values=normalised(levels)[:, None], labels=torch.from_numpy(labels))


def _main(seeds: int = 3, steps: int = 1500) -> None:
    """Train once a seed, and print how often each kind of picture is told."""
    for seed in range(seeds):
        model = train_distant(DistantRun(num_steps=steps, seed=seed))
        shares = "  ".join(f"{view} {accuracy(model, view, seed=seed):.1%}" for view in VIEWS)
        typer.echo(f"seed {seed}  {shares}")


if __name__ == "__main__":
    run_as_program(_main)
