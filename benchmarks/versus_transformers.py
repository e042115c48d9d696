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
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from kinema.inference.generate import decode
from kinema.inference.sampling import Sampler, SamplingConfig
from kinema.media.video import open_video
from kinema.models.videollama3 import checkpoint
from kinema.models.videollama3.model import VideoLLaMA3
from kinema.modules.vision.navit import split_frames
from kinema.processors.inputs import VisualInputs
from kinema.processors.messages import VideoPart
from kinema.processors.read import ReadSettings
from kinema.toybox import make_scene, write_clip
from mid_size import (
    SETTINGS,
    VIDEO,
    load_theirs,
    machine,
    make_processor,
    our_prefill,
    prompt_ids,
    saved,
    visual_inputs,
)

REAL_CLIP = Path(__file__).parent.parent.parent / "shared/media/room_640x360_24fps_audio.mp4"

IMAGES = ([[1, 24, 32], [1, 16, 30], [1, 40, 20], [1, 12, 12], [1, 30, 40]], [1] * 5)
NUM_PREFILL, NUM_PROMPT, NUM_NEW = 1500, 1000, 128

Run = Callable[[], tuple[float, Any]]
"""Does the work once: seconds taken, and what came out."""


@dataclass(frozen=True)
class Contest:
    """One line of the table."""

    name: str
    ours: Run
    theirs: dict[str, Run]
    """By the name of the way taken."""
    atol: float
    work: int | None = None
    """Tokens that a run makes, where the line gives tokens a second; else it gives seconds."""

    def check(self) -> None:
        """Raise if some way gives something else."""
        _, expected = self.ours()
        for run in self.theirs.values():
            torch.testing.assert_close(run()[1], expected, atol=self.atol, rtol=0.0)

    def race(self, repeats: int) -> tuple[float, float, str]:
        """Median seconds of ours and of the fastest of theirs, and its name."""
        ours: list[float] = []
        theirs: dict[str, list[float]] = {way: [] for way in self.theirs}
        for _ in range(repeats):
            ours.append(self.ours()[0])
            for way, run in self.theirs.items():
                theirs[way].append(run()[0])
        fastest = min(theirs, key=lambda way: statistics.median(theirs[way]))
        return statistics.median(ours), statistics.median(theirs[fastest]), fastest


def timed(work: Callable[[], Any]) -> Run:
    """A run of all of ``work``, without gradients."""

    def run() -> tuple[float, Any]:
        with torch.inference_mode():
            start = time.perf_counter()
            result = work()
            return time.perf_counter() - start, result

    return run


def preprocessing(clip: Path) -> Iterator[Contest]:
    """Frames to patches, then a file to patches."""
    from transformers.models.video_llama_3.image_processing_pil_video_llama_3 import (
        VideoLlama3ImageProcessorPil,
    )
    from transformers.video_utils import load_video

    with open_video(clip) as video:
        frames = video.read(fps=1.0)
    ours = make_processor(reading=ReadSettings(sampling="transformers"))
    half, budget = [0.5, 0.5, 0.5], {"shortest_edge": 16 * 28**2, "longest_edge": 16384 * 28**2}
    theirs = VideoLlama3ImageProcessorPil(size=budget, merge_size=2, image_mean=half, image_std=half)

    def patches_of(pictures: Sequence[Any]) -> Tensor:
        return theirs(images=pictures, return_tensors="pt")["pixel_values"]

    yield Contest(
        f"preprocess {len(frames)} frames of {clip.stem}",
        timed(lambda: ours.encode_video(VideoPart(source=frames)).inputs.pixel_values),
        {"PIL": timed(lambda: patches_of(list(frames.data)))},
        atol=1e-6,
    )
    yield Contest(
        f"read and preprocess {clip.stem}, 1 fps",
        timed(lambda: ours.encode_video(VideoPart(source=clip)).inputs.pixel_values),
        {"PyAV, PIL": timed(lambda: patches_of(list(load_video(str(clip), fps=1, backend="pyav")[0])))},
        atol=1e-6,
    )


