"""Ours against transformers' VideoLlama3 on the same random weights, at equal outputs, in one run.

    OMP_NUM_THREADS=1 python benchmarks/versus_transformers.py

A model of middle size is saved in transformers' layout and loaded by both. Of every line the outputs are
compared first; then both sides take turns, and medians are printed. Where transformers has several ways to
the same result, each is timed and the fastest counts. float32, sdpa attention, no gradients. Peak memory is
that of a process of its own, beyond what it held after its imports. Linux only.

Their preprocessing is the Pillow image processor, frame by frame: their video processor needs torchvision.
Theirs computes no pruning mask, so ours prunes nothing.
"""

import argparse
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from kinema.inference.cache import StaticCache
from kinema.inference.generate import decode, prefill
from kinema.inference.runner import RunSettings
from kinema.inference.sampling import Sampler, SamplingConfig
from kinema.media.video import open_video
from kinema.models.videollama3 import checkpoint
from kinema.models.videollama3.config import VideoLLaMA3Config
from kinema.models.videollama3.keys import Layout
from kinema.models.videollama3.model import VideoLLaMA3
from kinema.models.videollama3.processor import VideoLLaMA3Processor, VideoLLaMA3ProcessorConfig
from kinema.modules.language.decoder import DecoderConfig
from kinema.modules.vision.navit import NaViTConfig, split_frames
from kinema.processors.inputs import ModelInputs, VisualInputs
from kinema.processors.messages import VideoPart
from kinema.processors.pruning import NoPruning
from kinema.processors.read import ReadSettings
from kinema.processors.tokenizer import TextTokenizer

ROOT = Path(__file__).parent.parent
TOKENIZER = ROOT / "tests/golden/videollama3/tokenizer/tokenizer.json"
CLIP = ROOT.parent / "shared/media/room_640x360_24fps_audio.mp4"

CONFIG = VideoLLaMA3Config(
    vision=NaViTConfig(hidden_size=384, intermediate_size=1536, num_layers=12, num_heads=6),
    language=DecoderConfig(
        vocab_size=32000,
        hidden_size=512,
        intermediate_size=1536,
        num_layers=12,
        num_heads=8,
        num_kv_heads=2,
        head_dim=64,
        max_positions=32768,
        rope_theta=1e6,
        attention_bias=True,
        tie_word_embeddings=True,
    ),
)
SETTINGS = RunSettings.for_device(torch.device("cpu"))

VIDEO = ([[16, 16, 30]], [2])
"""16 frames of 224 x 420 pixels: grid_thw, merge_sizes."""
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


def make_processor(**settings: Any) -> VideoLLaMA3Processor:
    """Ours, without pruning."""
    config = VideoLLaMA3ProcessorConfig(pruning=NoPruning(), **settings)
    return VideoLLaMA3Processor(TextTokenizer(Tokenizer.from_file(str(TOKENIZER))), config)


