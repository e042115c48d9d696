"""What a nano vision encoder knows before the published stages: to name what each patch shows.

The published runs start from SigLIP (arXiv 2501.13106) or OpenCLIP (arXiv 2310.01852), trained by others on
billions of pictures. A nano encoder starts from nothing and learns from still pictures of the toybox, patch
by patch: the shape, colour and size of the toy at its middle, or that there is none, and where in the picture
that is. The heads are thrown away.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.datasets.toybox import as_filmed, draw_size
from kinema.modules.vision.navit import NaViT
from kinema.processors.patches import to_patches
from kinema.processors.resize import resize_frames
from kinema.toybox import Scene, make_scene
from kinema.toybox.crowds import draw_crowd
from kinema.toybox.vocabulary import COLOURS, SHAPES, SIZES
from kinema.training.optimizer import OptimizerConfig, build_optimizer
from kinema.training.precision import Precision, training_precision
from kinema.training.schedule import Cosine

logger = logging.getLogger(__name__)

NOTHING = -100
"""Label of colour and size where a patch shows no toy: no loss falls there."""


_TENTHS = 10
CLASSES = {
    "shape": len(SHAPES) + 1,
    "colour": len(COLOURS),
    "size": len(SIZES),
    "column": _TENTHS,
    "row": _TENTHS,
}
"""What is asked of each patch, to the number of answers. Column and row are tenths of the picture."""


@dataclass(frozen=True, kw_only=True)
class VisionPretraining:
    """How long and how fast."""

    num_steps: int = 2000
    batch_size: int = 64
    learning_rate: float = 3e-3
    seed: int = 0
    precision: Precision = "float32"


Picture = NDArray[np.uint8]
"""(H, W, 3), RGB."""


@dataclass(frozen=True, kw_only=True)
class PatchReader:
    """How an encoder is shown pictures, and what it says of their patches."""

    encoder: nn.Module
    features: Callable[[list[Picture]], Tensor]
    """Features of all patches of all pictures, row by row, end to end: (P, D)."""
    hidden_size: int
    patch_size: int
    multiple: int
    """Sides of pictures are multiples of this many pixels."""
    draw_size: Callable[[np.random.Generator], tuple[int, int]]
    """Height and width of the next picture."""


def pretrain_vision(encoder: NaViT, config: VisionPretraining) -> dict[str, float]:
    """Train the encoder of nano in place, on pictures of many sizes; returns as ``pretrain_patches``."""

    def features(pictures: list[Picture]) -> Tensor:
        pixels = [to_patches(picture[None], patch_size=side, merge_size=1) for picture in pictures]
        grids = [[1, picture.shape[0] // side, picture.shape[1] // side] for picture in pictures]
        merge_sizes = torch.ones(len(grids), dtype=torch.int64)
        return encoder.encode(torch.cat(pixels), torch.tensor(grids), merge_sizes)

    side = encoder.config.patch_size
    reader = PatchReader(
        encoder=encoder,
        features=features,
        hidden_size=encoder.config.hidden_size,
        patch_size=side,
        multiple=2 * side,
        draw_size=lambda rng: draw_size(rng, num_frames=4),
    )
    return pretrain_patches(reader, config)


def pretrain_patches(reader: PatchReader, config: VisionPretraining) -> dict[str, float]:
    """Train an encoder in place.

    Returns:
        Accuracy a head over the last 100 steps, on pictures never seen before.
    """
    heads = nn.ModuleDict({name: nn.Linear(reader.hidden_size, classes) for name, classes in CLASSES.items()})
    optimizer = build_optimizer(
        nn.ModuleDict({"encoder": reader.encoder, "heads": heads}),
        {"encoder": config.learning_rate, "heads": config.learning_rate},
        OptimizerConfig(rule="muon", weight_decay=0.05, betas=(0.9, 0.98)),
    )
    schedule = Cosine(warmup_ratio=0.02, final_ratio=0.05)
    recent: list[dict[str, float]] = []
    for step, (pictures, labels) in enumerate(_batches(reader, config)):
        with training_precision("cpu", config.precision):
            features = reader.features(pictures)  # (P, D)
            logits = {name: head(features).float() for name, head in heads.items()}
        loss = _loss(logits, labels)
        loss.backward()
        optimizer.step(schedule.factor(step, config.num_steps))
        recent = [*recent, _accuracy(logits, labels)][-100:]
        if (step + 1) % 100 == 0:
            logger.info(
                "patches %d/%d  loss %.3f  %s", step + 1, config.num_steps, loss.item(), _mean(recent)
            )
    return _mean(recent)


def patch_labels(scene: Scene, time_s: float, rows: int, columns: int) -> dict[str, NDArray[np.int64]]:
    """What stands at the middle of each patch of a picture.

    Args:
        scene: its height and width give the aspect.
        time_s: when the picture is taken.
        rows: patches from top to bottom.
        columns: patches from left to right.

    Returns:
        ``shape`` (0 for none), ``colour`` and ``size`` (``NOTHING`` for none), ``column`` and ``row`` of the
        toy's centre, or of the patch where there is none, in tenths of the picture; each (rows, columns).
    """
    y, x = np.meshgrid((np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns, indexing="ij")
    shorter = min(scene.height, scene.width)
    shape = np.zeros((rows, columns), dtype=np.int64)
    colour, size = np.full_like(shape, NOTHING), np.full_like(shape, NOTHING)
    column, row = (x * _TENTHS).astype(np.int64), (y * _TENTHS).astype(np.int64)
    for toy in scene.shot_at(time_s).toys:
        if not toy.is_visible(time_s):
            continue
        toy_x, toy_y = toy.position(time_s)
        distance = np.hypot((x - toy_x) * scene.width, (y - toy_y) * scene.height) / shorter
        inside = distance < max(toy.diameter / 2, distance.min() + 1e-9)
        shape[inside] = 1 + SHAPES.index(toy.shape)
        colour[inside] = list(COLOURS).index(toy.colour_at(time_s))
        size[inside] = list(SIZES).index(toy.size)
        column[inside], row[inside] = int(toy_x * _TENTHS), int(toy_y * _TENTHS)
    return {"shape": shape, "colour": colour, "size": size, "column": column, "row": row}


def _batches(
    reader: PatchReader, config: VisionPretraining
) -> Iterator[tuple[list[Picture], dict[str, Tensor]]]:
    side = reader.patch_size
    for step in range(config.num_steps):
        rng = np.random.default_rng([config.seed, step])
        pictures, labels = [], []
        for _ in range(config.batch_size):
            picture, scene, time_s = _picture(rng, reader)
            rows, columns = picture.shape[0] // side, picture.shape[1] // side
            pictures.append(picture)
            labels.append(patch_labels(scene, time_s, rows, columns))
        joined = {
            name: torch.from_numpy(np.concatenate([label[name].ravel() for label in labels]))
            for name in labels[0]
        }
        yield pictures, joined


def _picture(rng: np.random.Generator, reader: PatchReader) -> tuple[Picture, Scene, float]:
    height, width = reader.draw_size(rng)
    if rng.random() < 0.8:
        scene, time_s = draw_crowd(rng, height, width), 0.0
    else:
        scene = make_scene(int(rng.integers(2**62)), level=1, split="train", height=height, width=width)
        time_s = float(rng.uniform(0.0, scene.duration_s - 0.01))
    frame = as_filmed(scene.render([time_s]), rng)
    height, width = (max(1, round(length / reader.multiple)) * reader.multiple for length in frame.shape[1:3])
    return resize_frames(frame, height, width)[0], scene, time_s


def _loss(logits: dict[str, Tensor], labels: dict[str, Tensor]) -> Tensor:
    """Cross-entropy of every head; the shape, which is learned last, counts twice."""
    losses = {
        name: F.cross_entropy(values, labels[name], ignore_index=NOTHING) for name, values in logits.items()
    }
    return losses["shape"] + sum(losses.values())


def _accuracy(logits: dict[str, Tensor], labels: dict[str, Tensor]) -> dict[str, float]:
    on_toys = labels["colour"] != NOTHING
    return {
        name: (values[on_toys].argmax(-1) == labels[name][on_toys]).float().mean().item()
        for name, values in logits.items()
    }


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(sum(row[name] for row in rows) / len(rows), 3) for name in rows[0]}
