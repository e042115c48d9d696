"""LanguageBind (arXiv 2310.01852): one modality after another bound to OpenCLIP's locked text tower.

Parts, rates, batches and masks are those of the paper's appendix; where the published scripts
(PKU-YuanGroup/LanguageBind) differ, ``Published`` says so. A run needs an image model to start from, such as
``LanguageBind/LanguageBind_Image``, and pairs of VIDAL-10M, which are not ours to ship.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace

import torch

from kinema.datasets.mixture import Mixture
from kinema.errors import ConfigError
from kinema.hub.lora import LoraConfig
from kinema.models.languagebind.config import Modality, languagebind_large
from kinema.models.languagebind.model import LanguageBind
from kinema.models.languagebind.start import start_from_image
from kinema.training.contrastive import Contrastive
from kinema.training.low_rank import add_low_rank
from kinema.training.optimizer import OptimizerConfig
from kinema.training.schedule import Cosine
from kinema.training.stage import Stage

_ALWAYS = ("vision_encoder.class_embedding", "vision_encoder.final_norm", "visual_projection", "logit_scale")
_TEMPORAL = "vision_encoder.layers.*.temporal"
_SPATIAL = "vision_encoder.layers.*.spatial"

FULL_TEMPORAL_PARTS = (_TEMPORAL, *_ALWAYS)
"""What a video tower learns in the models called FT; all else is the image tower's, and stays."""
LOW_RANK_VIDEO_PARTS = (
    f"{_TEMPORAL}.attention.*.low_rank",
    f"{_TEMPORAL}.embedding",
    f"{_TEMPORAL}.norm",
    *_ALWAYS,
)
"""What a video tower learns where its attention over time has low-rank updates."""
LOW_RANK_PARTS = (f"{_SPATIAL}.attention.*.low_rank", *_ALWAYS)
"""What towers of the other modalities learn. What lies beside the updates is taken to be as for video."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """How one modality was trained."""

    epochs: int
    learning_rate: float
    batch_size: int
    num_warmup: int
    patch_dropout: float
    rank: int
    lora_dropout: float
    alpha: float = 16
    targets: Mapping[str, int] = field(
        default_factory=lambda: {f"{_SPATIAL}.attention.qkv": 3, f"{_SPATIAL}.attention.out": 1}
    )
    """Layers with low-rank updates, to the number of matrices fused in each."""


PUBLISHED = {
    Modality.VIDEO: Published(
        epochs=16,
        learning_rate=1e-4,
        batch_size=640,
        num_warmup=2000,
        patch_dropout=0.3,
        rank=16,  # the released LanguageBind_Video has rank 64
        lora_dropout=0.0,  # and 0.1
        targets={f"{_TEMPORAL}.attention.qkv": 3, f"{_TEMPORAL}.attention.out": 1},
    ),
    Modality.THERMAL: Published(
        epochs=1,
        learning_rate=1e-4,
        batch_size=1024,
        num_warmup=200,
        patch_dropout=0.5,
        rank=2,
        lora_dropout=0.1,
    ),
    Modality.DEPTH: Published(
        epochs=1,
        learning_rate=5e-4,
        batch_size=1024,
        num_warmup=200,
        patch_dropout=0.5,
        rank=2,
        lora_dropout=0.1,
    ),
    Modality.AUDIO: Published(
        epochs=8,  # the script says 16
        learning_rate=5e-4,  # 1e-3
        batch_size=512,  # 1024
        num_warmup=2000,
        patch_dropout=0.3,  # 0.1
        rank=16,
        lora_dropout=0.1,
    ),
}
"""The paper's table; images are not trained, their tower is OpenCLIP's."""


def languagebind_model(
    image: LanguageBind, modality: Modality, *, low_rank: bool = True, seed: int = 42
) -> LanguageBind:
    """A model of a modality as its training starts: everything copied from that of images.

    Args:
        image: a model of images; it is left as it is.
        modality: what to learn.
        low_rank: put low-rank updates beside the published layers; without, a video tower learns its temporal
            blocks in full. Save it after ``training.low_rank.merge_low_rank``.
        seed: of frame embeddings and updates.

    Raises:
        ConfigError: if the modality is not trained.
    """
    published = _published(modality, low_rank=low_rank)
    like = languagebind_large(modality).vision
    vision = replace(
        image.config.vision,
        num_frames=like.num_frames,
        image_size=like.image_size if modality is Modality.AUDIO else image.config.vision.image_size,
        patch_dropout=published.patch_dropout,
    )
    generator = torch.Generator().manual_seed(seed)
    model = deepcopy(image)
    model.config = replace(image.config, modality=modality, vision=vision)
    model.vision_encoder = start_from_image(image.vision_encoder, vision, generator)
    if low_rank:
        config = LoraConfig(rank=published.rank, alpha=published.alpha)
        dropout = published.lora_dropout
        add_low_rank(model, published.targets, config, dropout=dropout, generator=generator)
    return model


def languagebind_stages(
    modality: Modality,
    data: Mixture,
    num_samples: int,
    *,
    low_rank: bool = True,
    chunk_size: int | None = None,
) -> list[Stage]:
    """The published training of a modality, one stage.

    Args:
        modality: video, thermal, depth or audio.
        data: conversations that show one thing and answer with its text.
        num_samples: how many there are, 3,000,000 of video; with the published epochs they give the steps.
        low_rank: as for ``languagebind_model``.
        chunk_size: rows that go through the towers at a time, to save memory; nothing else changes.

    Raises:
        ConfigError: if the modality is not trained.
    """
    published = _published(modality, low_rank=low_rank)
    parts: tuple[str, ...] = FULL_TEMPORAL_PARTS
    if low_rank:
        parts = LOW_RANK_VIDEO_PARTS if modality is Modality.VIDEO else LOW_RANK_PARTS
    stage = Stage(
        name=f"{modality}_text",
        learning_rates=dict.fromkeys(parts, published.learning_rate),
        data=data,
        num_steps=max(1, published.epochs * (num_samples // published.batch_size)),
        batch_size=published.batch_size,
        loss=Contrastive(chunk_size=chunk_size),
        schedule=Cosine(num_warmup=published.num_warmup),
        optimizer=OptimizerConfig(weight_decay=0.2, betas=(0.9, 0.98), eps=1e-6),
    )
    return [stage]


def _published(modality: Modality, *, low_rank: bool) -> Published:
    if modality not in PUBLISHED:
        raise ConfigError(f"{modality} is not trained; these are: {', '.join(PUBLISHED)}.")
    if not low_rank and modality is not Modality.VIDEO:
        raise ConfigError(f"only video was trained without low-rank updates, not {modality}.")
    return PUBLISHED[modality]