def load_theirs(folder: Path) -> Any:
    """Their class, so that no token ends an answer."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model = transformers.VideoLlama3ForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="sdpa"
    )
    model.generation_config.eos_token_id = None
    return model.eval()


def visual_inputs(grid_thw: Sequence[Sequence[int]], merge_sizes: Sequence[int]) -> VisualInputs:
    """Noise of that form."""
    grids = torch.tensor(grid_thw)
    values = 3 * CONFIG.vision.patch_size**2
    pixels = torch.rand(int(grids.prod(-1).sum()), values, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return VisualInputs(pixel_values=pixels, grid_thw=grids, merge_sizes=torch.tensor(merge_sizes))


def prompt_ids(length: int) -> Tensor:
    """(1, N) tokens, none of them a placeholder."""
    return torch.randint(1000, 30000, (1, length), generator=torch.Generator().manual_seed(0))


def preprocessing() -> Iterator[Contest]:
    """Frames to patches, then a file to patches."""
    from transformers.models.video_llama_3.image_processing_pil_video_llama_3 import (
        VideoLlama3ImageProcessorPil,
    )
    from transformers.video_utils import load_video

    with open_video(CLIP) as video:
        frames = video.read(fps=1.0)
    ours = make_processor(reading=ReadSettings(sampling="transformers"))
    half, budget = [0.5, 0.5, 0.5], {"shortest_edge": 16 * 28**2, "longest_edge": 16384 * 28**2}
    theirs = VideoLlama3ImageProcessorPil(size=budget, merge_size=2, image_mean=half, image_std=half)

    def patches_of(pictures: Sequence[Any]) -> Tensor:
        return theirs(images=pictures, return_tensors="pt")["pixel_values"]

    yield Contest(
        f"preprocess {len(frames)} frames of {CLIP.stem}",
        timed(lambda: ours.encode_video(VideoPart(source=frames)).inputs.pixel_values),
        {"PIL": timed(lambda: patches_of(list(frames.data)))},
        atol=1e-6,
    )
    yield Contest(
        f"read and preprocess {CLIP.stem}, 1 fps",
        timed(lambda: ours.encode_video(VideoPart(source=CLIP)).inputs.pixel_values),
        {"PyAV, PIL": timed(lambda: patches_of(list(load_video(str(CLIP), fps=1, backend="pyav")[0])))},
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


def our_prefill(model: VideoLLaMA3, ids: Tensor, *, num_new: int = 0) -> tuple[Tensor, StaticCache]:
    """Logits (1, V) and a cache with room for an answer."""
    cache = StaticCache(CONFIG.language, ids.shape[1] + num_new)
    embeds, positions = model.language_model.embed(ids), torch.arange(ids.shape[1])[None]
    return prefill(model.language_model, embeds, positions, cache, chunk=SETTINGS.prefill_chunk), cache


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


def peak_bytes(side: str, job: str, num_frames: int, folder: Path) -> int:
    """Peak of a process of its own that loads the model and does a job, beyond its imports."""
    command = [sys.executable, __file__, "--child", side, job, str(num_frames), str(folder)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def measure_peak(side: str, job: str, num_frames: int, folder: Path) -> int:
    """In the child: ``job`` is "vision", or "answer" with a prompt and a few new tokens."""
    if side == "theirs":
        import transformers  # noqa: F401
    visual = visual_inputs([[num_frames, *VIDEO[0][0][1:]]], VIDEO[1])
    gc.collect()
    before = status_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    work = our_job if side == "ours" else their_job
    with torch.inference_mode():
        work(folder, visual, answer=job == "answer")
    return status_bytes("VmHWM") - before


def our_job(folder: Path, visual: VisualInputs, *, answer: bool) -> None:
    """Encode the clip; where an answer is wanted, read it with a prompt and write 16 tokens."""
    model = checkpoint.load_weights(folder)
    if not answer:
        model.encode_visual(visual, max_patches=SETTINGS.max_patches)
        return
    ids, mask = clip_prompt(folder, int(visual.tokens_per_item.sum()))
    inputs = ModelInputs(input_ids=ids, position_ids=torch.arange(ids.shape[1])[None], visual=visual)
    embeds = model.embed(replace(inputs, visual_mask=mask), max_patches=SETTINGS.max_patches)
    cache = StaticCache(CONFIG.language, ids.shape[1] + 16)
    logits = prefill(model.language_model, embeds, inputs.position_ids, cache, chunk=SETTINGS.prefill_chunk)
    steps = decode(
        model.language_model, logits, cache, torch.tensor([ids.shape[1]]), [Sampler(SamplingConfig())]
    )
    list(islice(steps, 16))


def their_job(folder: Path, visual: VisualInputs, *, answer: bool) -> None:
    """The same with theirs."""
    model = load_theirs(folder)
    clip = {
        "pixel_values_videos": visual.pixel_values,
        "video_grid_thw": visual.grid_thw,
        "video_merge_sizes": visual.merge_sizes,
    }
    if not answer:
        model.model.get_video_features(**clip)
        return
    ids, _ = clip_prompt(folder, int(visual.tokens_per_item.sum()))
    model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        **clip,
        do_sample=False,
        max_new_tokens=16,
        pad_token_id=0,
    )


def clip_prompt(folder: Path, num_visual: int) -> tuple[Tensor, Tensor]:
    """(1, N) ids with a placeholder a visual token between 20 words, and where they stand."""
    placeholder = json.loads((folder / "config.json").read_text())["video_token_id"]
    words, clip = prompt_ids(10), torch.full((1, num_visual), placeholder)
    ids = torch.cat((words, clip, words), dim=1)
    return ids, ids == placeholder


def status_bytes(field: str) -> int:
    """A line of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def print_speed(folder: Path, repeats: int) -> None:
    """One Markdown row a contest."""
    ours, theirs = checkpoint.load_weights(folder), load_theirs(folder)
    contests = [*preprocessing(), *vision(ours, theirs), reading(ours, theirs), writing(ours, theirs)]
    print("| | ours | transformers | times as fast | theirs is |\n|---|---|---|---|---|")
    for contest in contests:
        contest.check()
        our_s, their_s, way = contest.race(repeats)
        shown = [
            f"{contest.work / s:.1f} tokens/s" if contest.work else f"{s:.3f} s" for s in (our_s, their_s)
        ]
        print(f"| {contest.name} | {shown[0]} | {shown[1]} | {their_s / our_s:.2f} | {way} |", flush=True)


def print_memory(folder: Path) -> None:
    """Peaks of both sides, and how they grow with a clip."""
    print("\n| peak memory | ours | transformers | theirs / ours |\n|---|---|---|---|")
    for job, num_frames in (("answer", 16), ("vision", 16), ("vision", 64)):
        ours, theirs = (peak_bytes(side, job, num_frames, folder) for side in ("ours", "theirs"))
        name = f"{job}, {num_frames} frames of 224x420"
        print(f"| {name} | {ours / 1e6:.0f} MB | {theirs / 1e6:.0f} MB | {theirs / ours:.2f} |", flush=True)


def main(repeats: int) -> None:
    """Build, compare, print."""
    import transformers

    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        checkpoint.save(VideoLLaMA3(CONFIG), make_processor(), folder, layout=Layout.TRANSFORMERS)
        print_speed(folder, repeats)
        print_memory(folder)
    cpu = next(
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    )
    print(
        f"\n{cpu.split(': ')[1]}, {torch.backends.cpu.get_cpu_capability()}, {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} thread(s); Python {platform.python_version()}, "
        f"torch {torch.__version__}, transformers {transformers.__version__}; medians of {repeats}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child is None:
        main(arguments.repeats)
    else:
        side, job, num_frames, folder = arguments.child
        print(measure_peak(side, job, int(num_frames), Path(folder)))
