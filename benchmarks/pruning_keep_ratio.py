"""How many visual tokens each pruning rule keeps of real clips.

    python benchmarks/pruning_keep_ratio.py ../shared/media/*.mp4

Each clip is read at 1 frame a second with the official sampling and resize rule (m = 2), so the numbers are
those of the model's own input. The always-kept first frame alone is 1 / frames.
"""

import argparse
import time
from pathlib import Path

import torch

from kinema.models.videollama3.processor import VideoLLaMA3ProcessorConfig
from kinema.processors.messages import VideoPart
from kinema.processors.pruning import (
    LastKeptPruning,
    NoPruning,
    PreviousFramePruning,
    Pruning,
    TokenBudgetPruning,
)
from kinema.processors.read import MediaReader
from kinema.processors.visuals import EncodedVisuals, encode_clips

LEVELS = (0.05, 1, 2, 4, 8)
"""Thresholds of ``LastKeptPruning`` in grey levels; the first is the published one."""


def rules(num_tokens: int) -> dict[str, Pruning]:
    """The rules to compare on a clip of so many tokens."""
    return {
        "official 0.1": PreviousFramePruning(),
        **{f"last kept {levels:g}": LastKeptPruning(threshold_levels=levels) for levels in LEVELS},
        "budget 1/2": TokenBudgetPruning(max_tokens=num_tokens // 2),
        "budget 1/4": TokenBudgetPruning(max_tokens=num_tokens // 4),
    }


def encode(path: Path) -> EncodedVisuals:
    """All tokens of a clip, as the released model would get them."""
    config = VideoLLaMA3ProcessorConfig()
    with MediaReader(config.reading) as reader:
        reader.add_video(VideoPart(source=path))
        return encode_clips(
            reader.clips,
            reader.frames(),
            [config.video_merge_size],
            patch_size=config.patch_size,
            resize=config.resize,
            resampler=config.resampler,
            pruning=NoPruning(),
        )


def main(paths: list[Path]) -> None:
    """Print one Markdown row a clip."""
    names = list(rules(num_tokens=4))
    seconds = dict.fromkeys(names, 0.0)
    print("| clip | frames | tokens |", " | ".join(names), "|")
    print("|---" * (3 + len(names)) + "|")
    for path in paths:
        visuals = encode(path)
        (item,), inputs = visuals.items, visuals.inputs
        tokens = int(inputs.tokens_per_item)
        row = []
        for name, rule in rules(tokens).items():
            start = time.perf_counter()
            keep = rule(inputs.pixel_values, inputs.grid_thw, inputs.merge_sizes)
            seconds[name] += time.perf_counter() - start
            row.append(f"{keep.float().mean():.3f}")
        print(f"| {path.name} | {item.grid_thw[0]} | {tokens} |", " | ".join(row), "|", flush=True)
    print("| seconds, all clips | | |", " | ".join(f"{seconds[name]:.2f}" for name in names), "|")
    print(f"\n{torch.get_num_threads()} torch thread(s)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    main(parser.parse_args().clips)
