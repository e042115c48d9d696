"""InternVideo2's stage 3: a chat model on the eyes of stage 2, by the progressive scheme of VideoChat2.

arXiv 2403.15377, 3.3 and appendix; OpenGVLab/Ask-Anything. First the queries are aligned, then they and the
eyes are connected to a language model that stays frozen, then all learn from instructions, the language model
by low-rank updates; at last they see tiles (HD), and 16 frames (F16). InternVideo2's own settings were not
released: they are those of a public repository made from its training code, and what VideoChat2 did otherwise
is a scheme of its own.

Not told anywhere, so ours: rate, batch and schedule of ``align``, which are those of ``connect``; by what the
queries were aligned, here by captions alone, where VideoChat2 had contrast and matching beside them; the
warm-up of ``instruct``; batch and warm-up of ``f16``, which are those of ``hd``; whether the 64 further
queries were there before the instructions, here all are from the start; nor how far the eyes' dropping of
layers went on. The position table has the eight frames of the released files in every stage, and is
interpolated where there are four or sixteen. The published Q-Former drops a tenth of what passes through it
in training; ours drops nothing.

    kinema train internvideo2_chat_8b --part vision=OpenGVLab/InternVideo2-Stage2_1B-224p-f4 \
        --part language=mistralai/Mistral-7B-Instruct-v0.3 --data align=captions.json \
        --data connect=captions.json --data instruct=talk.json --media data

docs/training.md walks through it.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from kinema.datasets.mixture import mixture
from kinema.errors import ConfigError
from kinema.hub.lora import LoraConfig
from kinema.models.internvideo2 import chat_checkpoint
from kinema.models.internvideo2.chat import InternVideo2Chat
from kinema.models.internvideo2.chat_processor import MODEL_FRAMES, ChatProcessor, ChatProcessorConfig
from kinema.models.internvideo2.chat_start import assemble_chat
from kinema.models.internvideo2.config import chat_8b
from kinema.models.internvideo2.folders import read_pieces
from kinema.models.loaded import Loaded
from kinema.models.registry import find_checkpoint, load_model
from kinema.modules.connectors.qformer import QFormerConfig
from kinema.processors.read import ReadSettings
from kinema.recipes.published_data import PublishedData, data
from kinema.recipes.recipe import Finite, Outline, Recipe, Request, SampleSize, num_steps, save_loaded
from kinema.training.low_rank import add_low_rank, merged_tensors
from kinema.training.optimizer import OptimizerConfig
from kinema.training.order import Shuffled
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

Scheme = dict[str, Published]
"""How each stage was trained, stages in order."""

INTERNVIDEO2: Scheme = {
    "align": _ALIGN,
    "connect": replace(_ALIGN, eyes_rate=4e-5),
    "instruct": _INSTRUCT,
    "hd": _HD,
    "f16": replace(_HD, bridge_rate=1e-5, num_frames=16),
}
VIDEOCHAT2: Scheme = {
    "align": _ALIGN,
    "connect": replace(_ALIGN, eyes_rate=1e-4),
    "instruct": _INSTRUCT,
    "hd": replace(_HD, bridge_rate=1e-5),
}
"""One rate for all that learns. Its batches are not told, and are those of the other."""

_CAPTIONS = (data("captioned images", 3.0, "CC3M"), data("captioned clips", 9.7, "WebVid-10M"))
_INSTRUCTIONS = PublishedData(
    groups=(
        data(
            "talk about images and clips, of 34 sources",
            1.9,
            "MVBench's instructions, with 80 thousand captions of WebVid, 100 thousand of COCO, and S-MiT",
        ),
    )
)
DATA: dict[str, PublishedData] = {
    "connect": PublishedData(groups=(*_CAPTIONS, data("clips with what is said of them", 0.5, "S-MiT"))),
    "instruct": _INSTRUCTIONS,
}
"""As far as it is counted anywhere; CC3M and S-MiT by what their makers say. For ``hd`` came ShareGPT4Video,
PerceptionTest, TVQA, NTU-RGB-D, EgoTaskQA and grounding sets."""


def chat_stage(scheme: Scheme, name: str, source: Finite | PublishedData, request: Request) -> Stage:
    """One of a scheme; epochs as published.

    Raises:
        ConfigError: if the data do not fill a batch.
    """
    published = scheme[name]
    batch_size = request.batch_size or published.batch_size
    rates = dict.fromkeys(BRIDGE, published.bridge_rate)
    if published.eyes_rate is not None:
        rates |= dict.fromkeys(EYES, published.eyes_rate)
    if published.updates_rate is not None:
        rates |= dict.fromkeys(UPDATES, published.updates_rate)
    reading = ReadSettings(fps=None, max_frames=published.num_frames, sampling="internvideo2_segment")
    return Stage(
        name=name,
        learning_rates=rates,
        data=source.as_mixture() if isinstance(source, PublishedData) else mixture((source, 1.0)),
        num_steps=num_steps(source, batch_size, request.epochs or published.epochs, name),
        batch_size=batch_size,
        order=Shuffled(len(source)),
        schedule=Cosine(warmup_ratio=published.warmup_ratio, final_ratio=0.05),
        optimizer=OPTIMIZER,
        processor={"reading": reading, "max_tiles": published.max_tiles, "max_length": MAX_LENGTH},
    )


def start_chat(
    vision: Path, language: Path, *, bridge: QFormerConfig | None = None, seed: int = 42
) -> Loaded[InternVideo2Chat, ChatProcessor]:
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
    processor = ChatProcessor(pieces, settings)
    return Loaded(model=model, processor=processor, generation=None, folder=language)


def with_updates(
    model: InternVideo2Chat, *, seed: int = 42, dropout: float = LORA_DROPOUT
) -> InternVideo2Chat:
    """Put low-rank updates beside every matrix of the language model's layers and its head, in place."""
    language = model.config.language
    heads = (language.num_heads, language.num_kv_heads, language.num_kv_heads)
    targets: dict[str, int | tuple[int, ...]] = {
        "language_model.layers.*.attention.qkv": tuple(count * language.head_dim for count in heads),
        "language_model.layers.*.attention.out": 1,
        "language_model.layers.*.mlp.gate_up": 2,
        "language_model.layers.*.mlp.down": 1,
        "language_model.lm_head": 1,
    }
    generator = torch.Generator().manual_seed(seed)
    add_low_rank(model, targets, LORA, dropout=dropout, generator=generator)
    return model


