"""Ours against transformers' VideoLlama3 on the same random weights, at equal outputs, in one run.

    OMP_NUM_THREADS=1 python benchmarks/versus_transformers.py

A model of middle size is saved in transformers' layout and loaded by both. Of every line the outputs are
compared first; then both sides take turns, and medians are printed. Where transformers has several ways to
the same result, each is timed and the fastest counts. float32, sdpa attention, no gradients. Linux only.

The clip is a real one, or where there is none a film of the toybox. Their preprocessing is the Pillow image
processor, frame by frame, as their video processor needs torchvision; their reader is PyAV, as OpenCV gives
other pixels. Theirs computes no pruning mask, so ours prunes nothing.
"""

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contest import CLOCKS, Clock, Contest, clip, machine, print_contests, timed
from decoding import SETTINGS, decoding
from kinema.media.video import open_video
from kinema.models.videollama3 import checkpoint
from kinema.models.videollama3.model import VideoLLaMA3
from kinema.modules.vision.navit import split_frames
from kinema.processors.inputs import VisualInputs
from kinema.processors.messages import VideoPart
from kinema.processors.read import ReadSettings
from mid_size import VIDEO, load_theirs, make_processor, saved, visual_inputs

IMAGES = ([[1, 24, 32], [1, 16, 30], [1, 40, 20], [1, 12, 12], [1, 30, 40]], [1] * 5)


def preprocessing(film: Path, clock: Clock) -> Iterator[Contest]:
    """Frames to patches, then a file to patches."""
    from transformers.models.video_llama_3.image_processing_pil_video_llama_3 import (
        VideoLlama3ImageProcessorPil,
    )
    from transformers.video_utils import load_video

    with open_video(film) as video:
        frames = video.read(fps=1.0)
    ours = make_processor(reading=ReadSettings(sampling="transformers"))
    half, budget = [0.5, 0.5, 0.5], {"shortest_edge": 16 * 28**2, "longest_edge": 16384 * 28**2}
    theirs = VideoLlama3ImageProcessorPil(size=budget, merge_size=2, image_mean=half, image_std=half)

    def patches_of(pictures: Sequence[Any]) -> Tensor:
        return theirs(images=pictures, return_tensors="pt")["pixel_values"]

    yield Contest(
        f"preprocess {len(frames)} frames of {film.stem}",
        timed(lambda: ours.encode_video(VideoPart(source=frames)).inputs.pixel_values, clock),
        {"PIL": timed(lambda: patches_of(list(frames.data)), clock)},
        atol=1e-6,
    )
    yield Contest(
        f"read and preprocess {film.stem}, 1 fps",
        timed(lambda: ours.encode_video(VideoPart(source=film)).inputs.pixel_values, clock),
        {
            "PyAV, PIL": timed(
                lambda: patches_of(list(load_video(str(film), fps=1, backend="pyav")[0])), clock
            )
        },
        atol=1e-6,
    )


def vision(ours: VideoLLaMA3, theirs: Any, clock: Clock) -> Iterator[Contest]:
    """Patches to features that the language model reads; theirs whole, and cut as ours by hand."""

    def features(visual: VisualInputs, max_patches: int | None) -> Tensor:
        parts = [(visual.grid_thw, visual.merge_sizes)]
        if max_patches is not None:
            parts = list(split_frames(*parts[0], max_patches))
        pixels = visual.pixel_values.split([int(grids.prod(-1).sum()) for grids, _ in parts])
        found = [
            theirs.model.get_image_features(rows, grids, merges).pooler_output
            for rows, (grids, merges) in zip(pixels, parts, strict=True)
        ]
        return torch.cat([item for part in found for item in part])

    cut = SETTINGS.max_patches
    for name, item in (("16 frames of 224x420", VIDEO), ("5 images of different size", IMAGES)):
        visual = visual_inputs(*item)
        yield Contest(
            f"encode {name}",
            timed(partial(ours.encode_visual, visual, max_patches=cut), clock),
            {
                "at once": timed(partial(features, visual, None), clock),
                "in parts": timed(partial(features, visual, cut), clock),
            },
            atol=1e-4,
        )


def main(repeats: int, clock: Clock) -> None:
    """Build, compare, print."""
    with saved() as folder, clip() as film:
        ours, theirs = checkpoint.load_weights(folder), load_theirs(folder)
        contests = [
            *preprocessing(film, clock),
            *vision(ours, theirs, clock),
            *decoding(ours.language_model, theirs, clock),
        ]
        print_contests(contests, repeats)
    print(f"\n{machine()}; medians of {repeats}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    options = parser.parse_args()
    main(options.repeats, CLOCKS[options.clock])