def vision(ours: VideoLLaMA3, theirs: Any) -> Iterator[Contest]:
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
            timed(partial(ours.encode_visual, visual, max_patches=cut)),
            {
                "at once": timed(partial(features, visual, None)),
                "in parts": timed(partial(features, visual, cut)),
            },
            atol=1e-4,
        )


def reading(ours: VideoLLaMA3, theirs: Any) -> Contest:
    """A prompt to the logits of the next token."""
    ids = prompt_ids(NUM_PREFILL)
    return Contest(
        f"prefill {NUM_PREFILL} tokens",
        timed(lambda: our_prefill(ours, ids)[0]),
        {
            "model(...)": timed(lambda: theirs(input_ids=ids, use_cache=True).logits[:, -1]),
            "head on the last position": timed(
                lambda: theirs.lm_head(theirs.model(input_ids=ids, use_cache=True)[0][:, -1])
            ),
        },
        atol=1e-3,
        work=NUM_PREFILL,
    )


def writing(ours: VideoLLaMA3, theirs: Any) -> Contest:
    """Greedy tokens after the first one, which the prompt gives."""
    ids = prompt_ids(NUM_PROMPT)

    def run_ours() -> tuple[float, Tensor]:
        with torch.inference_mode():
            logits, cache = our_prefill(ours, ids, num_new=NUM_NEW + 1)
            tokens, times = [], []
            sampler = Sampler(SamplingConfig())
            steps = decode(ours.language_model, logits, cache, torch.tensor([NUM_PROMPT]), [sampler])
            for (step,) in islice(steps, NUM_NEW + 1):
                tokens.append(step.token)
                times.append(time.perf_counter())
        return times[-1] - times[0], torch.tensor(tokens)

    def run_theirs(kind: str) -> tuple[float, Tensor]:
        times: list[float] = []
        clock = SimpleNamespace(put=lambda tokens: times.append(time.perf_counter()), end=lambda: None)
        options = {"do_sample": False, "max_new_tokens": NUM_NEW + 1, "pad_token_id": 0}
        given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        with torch.inference_mode():
            out = theirs.generate(**given, **options, cache_implementation=kind, streamer=clock)
        return times[-1] - times[1], out[0, NUM_PROMPT:]  # the first time is that of the prompt

    caches = ("dynamic", "static")
    return Contest(
        f"decode {NUM_NEW} tokens after {NUM_PROMPT}",
        run_ours,
        {f"{kind} cache": lambda kind=kind: run_theirs(kind) for kind in caches},
        atol=0.0,
        work=NUM_NEW,
    )


def find_clip(folder: Path) -> Path:
    """The real clip, or a film of the toybox in ``folder``."""
    if REAL_CLIP.exists():
        return REAL_CLIP
    write_clip(make_scene(0, level=2, height=360, width=640), folder / "toybox.mp4")
    return folder / "toybox.mp4"


def print_speed(folder: Path, clip: Path, repeats: int) -> None:
    """One Markdown row a contest."""
    ours = checkpoint.load_weights(folder)
    theirs = load_theirs(folder)
    contests = [*preprocessing(clip), *vision(ours, theirs), reading(ours, theirs), writing(ours, theirs)]
    print("| | ours | transformers | times as fast | theirs is |\n|---|---|---|---|---|")
    for contest in contests:
        contest.check()
        our_s, their_s, way = contest.race(repeats)
        shown = [
            f"{contest.work / s:.1f} tokens/s" if contest.work else f"{s:.3f} s" for s in (our_s, their_s)
        ]
        print(f"| {contest.name} | {shown[0]} | {shown[1]} | {their_s / our_s:.2f} | {way} |", flush=True)


def main(repeats: int) -> None:
    """Build, compare, print."""
    with saved() as folder, tempfile.TemporaryDirectory() as films:
        print_speed(folder, find_clip(Path(films)), repeats)
    print(f"\n{machine()}; medians of {repeats}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    main(parser.parse_args().repeats)