def _outline(request: Request) -> Outline:
    if request.model is not None:
        loaded = chat_checkpoint.load_outline(find_checkpoint(request.model), dtype=torch.float32)
        return Outline(model=with_updates(loaded.model), processor=loaded.processor)
    with torch.device("meta"):
        model = InternVideo2Chat(chat_8b())
    return Outline(model=with_updates(model))


def _start(request: Request) -> Loaded[InternVideo2Chat, ChatProcessor]:
    if request.model is not None:
        loaded = load_model(request.model, dtype=torch.float32)
        if not isinstance(loaded.model, InternVideo2Chat):
            raise ConfigError(f"{request.model} is no InternVideo2-Chat.")
    else:
        vision, language = (find_checkpoint(request.parts[name]) for name in ("vision", "language"))
        loaded = start_chat(vision, language, seed=request.seed)
    with_updates(loaded.model, seed=request.seed)
    return loaded


def _merged(loaded: Loaded[Any, Any]) -> Loaded[Any, Any]:
    with torch.device("meta"):
        whole = InternVideo2Chat(loaded.model.config)
    whole.load_state_dict(merged_tensors(loaded.model), assign=True)
    return replace(loaded, model=whole)


def _longest(published: Published) -> SampleSize:
    """A clip cut into as many tiles as there may be, each read by the published queries."""
    views = 1 + (published.max_tiles or 0)
    sizes = chat_8b()
    side = sizes.vision.image_size // sizes.vision.patch_size
    tokens = {
        "vision_encoder": views * (published.num_frames * side**2 + 1),
        "connector": views * sizes.bridge.num_tokens,
        "language_model": MAX_LENGTH,
    }
    return SampleSize(tokens=tokens, labelled=256)


def _recipe(name: str, summary: str, scheme: Scheme) -> Recipe:
    return Recipe(
        name=name,
        summary=summary,
        data={stage: DATA.get(stage) for stage in scheme},
        parts={
            "vision": "OpenGVLab/InternVideo2-Stage2_1B-224p-f4",
            "language": "mistralai/Mistral-7B-Instruct-v0.3",
        },
        outline=_outline,
        start=_start,
        stage=partial(chat_stage, scheme),
        merged=_merged,
        save=save_loaded(chat_checkpoint.save_chat),
        longest={stage: _longest(published) for stage, published in scheme.items()},
        twin="nano_internvideo2_chat",
        on_gpus={"activation_checkpointing": True, "max_samples_at_once": 4},
        keeps=("reading", "max_tiles"),
    )


INTERNVIDEO2_CHAT_8B = _recipe(
    "internvideo2_chat_8b",
    "InternVideo2-Chat-8B: queries, eyes, instructions, tiles (arXiv 2403.15377)",
    INTERNVIDEO2,
)
VIDEOCHAT2_8B = _recipe("videochat2_8b", "the same by the rates of VideoChat2 (arXiv 2311.17005)", VIDEOCHAT2)
