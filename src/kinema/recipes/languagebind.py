"""LanguageBind (arXiv 2310.01852): one modality after another bound to OpenCLIP's locked text tower.

Parts, rates, batches and masks are those of the paper's appendix; where the published scripts
(PKU-YuanGroup/LanguageBind) differ, ``Published`` says so. A run needs an image model to start from, such as
``LanguageBind/LanguageBind_Image``, and pairs of VIDAL-10M, which are not ours to ship, or your own:

    kinema train languagebind_video --part image=LanguageBind/LanguageBind_Image \
        --data pairs.json --media data

docs/training.md walks through it.
"""

import math
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch

from kinema.datasets.mixture import Mixture
from kinema.datasets.own import open_records
from kinema.datasets.own.place import is_remote
from kinema.datasets.vidal import VidalModality, VidalRecords, is_vidal
from kinema.errors import ConfigError
from kinema.hub.download import SETTINGS_FILES
from kinema.hub.lora import LoraConfig
from kinema.models.languagebind import checkpoint
from kinema.models.languagebind.config import LanguageBindConfig, Modality, languagebind_large
from kinema.models.languagebind.model import INITIAL_TEMPERATURE, LanguageBind
from kinema.models.languagebind.pairs import PairProcessor
from kinema.models.languagebind.processor import LanguageBindProcessor
from kinema.models.languagebind.processor_json import default_settings
from kinema.models.languagebind.start import start_from_image
from kinema.models.loaded import Loaded
from kinema.models.registry import find_checkpoint
from kinema.recipes.published_data import PublishedData, data
from kinema.recipes.recipe import Finite, Outline, Recipe, Request, expect_full_batch, mixture_of
from kinema.training.contrastive import Contrastive
from kinema.training.low_rank import add_low_rank, merged_tensors
from kinema.training.optimizer import OptimizerConfig
from kinema.training.order import Shuffled
from kinema.training.schedule import Cosine
from kinema.training.stage import Stage

ALWAYS_LEARNED = (
    "vision_encoder.class_embedding",
    "vision_encoder.final_norm",
    "visual_projection",
    "logit_scale",
)
"""What every tower learns beside its layers."""
_TEMPORAL = "vision_encoder.layers.*.temporal"
_SPATIAL = "vision_encoder.layers.*.spatial"

FULL_TEMPORAL_PARTS = (_TEMPORAL, *ALWAYS_LEARNED)
"""What a video tower learns in the models called FT; all else is the image tower's, and stays."""
LOW_RANK_VIDEO_PARTS = (
    f"{_TEMPORAL}.attention.*.low_rank",
    f"{_TEMPORAL}.embedding",
    f"{_TEMPORAL}.norm",
    *ALWAYS_LEARNED,
)
"""What a video tower learns where its attention over time has low-rank updates."""
LOW_RANK_PARTS = (f"{_SPATIAL}.attention.*.low_rank", *ALWAYS_LEARNED)
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


LONGEST_WARMUP = 5
"""Of so many steps one, where there are too few for the published warm-up."""

DATA = {
    Modality.VIDEO: data("clips with their texts", 3.0, "VIDAL-10M"),
    Modality.THERMAL: data("heat maps made of clips, with their texts", 3.0, "VIDAL-10M"),
    Modality.DEPTH: data("depth maps made of clips, with their texts", 3.0, "VIDAL-10M"),
    Modality.AUDIO: data("sound with its texts", 1.0, "VIDAL-10M"),
}
"""What each modality learned from: annotations are public, media are on YouTube and Freesound."""


