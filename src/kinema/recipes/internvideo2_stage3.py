"""InternVideo2's stage 3: a chat model on the eyes of stage 2, by the progressive scheme of VideoChat2.

arXiv 2403.15377, 3.3 and appendix; OpenGVLab/Ask-Anything. First the queries are aligned, then they and the
eyes are connected to a language model that stays frozen, then all learn from instructions, the language model
by low-rank updates; at last they see tiles (HD), and 16 frames (F16). InternVideo2's own settings were not
released: they are those of a public repository made from its training code, and what VideoChat2 did otherwise
is a scheme of its own.

Not told anywhere, so ours: rate, batch and schedule of ``align``, which are those of ``connect``; by what the
queries were aligned, here by captions alone, where VideoChat2 had contrast and matching beside them; the
warm-up of ``instruct``; batch and warm-up of ``f16``, which are those of ``hd``; whether the 64 further
queries were there before the instructions, here all are from the start. The published Q-Former drops a tenth
of what passes through it in training; ours drops nothing.

    python -m kinema.recipes.internvideo2_stage3 runs/mine --media data \
        --vision OpenGVLab/InternVideo2-Stage2_1B-224p-f4 --language mistralai/Mistral-7B-Instruct-v0.3 \
        --align captions.json --connect captions.json --instruct talk.json

docs/training.md walks through it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import torch
import typer

from kinema.datasets.llava import LlavaRecords
from kinema.datasets.mixture import mixture
from kinema.distributed.world import joined_world, rank, wait_for_all
from kinema.errors import ConfigError
from kinema.hub.lora import LoraConfig
from kinema.models.internvideo2 import chat_checkpoint
from kinema.models.internvideo2.chat import InternVideo2Chat
from kinema.models.internvideo2.chat_processor import MODEL_FRAMES, ChatProcessor, ChatProcessorConfig
from kinema.models.internvideo2.chat_start import assemble_chat
from kinema.models.internvideo2.folders import read_pieces
from kinema.models.registry import find_checkpoint
from kinema.modules.connectors.qformer import QFormerConfig
from kinema.processors.read import ReadSettings
from kinema.recipes import own_data
from kinema.training.loop import train
from kinema.training.low_rank import add_low_rank, merge_low_rank
from kinema.training.optimizer import OptimizerConfig
from kinema.training.order import Shuffled
from kinema.training.run import RunConfig
from kinema.training.schedule import Cosine
from kinema.training.stage import Stage

EYES = ("vision_encoder",)
BRIDGE = ("vision_norm", "connector", "up_projection")
"""What lies between eyes and language model, and is new."""
UPDATES = (
    "language_model.layers.*.attention.*.low_rank",
    "language_model.layers.*.mlp.*.low_rank",
    "language_model.lm_head.low_rank",
)
"""All that learns of the language model."""
LORA, LORA_DROPOUT = LoraConfig(rank=16, alpha=32), 0.1

OPTIMIZER = OptimizerConfig(
    weight_decay=0.02,
    undecayed=("vision_encoder.positions",),  # as in the stages before
    betas=(0.9, 0.999),
    eps=1e-5,
    max_grad_norm=1.0,
)
MAX_LENGTH = 1024
"""Tokens of a sample, visual ones among them."""
MAX_TILES = 6


@dataclass(frozen=True, kw_only=True)
class Published:
    """How one stage was trained."""

    bridge_rate: float
    eyes_rate: float | None = None
    """None where they are frozen."""
    updates_rate: float | None = None
    """Of the language model's low-rank updates; None where it is frozen."""
    batch_size: int
    epochs: int = 1
    warmup_ratio: float = 0.2
    num_frames: int = MODEL_FRAMES
    max_tiles: int | None = None


_ALIGN = Published(bridge_rate=1e-4, batch_size=2048, num_frames=4)
_HD = Published(
    bridge_rate=2e-5,
    eyes_rate=1e-5,
    updates_rate=1e-5,
    batch_size=1024,
    warmup_ratio=0.05,
    max_tiles=MAX_TILES,
)
_INSTRUCT = Published(bridge_rate=2e-5, eyes_rate=2e-5, updates_rate=2e-5, batch_size=256, epochs=3)


class Scheme(StrEnum):
    """Whose settings."""

    INTERNVIDEO2 = "internvideo2"
    VIDEOCHAT2 = "videochat2"


