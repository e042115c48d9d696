"""Ours against transformers' VideoLlava on the same random weights, at equal outputs, in one run.

    OMP_NUM_THREADS=1 python benchmarks/versus_video_llava.py --clock processor

A model of middle size is saved in transformers' layout and loaded by both; ours is without attention over
time and with quick GELU then, as theirs. Outputs are compared first; then both sides take turns, and medians
are printed. float32, sdpa attention, no gradients. Linux only.

Their preprocessing is the image processor, frame by frame, as their video processor needs torchvision. It
rounds and clips levels between its steps, so that at a few sharp edges pixels differ by up to seven levels of
256; their reader is PyAV.
"""

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contest import CLOCKS, Clock, Contest, clip, machine, print_contests, timed
from decoding import SETTINGS, decoding
from kinema.media.video import open_video
from kinema.models.languagebind.config import NUM_FRAMES, Modality
from kinema.models.video_llava.model import VideoLLaVA
from kinema.processors.messages import VideoPart
from kinema.processors.tower_inputs import TowerInputs
from kinema.processors.towers import TowerReader, TowerSight
from mid_size_video_llava import load_ours, load_theirs, make_processor, pictures, saved

SEVEN_LEVELS = 7 / 255 / 0.26


def preprocessing(film: Path, clock: Clock) -> Iterator[Contest]:
    """Frames to pixels, then a file to pixels."""
    from transformers.models.video_llava.image_processing_video_llava import VideoLlavaImageProcessor
    from transformers.video_utils import load_video

    with open_video(film) as video:
        frames = video.read(sampling="video_llava_transformers", num_frames=NUM_FRAMES)
    settings, theirs = make_processor().config, VideoLlavaImageProcessor()
    sight = TowerSight(size=(settings.pixels.size,) * 2, patch_size=settings.patch_size, has_class_token=True)

    def our_pixels(part: VideoPart) -> Tensor:
        with TowerReader(settings.reading, {"image": sight, "video": sight}, settings.signals) as reader:
            reader.add(part)
            visual = reader.encode(pixels=settings.pixels, frames_as_images=True, max_tokens=None).inputs
        assert isinstance(visual, TowerInputs)
        return visual.items[0].pixel_values

    def their_pixels(images: list[Any]) -> Tensor:
        return theirs(images=images, return_tensors="pt")["pixel_values_images"]

    def their_film() -> Tensor:
        return their_pixels(list(load_video(str(film), num_frames=NUM_FRAMES, backend="pyav")[0]))

    yield Contest(
        f"preprocess {NUM_FRAMES} frames of {film.stem}",
        timed(lambda: our_pixels(VideoPart(source=frames)), clock),
        {"PIL": timed(lambda: their_pixels(list(frames.data)), clock)},
        atol=SEVEN_LEVELS,
    )
    yield Contest(
        f"read and preprocess {film.stem}",
        timed(lambda: our_pixels(VideoPart(source=film)), clock),
        {"PyAV, PIL": timed(their_film, clock)},
        atol=SEVEN_LEVELS,
    )


def vision(ours: VideoLLaVA, theirs: Any, clock: Clock) -> Iterator[Contest]:
    """Pixels to features that the language model reads."""

    def their_features(visual: TowerInputs) -> Tensor:
        pixels = torch.cat([item.pixel_values for item in visual.items])
        if visual.items[0].modality == Modality.VIDEO:
            found = theirs.model.get_video_features(pixels[None])
        else:
            found = theirs.model.get_image_features(pixels)
        return found.pooler_output.flatten(0, 1)

    names = {Modality.IMAGE: f"{NUM_FRAMES} images", Modality.VIDEO: f"a video of {NUM_FRAMES} frames"}
    for modality, name in names.items():
        visual = pictures(modality)
        yield Contest(
            f"encode {name}",
            timed(partial(ours.encode_visual, visual, max_patches=SETTINGS.max_patches), clock),
            {"at once": timed(partial(their_features, visual), clock)},
            atol=1e-4,
        )


def main(repeats: int, clock: Clock) -> None:
    """Build, compare, print."""
    with saved() as folder, clip() as film:
        ours, theirs = load_ours(folder), load_theirs(folder)
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