def languagebind_model(
    image: LanguageBind, modality: Modality, *, low_rank: bool = True, seed: int = 42
) -> LanguageBind:
    """A model of a modality as its training starts: copied from that of images, but for the temperature.

    Args:
        image: a model of images; it is left as it is.
        modality: what to learn.
        low_rank: put low-rank updates beside the published layers; without, a video tower learns its temporal
            blocks in full.
        seed: of frame embeddings and updates.

    Raises:
        ConfigError: if the modality is not trained.
    """
    config = _config(image.config, modality, low_rank=low_rank)
    generator = torch.Generator().manual_seed(seed)
    model = deepcopy(image)
    model.config = config
    model.vision_encoder = start_from_image(image.vision_encoder, config.vision, generator)
    with torch.no_grad():
        model.logit_scale.fill_(math.log(1 / INITIAL_TEMPERATURE))  # not the one that images have learned
    return _with_updates(model, generator) if low_rank else model


def _config(image: LanguageBindConfig, modality: Modality, *, low_rank: bool) -> LanguageBindConfig:
    """Sizes of a model that begins as one of images."""
    published = _published(modality, low_rank=low_rank)
    like = languagebind_large(modality).vision
    vision = replace(
        image.vision,
        num_frames=like.num_frames,
        image_size=like.image_size if modality is Modality.AUDIO else image.vision.image_size,
        patch_dropout=published.patch_dropout,
    )
    return replace(image, modality=modality, vision=vision)


def _with_updates(model: LanguageBind, generator: torch.Generator) -> LanguageBind:
    published = PUBLISHED[model.config.modality]
    config = LoraConfig(rank=published.rank, alpha=published.alpha)
    add_low_rank(model, published.targets, config, dropout=published.lora_dropout, generator=generator)
    return model


