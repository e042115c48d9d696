"""A small VideoLLaMA3 that several processes train, and samples of very different length for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kinema.distributed.world import joined_world, rank, world_size
from kinema.models.videollama3.config import VideoLLaMA3Config
from kinema.models.videollama3.model import VideoLLaMA3
from kinema.modules.language.decoder import DecoderConfig
from kinema.modules.vision.navit import NaViTConfig
from kinema.processors.inputs import ModelInputs, VisualInputs
from kinema.training.accumulation import backward, split
from kinema.training.adapters import Adapter, add_adapter
from kinema.training.init import init_weights
from kinema.training.losses import IGNORE_INDEX, NextToken
from kinema.training.optimizer import OptimizerConfig, build_optimizer
from kinema.training.parallel import trainee
from kinema.training.run import RunConfig

VOCAB, PLACEHOLDER = 64, 63
RATES = {"vision_encoder": 1e-3, "connector": 1e-3, "language_model": 1e-2}

UPDATES = Adapter(parts=("language_model",), rank=2, alpha=4)


def small_videollama3(num_layers: int = 2) -> VideoLLaMA3:
    language = DecoderConfig(
        vocab_size=VOCAB,
        hidden_size=16,
        intermediate_size=24,
        num_layers=num_layers,
        num_heads=2,
        num_kv_heads=1,
        head_dim=8,
        max_positions=128,
        attention_bias=True,
    )
    vision = NaViTConfig(hidden_size=16, intermediate_size=24, num_layers=1, num_heads=2, patch_size=4)
    model = VideoLLaMA3(VideoLLaMA3Config(vision=vision, language=language))
    init_weights(model, seed=0)
    return model


def join(numbers: Sequence[int]) -> ModelInputs:
    """Sample i has 4 + i % 8 tokens, of which all but the first 1 + i % 4 have labels; every fourth shows a
    picture, and is what all samples of the same remainder by eight are."""
    lengths = [4 + number % 8 for number in numbers]
    ids = torch.zeros(len(numbers), max(lengths), dtype=torch.int64)
    labels = torch.full_like(ids, IGNORE_INDEX)
    pictures = []
    for row, (number, length) in enumerate(zip(numbers, lengths, strict=True)):
        generator = torch.Generator().manual_seed(number % 8)
        ids[row, :length] = torch.randint(PLACEHOLDER, (length,), generator=generator)
        first = 1 + number % 4
        labels[row, first:length] = ids[row, first:length]
        if number % 4 == 0:
            ids[row, 0] = PLACEHOLDER
            pictures.append(torch.randn(1, 3 * 4 * 4, generator=generator))
    visual = None
    if pictures:
        visual = VisualInputs(
            pixel_values=torch.cat(pictures),
            grid_thw=torch.ones(len(pictures), 3, dtype=torch.int64),
            merge_sizes=torch.ones(len(pictures), dtype=torch.int64),
        )
    return ModelInputs(
        input_ids=ids,
        position_ids=torch.arange(ids.shape[1]).expand_as(ids),
        visual=visual,
        visual_mask=ids == PLACEHOLDER,
        labels=labels,
    )


def train_captions(*, adapter: Adapter | None = None, **settings: Any) -> dict[str, Tensor]:
    """Losses of eight steps of four captions, of which this process has its share, and the weights then."""
    model, losses = small_videollama3(), []
    if adapter is not None:
        add_adapter(model, adapter)
    run = RunConfig(out_dir=Path(), **settings)
    with trainee(model, run) as learner:
        optimizer = build_optimizer(learner.model, RATES, OptimizerConfig(), learner.scaler)
        for step in range(8):
            numbers = range(4 * step, 4 * step + 4)
            mine = numbers[rank() * 4 // world_size() :][: 4 // world_size()]
            parts = [join(part) for part in split(mine, run.max_samples_at_once)]
            losses.append(backward(NextToken(), learner, parts))
            optimizer.step(1.0)
        with learner.whole():
            weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    return {"losses": torch.tensor(losses), **weights}


def train_in_each_way() -> dict[str, dict[str, Tensor]]:
    """What one of two processes finds, in every way to split the work."""
    sharded = {"shard": ("language_model",)}
    with joined_world("cpu"):
        return {
            "whole": train_captions(),
            "in parts": train_captions(max_samples_at_once=1),
            "sharded": train_captions(**sharded),
            "sharded, in parts": train_captions(**sharded, max_samples_at_once=1),
            "sharded, recomputed": train_captions(**sharded, activation_checkpointing=True),
            "sharded, updates": train_captions(**sharded, adapter=UPDATES),
            "sharded, bfloat16": train_captions(**sharded, precision="bfloat16"),
            "sharded, float16": train_captions(**sharded, precision="float16"),
        }