SCHEMES: dict[Scheme, dict[str, Published]] = {
    Scheme.INTERNVIDEO2: {
        "align": _ALIGN,
        "connect": replace(_ALIGN, eyes_rate=4e-5),
        "instruct": _INSTRUCT,
        "hd": _HD,
        "f16": replace(_HD, bridge_rate=1e-5, num_frames=16),
    },
    Scheme.VIDEOCHAT2: {
        "align": _ALIGN,
        "connect": replace(_ALIGN, eyes_rate=1e-4),
        "instruct": _INSTRUCT,
        "hd": replace(_HD, bridge_rate=1e-5),
    },
}
"""Stages in order. VideoChat2 has one rate for all that learns; its batches are not told, and are those of
the other.

``connect`` learned from the captions of CC3M, WebVid-10M and, InternVideo2's alone, S-MiT; ``instruct`` from
about two million samples of 34 sources, among them 80 thousand captions of WebVid and 100 thousand of COCO;
for ``hd`` came ShareGPT4Video, PerceptionTest, TVQA, NTU-RGB-D, EgoTaskQA and grounding sets.
"""


def chat_stages(
    data: Mapping[str, LlavaRecords],
    *,
    scheme: Scheme = Scheme.INTERNVIDEO2,
    batch_size: int | None = None,
) -> list[Stage]:
    """The stages for which there are data, in order.

    Args:
        data: what stages learn from, by their names: captions of images and clips, later talk about them.
        scheme: whose rates.
        batch_size: samples a step, of all processes together; None for the published numbers.

    Raises:
        ConfigError: if there is no such stage, or data do not fill a batch.
        DataError: if a file of records is broken, or there are none.
    """
    stages = SCHEMES[scheme]
    if unknown := sorted(data.keys() - stages.keys()):
        raise ConfigError(f"{scheme} has no stage {', '.join(unknown)}; it has {', '.join(stages)}.")
    return [
        _stage(name, published, data[name], batch_size or published.batch_size)
        for name, published in stages.items()
        if name in data
    ]


def start_chat(
    vision: Path, language: Path, *, bridge: QFormerConfig | None = None, seed: int = 42
) -> tuple[InternVideo2Chat, ChatProcessor]:
    """What the first stage starts from, with its processor; float32, as training needs it.

    Args:
        vision: a file or a folder of stage 2.
        language: folder of a Mistral, with its ``tokenizer.model``.
        bridge: sizes of the Q-Former; None for the published ones.
        seed: of the bridge.

    Raises:
        WeightsError: if a part is not whole, or of another architecture.
        ConfigError: if the bridge does not look at tokens as wide as those of the eyes.
    """
    generator = torch.Generator().manual_seed(seed)
    model = assemble_chat(vision, language, generator, bridge=bridge, dtype=torch.float32)
    pieces = read_pieces(language, model.config.language.vocab_size, is_apart=False)
    settings = ChatProcessorConfig(
        size=model.config.vision.image_size,
        patch_size=model.config.vision.patch_size,
        tokens_per_view=model.config.bridge.num_tokens,
    )
    return model, ChatProcessor(pieces, settings)


def train_chat(
    model: InternVideo2Chat, processor: ChatProcessor, stages: Sequence[Stage], run: RunConfig
) -> None:
    """Go through the stages; each leaves a whole model in a folder of ``run.out_dir`` with its name.

    Updates are merged where a stage ends, and the next one's begin at zero beside them. A run that was
    stopped goes on where it was.

    Args:
        model: trained in place.
        processor: a stage changes frames and tiles, which are saved with its model.
        stages: see ``chat_stages``.
        run: where and how.
    """
    with joined_world(run.device):
        for stage in stages:
            folder = run.out_dir / stage.name
            prepare(model, stage, seed=run.seed)
            if folder.exists():
                merge_low_rank(model)
                model.load_state_dict(chat_checkpoint.load_chat(folder).state_dict())
                continue
            train(model, processor, [stage], replace(run, out_dir=run.out_dir / f"{stage.name}_run"))
            merge_low_rank(model)
            seen = {name: value for name, value in stage.processor.items() if name != "max_length"}
            if rank() == 0:
                chat_checkpoint.save_chat(model, processor.with_settings(**seen), folder)
            wait_for_all()


def prepare(model: InternVideo2Chat, stage: Stage, *, seed: int = 42) -> None:
    """Give a model what a stage needs, in place: positions of as many frames, and updates if it learns them.

    Args:
        model: as the stage before left it, updates merged.
        stage: one of ``chat_stages``.
        seed: of the updates.
    """
    reading = stage.processor["reading"]
    assert isinstance(reading, ReadSettings)
    eyes = model.vision_encoder
    if eyes.config.num_frames != reading.max_frames:
        eyes.resize_positions(num_frames=reading.max_frames, image_size=eyes.config.image_size)
        model.config = replace(model.config, vision=eyes.config)
    if set(UPDATES) & stage.learning_rates.keys():
        generator = torch.Generator().manual_seed(seed)
        add_low_rank(model, _targets(model), LORA, dropout=LORA_DROPOUT, generator=generator)


