"""LanguageBind (arXiv 2310.01852): one modality after another bound to OpenCLIP's locked text tower.

Parts, rates, batches and masks are those of the paper's appendix; where the published scripts
(PKU-YuanGroup/LanguageBind) differ, ``Published`` says so. A run needs an image model to start from, such as
``LanguageBind/LanguageBind_Image``, and pairs of VIDAL-10M, which are not ours to ship, or your own:

    python -m kinema.recipes.languagebind runs/mine --image LanguageBind/LanguageBind_Image --modality video \
        --vidal pairs.json --media data

docs/training.md walks through it.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, cast, get_args

import torch
import typer

from kinema.datasets.llava import LlavaRecords
from kinema.datasets.mixture import Mixture, mixture
from kinema.datasets.vidal import VidalModality, VidalRecords, VidalText
from kinema.distributed.world import rank
from kinema.errors import ConfigError
from kinema.hub.lora import LoraConfig
from kinema.models.languagebind import checkpoint
from kinema.models.languagebind.config import Modality, languagebind_large
from kinema.models.languagebind.model import LanguageBind
from kinema.models.languagebind.pairs import PairProcessor
from kinema.models.languagebind.processor import LanguageBindProcessor
from kinema.models.languagebind.processor_json import default_settings
from kinema.models.languagebind.start import start_from_image
from kinema.models.registry import find_checkpoint
from kinema.recipes import own_data
from kinema.training.contrastive import Contrastive
from kinema.training.loop import train
from kinema.training.low_rank import add_low_rank, merge_low_rank
from kinema.training.optimizer import OptimizerConfig
from kinema.training.order import Shuffled
from kinema.training.run import RunConfig
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
    batch_size: int | None = None,
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
        chunk_size: rows that go through the towers at a time, to save memory; nothing else changes.

    Raises:
        ConfigError: if the modality is not trained, or the samples do not fill a batch.
    """
    published = _published(modality, low_rank=low_rank)
    batch_size = published.batch_size if batch_size is None else batch_size
    own_data.expect_full_batch(f"{modality}_text", num_samples, batch_size)
    parts: tuple[str, ...] = FULL_TEMPORAL_PARTS
    if low_rank:
        parts = LOW_RANK_VIDEO_PARTS if modality is Modality.VIDEO else LOW_RANK_PARTS
    stage = Stage(
        name=f"{modality}_text",
        learning_rates=dict.fromkeys(parts, published.learning_rate),
        data=data,
        num_steps=published.epochs * (num_samples // batch_size),
        batch_size=batch_size,
        order=Shuffled(num_samples, counts_rounds=True),
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


def train_languagebind(
    model: LanguageBind, processor: LanguageBindProcessor, stages: list[Stage], run: RunConfig
) -> None:
    """Go through the stages and leave the model, its updates merged, in ``model`` of ``run.out_dir``.

    A run that was stopped goes on where it was.
    """

    def save(stage: Stage) -> None:
        if rank() == 0 and stage is stages[-1]:
            merge_low_rank(model)
            checkpoint.save(model, processor, run.out_dir / "model")

    train(model, PairProcessor(processor), stages, run, on_stage_end=save)


def _main(
    out_dir: own_data.OutDir,
    *,
    image: Annotated[str, typer.Option(help="The model of images to begin from: hub id or folder.")],
    modality: Annotated[Modality, typer.Option(help="What to learn: video, thermal, depth or audio.")],
    media: own_data.Media,
    vidal: Annotated[
        list[Path] | None, typer.Option(help="Annotations in VIDAL-10M's form, .json; repeatable.")
    ] = None,
    llava: Annotated[
        list[Path] | None,
        typer.Option(help="LLaVA-format .json or .jsonl of videos, the answer being the text; repeatable."),
    ] = None,
    text: Annotated[
        str, typer.Option(help=f"Which text of VIDAL: {', '.join(get_args(VidalText))}.")
    ] = "polish_mplug",
    in_full: Annotated[
        bool, typer.Option("--in-full", help="Train attention over time itself, not low-rank updates.")
    ] = False,
    batch: Annotated[
        int | None, typer.Option(help="Pairs a step, of all processes; default the published number.")
    ] = None,
    chunk: Annotated[
        int | None, typer.Option(help="Pairs that go through the towers at a time; saves memory.")
    ] = None,
    device: own_data.Device = None,
    workers: own_data.Workers = 4,
    seed: own_data.Seed = 42,
) -> None:
    """Bind a modality to text on your own pairs, as LanguageBind did; ``kinema embed`` takes OUT/model."""
    with own_data.shown_run():
        run = own_data.own_run(out_dir, device, workers, seed)
        data = _own_pairs(modality, vidal or [], llava or [], media, text)
        stages = languagebind_stages(
            modality,
            mixture((data, 1.0)),
            len(data),
            low_rank=not in_full,
            batch_size=batch,
            chunk_size=chunk,
        )
        begun = checkpoint.load(find_checkpoint(image), dtype=torch.float32)
        model = languagebind_model(begun.model, modality, low_rank=not in_full, seed=seed)
        processor = LanguageBindProcessor(begun.processor.tokenizer, default_settings(model.config))
        train_languagebind(model, processor, stages, run)


def _own_pairs(
    modality: Modality, vidal: list[Path], llava: list[Path], media: Path, text: str
) -> VidalRecords | LlavaRecords:
    if bool(vidal) == bool(llava):
        raise ConfigError("the pairs come from --vidal or from --llava; pass one of them.")
    if llava and modality is not Modality.VIDEO:
        raise ConfigError(f"LLaVA's form knows images and videos; {modality} comes from --vidal.")
    if llava:
        return LlavaRecords(files=tuple(llava), media_dir=media)
    kind, chosen = cast(VidalModality, str(modality)), cast(VidalText, text)
    return VidalRecords(files=tuple(vidal), media_dir=media, modality=kind, text=chosen)


if __name__ == "__main__":
    typer.run(_main)
