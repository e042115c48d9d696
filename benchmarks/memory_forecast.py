"""Does ``plan`` forecast the memory that ``ask`` takes?

    python benchmarks/memory_forecast.py

For each case a child process warms up on a tiny model, so that libraries are loaded, resets the kernel's
record of the peak, builds a model with random weights and asks it about a clip of noise. Measured is the peak
of resident memory above what was resident before the model was built. The last case hears: published BEATs
with a small Q-Former and language model, and a sound of noise. Linux only.
"""

import argparse
import gc
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from kinema.inference.engine import VideoLanguageModel
from kinema.inference.runner import RunSettings
from kinema.media.frames import AudioClip, FrameBatch
from kinema.models.internvideo2.captioner import AudioCaptioner, CaptionerConfig
from kinema.models.internvideo2.captioner_processor import CaptionerProcessor, CaptionerProcessorConfig
from kinema.models.videollama3.config import VideoLLaMA3Config
from kinema.models.videollama3.model import VideoLLaMA3
from kinema.models.videollama3.processor import VideoLLaMA3Processor, VideoLLaMA3ProcessorConfig
from kinema.modules.audio.beats import BEATsConfig
from kinema.modules.connectors.qformer import QFormerConfig
from kinema.modules.language.decoder import DecoderConfig
from kinema.modules.vision.navit import NaViTConfig
from kinema.processors.pruning import NoPruning
from kinema.processors.sentence_pieces import SentencePieceTokenizer
from kinema.processors.tokenizer import TextTokenizer

GOLDEN = Path(__file__).parent.parent / "tests/golden"
TOKENIZER = GOLDEN / "videollama3/tokenizer/tokenizer.json"
PIECES = GOLDEN / "video_llava/tokenizer.model"
SAMPLE_RATE = 16000

Media = FrameBatch | AudioClip


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
SOUND_S = 60
"""Of the sound that is heard, six windows."""


def run_all() -> None:
    """Print one line a case."""
    print(f"{'case':42}{'forecast MB':>12}{'measured MB':>12}{'ratio':>7}")
    for case in CASES:
        name = "{} {} x {}x{}, {} patches at once".format(*case)
        run_child(name, "--case", *map(str, case))
    run_child(f"{SOUND_S} s of sound", "--sound", str(SOUND_S))


def run_child(name: str, *arguments: str) -> None:
    """Print the line of one case, from a process of its own."""
    command = [sys.executable, __file__, *arguments]
    result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    forecast, measured = result["forecast"] / 1e6, result["measured"] / 1e6
    print(f"{name:42}{forecast:12.0f}{measured:12.0f}{forecast / measured:7.2f}", flush=True)


def run_case(size: str, num_frames: int, height: int, width: int, max_patches: int) -> dict[str, int]:
    """Forecast and measured peak of one case, in bytes."""
    return measure(lambda: load(SIZES[size], max_patches), clip(num_frames, height, width))


def run_sound(duration_s: int) -> dict[str, int]:
    """The same of a model that hears."""
    return measure(load_ears, noise(duration_s))


def measure(build: Callable[[], VideoLanguageModel], media: Media) -> dict[str, int]:
    """Forecast and measured peak of a model that is asked about media; these are there before it."""
    torch.set_num_threads(1)
    ask(load(SIZES["nano"], 4096), clip(2, 56, 56))
    gc.collect()
    before = status_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    model = build()
    plan = model.plan(media, "What is this?", max_new_tokens=16)
    ask(model, media)
    return {"forecast": plan.memory.peak, "measured": status_bytes("VmHWM") - before}


def load(size: Size, max_patches: int) -> VideoLanguageModel:
    """A model that writes until its answer is full."""
    tokenizer = TextTokenizer(Tokenizer.from_file(str(TOKENIZER)))
    processor = VideoLLaMA3Processor(tokenizer, VideoLLaMA3ProcessorConfig(pruning=NoPruning()))
    return VideoLanguageModel(
        size.build(), processor, eos_ids=(), settings=RunSettings(max_patches=max_patches)
    )


def load_ears() -> VideoLanguageModel:
    """Published BEATs, and a model that speaks of what they hear."""
    pieces = SentencePieceTokenizer(PIECES.read_bytes())
    markers = {"[INST]": pieces.num_pieces, "[/INST]": pieces.num_pieces + 1}
    tokenizer = SentencePieceTokenizer(pieces.model, added_tokens=markers)
    config = CaptionerConfig(
        audio=BEATsConfig(),
        bridge=QFormerConfig(memory_size=768, hidden_size=256, intermediate_size=1024, num_heads=4),
        language=DecoderConfig(
            vocab_size=tokenizer.vocab_size,
            hidden_size=512,
            intermediate_size=1536,
            num_layers=12,
            num_heads=8,
            num_kv_heads=4,
            head_dim=64,
            max_positions=4096,
        ),
    )
    processor = CaptionerProcessor(tokenizer, CaptionerProcessorConfig())
    return VideoLanguageModel(AudioCaptioner(config).eval(), processor, eos_ids=())


def ask(model: VideoLanguageModel, media: Media) -> None:
    """One answer of 16 tokens."""
    model.ask(media, "What is this?", max_new_tokens=16)


def clip(num_frames: int, height: int, width: int) -> FrameBatch:
    """Noise, a frame a second."""
    data = np.random.default_rng(0).integers(0, 256, (num_frames, height, width, 3), np.uint8)
    return FrameBatch(data=data, pts_s=np.arange(num_frames, dtype=np.float64), duration_s=float(num_frames))


def noise(duration_s: int) -> AudioClip:
    """One channel at 16 kHz."""
    data = np.random.default_rng(0).standard_normal((duration_s * SAMPLE_RATE, 1), np.float32)
    return AudioClip(data=data, sample_rate=SAMPLE_RATE, start_s=0.0)


def status_bytes(field: str) -> int:
    """A line of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", nargs=5)
    parser.add_argument("--sound", type=int)
    arguments = parser.parse_args()
    if arguments.case is not None:
        print(json.dumps(run_case(arguments.case[0], *map(int, arguments.case[1:]))))
    elif arguments.sound is not None:
        print(json.dumps(run_sound(arguments.sound)))
    else:
        run_all()