def languagebind_stages(
    modality: Modality,
    data: Mixture,
    num_samples: int,
    *,
    low_rank: bool = True,
    batch_size: int | None = None,
    epochs: float | None = None,
    chunk_size: int | None = None,
) -> list[Stage]:
    """The published training of a modality, one stage.

    Args:
        modality: video, thermal, depth or audio.
        data: conversations that show one thing and answer with its text.
        num_samples: how many there are, 3,000,000 of video; with the published epochs they give the steps.
        low_rank: as for ``languagebind_model``.
        batch_size: pairs a step, of all processes together, each the negative of all others; None for the
            published number.
        epochs: how often the pairs are seen, likewise.
        chunk_size: rows that go through the towers at a time, to save memory; nothing else changes.

    Raises:
        ConfigError: if the modality is not trained, or the samples do not fill a batch.
    """
    published = _published(modality, low_rank=low_rank)
    batch_size = published.batch_size if batch_size is None else batch_size
    expect_full_batch(f"{modality}_text", num_samples, batch_size)
    parts: tuple[str, ...] = FULL_TEMPORAL_PARTS
    if low_rank:
        parts = LOW_RANK_VIDEO_PARTS if modality is Modality.VIDEO else LOW_RANK_PARTS
    num_steps = int((epochs or published.epochs) * (num_samples // batch_size))
    stage = Stage(
        name=f"{modality}_text",
        learning_rates=dict.fromkeys(parts, published.learning_rate),
        data=data,
        num_steps=num_steps,
        batch_size=batch_size,
        order=Shuffled(num_samples, counts_rounds=True),
        loss=Contrastive(chunk_size=chunk_size),
        schedule=Cosine(num_warmup=min(published.num_warmup, num_steps // LONGEST_WARMUP)),
        optimizer=OptimizerConfig(weight_decay=0.2, betas=(0.9, 0.98), eps=1e-6, max_grad_norm=float("inf")),
    )
    return [stage]


def _published(modality: Modality, *, low_rank: bool) -> Published:
    if modality not in PUBLISHED:
        raise ConfigError(f"{modality} is not trained; these are: {', '.join(PUBLISHED)}.")
    if not low_rank and modality is not Modality.VIDEO:
        raise ConfigError(f"only video was trained without low-rank updates, not {modality}.")
    return PUBLISHED[modality]


def _stage(
    modality: Modality, low_rank: bool, name: str, source: Finite | PublishedData, request: Request
) -> Stage:
    """The one stage, as ``StageBuilder`` has it."""
    (stage,) = languagebind_stages(
        modality,
        mixture_of(source),
        len(source),
        low_rank=low_rank,
        batch_size=request.batch_size,
        epochs=request.epochs,
    )
    return replace(stage, name=name)


def _open(modality: Modality, files: tuple[str, ...], /, *, media_dir: str | None) -> Finite:
    """Annotations of VIDAL, or captions of files of the modality."""
    annotations = [
        Path(file)
        for file in files
        if file.endswith(".json") and not is_remote(file) and is_vidal(Path(file))
    ]
    if not annotations:
        return open_records(files, media_dir=media_dir, prompt="")
    if len(annotations) < len(files):
        raise ConfigError(
            f"{', '.join(map(str, annotations))} has VIDAL's form, and other files have not; take one form."
        )
    return VidalRecords(
        files=tuple(annotations),
        media_dir=None if media_dir is None else Path(media_dir),
        modality=cast(VidalModality, str(modality)),
    )


def _outline(modality: Modality, low_rank: bool, request: Request) -> Outline:
    image, tokenizer = languagebind_large(Modality.IMAGE), None
    if source := request.parts.get("image"):
        loaded = checkpoint.load_outline(find_checkpoint(source, files=SETTINGS_FILES), dtype=torch.float32)
        image, tokenizer = loaded.model.config, loaded.processor.tokenizer
    config = _config(image, modality, low_rank=low_rank)
    with torch.device("meta"):
        model = LanguageBind(config)
    if low_rank:
        _with_updates(model, torch.Generator())
    processor = None
    if tokenizer is not None:
        processor = PairProcessor(LanguageBindProcessor(tokenizer, default_settings(config)))
    return Outline(model=model, processor=processor)


def _start(modality: Modality, low_rank: bool, request: Request) -> Loaded[LanguageBind, PairProcessor]:
    folder = find_checkpoint(request.parts["image"])
    image = checkpoint.load(folder, dtype=torch.float32)
    if image.model.config.modality is not Modality.IMAGE:
        raise ConfigError(f"{folder} is a model of {image.model.config.modality}; begin from one of images.")
    model = languagebind_model(image.model, modality, low_rank=low_rank, seed=request.seed)
    processor = LanguageBindProcessor(image.processor.tokenizer, default_settings(model.config))
    return Loaded(model=model, processor=PairProcessor(processor), generation=None, folder=folder)


def _merged(loaded: Loaded[Any, Any]) -> Loaded[Any, Any]:
    with torch.device("meta"):
        whole = LanguageBind(loaded.model.config)
    whole.load_state_dict(merged_tensors(loaded.model), assign=True)
    return replace(loaded, model=whole)


def _save(loaded: Loaded[Any, Any], folder: Path) -> None:
    checkpoint.save(loaded.model, loaded.processor.processor, folder)


def _recipe(modality: Modality, *, low_rank: bool = True) -> Recipe:
    learns = "by low-rank updates" if low_rank else "attention over time in full, as in LanguageBind_Video_FT"
    return Recipe(
        name=f"languagebind_{modality}" + ("" if low_rank else "_ft"),
        summary=f"LanguageBind: {modality} bound to text, {learns} (arXiv 2310.01852)",
        twin="nano_languagebind" if modality is Modality.VIDEO else None,
        data={f"{modality}_text": PublishedData(groups=(DATA[modality],))},
        parts={"image": "LanguageBind/LanguageBind_Image"},
        takes_model=False,
        outline=partial(_outline, modality, low_rank),
        start=partial(_start, modality, low_rank),
        open_data=partial(_open, modality),
        stage=partial(_stage, modality, low_rank),
        merged=_merged,
        save=_save,
    )


LANGUAGEBIND_VIDEO = _recipe(Modality.VIDEO)
LANGUAGEBIND_VIDEO_FT = _recipe(Modality.VIDEO, low_rank=False)
LANGUAGEBIND_AUDIO = _recipe(Modality.AUDIO)
LANGUAGEBIND_DEPTH = _recipe(Modality.DEPTH)
LANGUAGEBIND_THERMAL = _recipe(Modality.THERMAL)
