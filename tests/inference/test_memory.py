"""The forecast against what a process really takes; ``benchmarks/memory_forecast.py`` has more cases."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kinema.inference.memory import Load, forecast
from kinema.inference.protocols import VisionSizes
from kinema.modules.audio.beats import BEATsConfig
from kinema.modules.language.decoder import DecoderConfig
from kinema.modules.vision.navit import NaViTConfig
from kinema.processors.visuals import VisualItem

MEBI = 1 << 20
BENCHMARK = Path(__file__).parent.parent.parent / "benchmarks/memory_forecast.py"


def vision_bytes(vision: VisionSizes, patches: tuple[int, int] = (16, 16), *, on_host: bool = False) -> int:
    """Of one image, or window of sound, of so many rows and columns of patches."""
    language = DecoderConfig(
        vocab_size=8,
        hidden_size=64,
        intermediate_size=64,
        num_layers=1,
        num_heads=1,
        num_kv_heads=1,
        head_dim=64,
        max_positions=64,
    )
    item = VisualItem(
        kind="image",
        name="image",
        times_s=(None,),
        original_size=(224, 224),
        grid_thw=(1, *patches),
        merge_size=1,
        tokens_per_frame=(256,),
        fixed_tokens=256,
    )
    load = Load(items=[item], num_prompt=256, num_new=1, max_patches=256, prefill_chunk=256)
    return forecast(0, vision, language, [load], dtype=torch.float32, on_host=on_host).vision


def beats(hidden_size: int, position_kernel: int) -> BEATsConfig:
    return BEATsConfig(
        hidden_size=hidden_size,
        intermediate_size=64,
        num_layers=1,
        num_heads=4,
        position_kernel=position_kernel,
    )


def test_a_host_keeps_small_blocks_that_were_freed_beside_large_ones():
    # A hidden state is 1 MiB and one inside the MLP 32. The MLP holds 4 small blocks beside its 2 large ones;
    # attention had 11 small ones before.
    vision = NaViTConfig(hidden_size=1024, intermediate_size=32768, num_layers=1, num_heads=16)
    compiled = 24 * MEBI
    assert vision_bytes(vision, on_host=True) - vision_bytes(vision) == (11 - 4) * MEBI + compiled


def test_distances_between_tokens_of_sound_count_twice_for_each_pair_and_head():
    # 1024 tokens in 4 heads: 16 MiB of distances, and as many gated. A hidden state is 256 KiB: attention
    # holds 7 of them beside the distances, and 10 where there are none.
    plain = NaViTConfig(hidden_size=64, intermediate_size=64, num_layers=1, num_heads=4, patch_size=16)
    tokens = (8, 128)
    sound = vision_bytes(beats(hidden_size=64, position_kernel=1), tokens)
    assert sound - vision_bytes(plain, tokens) == (2 * 16 - 3 * 0.25) * MEBI


def test_the_convolution_over_tokens_of_sound_counts_its_weight_and_its_states_twice():
    # 1024 taps more, of 16 groups of 32 channels: 64 MiB of weight, and 2 MiB of padding of the one token.
    short, long = (vision_bytes(beats(512, kernel), (1, 1)) for kernel in (1024, 2048))
    assert long - short == 2 * (64 + 2) * MEBI


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak of a process from /proc")
@pytest.mark.parametrize("case", ["--case nano 32 224 448 4096", "--sound 10"])
def test_the_forecast_is_near_what_is_taken(case):
    command = [sys.executable, str(BENCHMARK), *case.split()]
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    assert found["forecast"] == pytest.approx(found["measured"], rel=0.3)