def _targets(model: InternVideo2Chat) -> dict[str, int | tuple[int, ...]]:
    """Every matrix of the layers and the head, fused ones by their parts: q, k and v, gate and up."""
    language = model.config.language
    heads = (language.num_heads, language.num_kv_heads, language.num_kv_heads)
    return {
        "language_model.layers.*.attention.qkv": tuple(count * language.head_dim for count in heads),
        "language_model.layers.*.attention.out": 1,
        "language_model.layers.*.mlp.gate_up": 2,
        "language_model.layers.*.mlp.down": 1,
        "language_model.lm_head": 1,
    }


def _stage(name: str, published: Published, data: LlavaRecords, batch_size: int) -> Stage:
    own_data.expect_full_batch(name, len(data), batch_size)
    rates = dict.fromkeys(BRIDGE, published.bridge_rate)
    if published.eyes_rate is not None:
        rates |= dict.fromkeys(EYES, published.eyes_rate)
    if published.updates_rate is not None:
        rates |= dict.fromkeys(UPDATES, published.updates_rate)
    reading = ReadSettings(fps=None, max_frames=published.num_frames, sampling="internvideo2_segment")
    return Stage(
        name=name,
        learning_rates=rates,
        data=mixture((data, 1.0)),
        num_steps=len(data) // batch_size * published.epochs,
        batch_size=batch_size,
        order=Shuffled(len(data)),
        schedule=Cosine(warmup_ratio=published.warmup_ratio, final_ratio=0.05),
        optimizer=OPTIMIZER,
        processor={"reading": reading, "max_tiles": published.max_tiles, "max_length": MAX_LENGTH},
    )


def _start(
    model: str | None, vision: str | None, language: str | None, seed: int
) -> tuple[InternVideo2Chat, ChatProcessor]:
    if model is not None and vision is None and language is None:
        loaded = chat_checkpoint.load(find_checkpoint(model), dtype=torch.float32)
        return loaded.model, loaded.processor
    if model is not None or vision is None or language is None:
        raise ConfigError("a run begins from --vision and --language, or from --model alone.")
    return start_chat(find_checkpoint(vision), find_checkpoint(language), seed=seed)


Files = Annotated[list[Path] | None, typer.Option(help="LLaVA-format .json or .jsonl; repeatable.")]


def _main(
    out_dir: own_data.OutDir,
    *,
    media: own_data.Media,
    align: Files = None,
    connect: Files = None,
    instruct: Files = None,
    hd: Files = None,
    f16: Files = None,
    vision: Annotated[
        str | None, typer.Option(help="InternVideo2 of stage 2 to begin from: hub id, file or folder.")
    ] = None,
    language: Annotated[str | None, typer.Option(help="Mistral, likewise.")] = None,
    model: Annotated[
        str | None, typer.Option(help="A whole InternVideo2-Chat to go on from, instead of these two.")
    ] = None,
    scheme: Annotated[Scheme, typer.Option(help="Whose rates.")] = Scheme.INTERNVIDEO2,
    batch: Annotated[
        int | None, typer.Option(help="Samples a step, of all processes together; default as published.")
    ] = None,
    at_once: Annotated[
        int | None, typer.Option(help="Samples that a process takes together; a larger batch comes in parts.")
    ] = None,
    device: own_data.Device = None,
    workers: own_data.Workers = 4,
    seed: own_data.Seed = 42,
) -> None:
    """Train InternVideo2-Chat on your own data by the published stages, those whose data are given.

    OUT/connect, OUT/instruct and so on are whole models, OUT/connect_run/log.jsonl tells how losses fall.
    """
    with own_data.shown_run():
        run = replace(own_data.own_run(out_dir, device, workers, seed), max_samples_at_once=at_once)
        files = {"align": align, "connect": connect, "instruct": instruct, "hd": hd, "f16": f16}
        data = {
            name: LlavaRecords(files=tuple(paths), media_dir=media) for name, paths in files.items() if paths
        }
        if not data:
            options = ", ".join(f"--{name}" for name in files)
            raise ConfigError(f"there is nothing to learn from; pass {options} or several of them.")
        stages = chat_stages(data, scheme=scheme, batch_size=batch)
        begun, processor = _start(model, vision, language, seed)
        train_chat(begun, processor, stages, run)


if __name__ == "__main__":
    typer.run(_main)
