"""Does ``plan`` forecast the memory that ``ask`` takes?

    python benchmarks/memory_forecast.py

For each case a child process warms up on a tiny model, so that libraries are loaded, resets the kernel's
record of the peak, builds a model with random weights and asks it about a clip of noise. Measured is the peak
of resident memory above what was resident before the model was built. Linux only.
"""

import argparse
import gc
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from kinema.inference.engine import VideoLanguageModel
from kinema.inference.runner import RunSettings
from kinema.media.frames import FrameBatch
from kinema.models.videollama3.config import VideoLLaMA3Config
from kinema.models.videollama3.model import VideoLLaMA3
from kinema.models.videollama3.processor import VideoLLaMA3Processor, VideoLLaMA3ProcessorConfig
from kinema.modules.language.decoder import DecoderConfig
from kinema.modules.vision.navit import NaViTConfig
from kinema.processors.pruning import NoPruning
from kinema.processors.tokenizer import TextTokenizer

TOKENIZER = Path(__file__).parent.parent / "tests/golden/videollama3/tokenizer/tokenizer.json"


@dataclass(frozen=True)
class Size:
    """A model by its widths and depths."""

    vision: tuple[int, int]
    """Hidden size and layers."""
    language: tuple[int, int]
    vocab_size: int

    def build(self) -> VideoLLaMA3:
        """With random weights; heads of 64."""
        (vision_width, vision_layers), (width, layers) = self.vision, self.language
        vision = NaViTConfig(
            hidden_size=vision_width,
            intermediate_size=4 * vision_width,
            num_layers=vision_layers,
            num_heads=max(1, vision_width // 64),
        )
        language = DecoderConfig(
            vocab_size=self.vocab_size,
            hidden_size=width,
            intermediate_size=3 * width,
            num_layers=layers,
            num_heads=width // 64,
            num_kv_heads=max(1, width // 128),
            head_dim=64,
            max_positions=32768,
            attention_bias=True,
            tie_word_embeddings=True,
        )
        return VideoLLaMA3(VideoLLaMA3Config(vision=vision, language=language)).eval()


SIZES = {
    "nano": Size(vision=(128, 4), language=(192, 6), vocab_size=2048),
    "mid": Size(vision=(384, 12), language=(512, 12), vocab_size=32000),
}
CASES = [
    ("nano", 32, 224, 448, 4096),
    ("nano", 128, 224, 448, 4096),
    ("mid", 16, 336, 588, 4096),
    ("mid", 48, 336, 588, 4096),
    ("mid", 96, 224, 420, 4096),
    ("mid", 48, 336, 588, 1024),
    ("mid", 16, 336, 588, 16384),
]
"""Size, frames, height, width, max_patches."""


def run_all() -> None:
    """Print one line a case."""
    print(f"{'case':42}{'forecast MB':>12}{'measured MB':>12}{'ratio':>7}")
    for case in CASES:
        command = [sys.executable, __file__, "--case", *map(str, case)]
        result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        name = "{} {} x {}x{}, {} patches at once".format(*case)
        forecast, measured = result["forecast"] / 1e6, result["measured"] / 1e6
        print(f"{name:42}{forecast:12.0f}{measured:12.0f}{forecast / measured:7.2f}", flush=True)


def run_case(size: str, num_frames: int, height: int, width: int, max_patches: int) -> dict[str, int]:
    """Forecast and measured peak of one case, in bytes."""
    torch.set_num_threads(1)
    ask(load(SIZES["nano"], max_patches), clip(2, 56, 56))
    gc.collect()
    before = status_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    model = load(SIZES[size], max_patches)
    frames = clip(num_frames, height, width)
    plan = model.plan(frames, "What is this?", max_new_tokens=16)
    ask(model, frames)
    return {"forecast": plan.memory.peak + frames.data.nbytes, "measured": status_bytes("VmHWM") - before}


def load(size: Size, max_patches: int) -> VideoLanguageModel:
    """A model that writes until its answer is full."""
    tokenizer = TextTokenizer(Tokenizer.from_file(str(TOKENIZER)))
    processor = VideoLLaMA3Processor(tokenizer, VideoLLaMA3ProcessorConfig(pruning=NoPruning()))
    return VideoLanguageModel(
        size.build(), processor, eos_ids=(), settings=RunSettings(max_patches=max_patches)
    )


def ask(model: VideoLanguageModel, frames: FrameBatch) -> None:
    """One answer of 16 tokens."""
    model.ask(frames, "What is this?", max_new_tokens=16)


def clip(num_frames: int, height: int, width: int) -> FrameBatch:
    """Noise, a frame a second."""
    data = np.random.default_rng(0).integers(0, 256, (num_frames, height, width, 3), np.uint8)
    return FrameBatch(data=data, pts_s=np.arange(num_frames, dtype=np.float64), duration_s=float(num_frames))


def status_bytes(field: str) -> int:
    """A line of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", nargs=5)
    case = parser.parse_args().case
    if case is None:
        run_all()
    else:
        print(json.dumps(run_case(case[0], *map(int, case[1:]))))
