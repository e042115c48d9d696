"""Video-LLaVA (arXiv 2311.10122): align a projector, then tune it with the language model, on joint data.

Rates, batches and lengths are those of the paper's Table 7 and the published scripts
(PKU-YuanGroup/Video-LLaVA at 984e65b). The paper's text says 1e-3 for both stages; Table 7 and the scripts
say 2e-5 for the second, which is what is done here. Its Figure 2 freezes word embeddings in the second stage;
the code trains them, and so do we.

    kinema train video_llava_7b --part language=lmsys/vicuna-7b-v1.5 \
        --part image=LanguageBind/LanguageBind_Image --part video=LanguageBind/LanguageBind_Video_merge \
        --data align=captions.json --data tune=talk.json --media data

docs/training.md walks through it.
"""

from typing import Protocol, runtime_checkable

import torch

from kinema.datasets.mixture import mixture
from kinema.distributed.world import launched_size
from kinema.hub.download import SETTINGS_FILES
from kinema.models.languagebind.config import Modality
from kinema.models.loaded import Loaded
from kinema.models.registry import find_checkpoint
from kinema.models.video_llava import checkpoint
from kinema.models.video_llava.config import video_llava_7b
from kinema.models.video_llava.model import VideoLLaVA
from kinema.models.video_llava.processor import VideoLLaVAProcessor, VideoLLaVAProcessorConfig
from kinema.models.video_llava.processor_json import OFFICIAL_PLACEHOLDERS, fitted_settings, load_tokenizer
from kinema.models.video_llava.start import assemble
from kinema.recipes.published_data import PublishedData, data
from kinema.recipes.recipe import Finite, Outline, Recipe, Request, SampleSize, num_steps, save_loaded
from kinema.training.adapters import Adapter
from kinema.training.optimizer import OptimizerConfig
from kinema.training.order import ByModalityLength, Order, Shuffled
from kinema.training.schedule import Cosine
from kinema.training.stage import Stage

MAX_LENGTH = 3072
"""Tokens of a sample, visual ones among them."""

DATA = {
    "align": PublishedData(
        groups=(
            data("captioned images (llava_image_.json)", 0.558128, "LLaVA-LCS-558K"),
            data("captioned clips (valley_.json)", 0.702, "Valley-703K of WebVid"),
        )
    ),
    "tune": PublishedData(
        groups=(
            data("talk about images (llava_image_tune_.json)", 0.625, "LLaVA-1.5 mix665k"),
            data("talk about clips (videochatgpt_tune_.json)", 0.1, "Video-ChatGPT-100K"),
            data("text alone (nlp_tune.json)", 0.04, "LLaVA-1.5 mix665k"),
        )
    ),
}
"""What each stage learned from, with the names of the files (dataset LanguageBind/Video-LLaVA on the hub)."""

_BATCH_SIZES = {"align": 256, "tune": 128}
_RATES = {"align": {"connector": 1e-3}, "tune": {"connector": 2e-5, "language_model": 2e-5}}
_UPDATES_RATE = 2e-4
"""Of low-rank updates in place of the language model's own."""
_IMAGE_FITS = {"align": "crop", "tune": "pad"}


@runtime_checkable
class _Measured(Protocol):
    """Samples of which it is known how long they are, and whether they show something."""

    def modality_lengths(self) -> tuple[int, ...]:
        """Words of each; negative where it is text alone."""


def video_llava_stage(name: str, source: Finite | PublishedData, request: Request) -> Stage:
    """One of the two, one epoch as published: the projector learns, then the language model with it.

    Towers are frozen. Pictures are cropped in the first stage and padded in the second, whose batches hold
    samples of a like length, dealt to as many processes as were started.

    Raises:
        ConfigError: if the data do not fill a batch.
    """
    batch_size = request.batch_size or _BATCH_SIZES[name]
    rates = _RATES[name]
    if request.lora and "language_model" in rates:
        rates = rates | {"language_model": _UPDATES_RATE}
    order: Order = Shuffled(len(source))
    if name == "tune" and isinstance(source, _Measured):
        order = ByModalityLength(source.modality_lengths(), launched_size())
    return Stage(
        name=name,
        learning_rates=rates,
        data=source.as_mixture() if isinstance(source, PublishedData) else mixture((source, 1.0)),
        num_steps=num_steps(source, batch_size, request.epochs or 1.0, name),
        batch_size=batch_size,
        order=order,
        schedule=Cosine(warmup_ratio=0.03),
        optimizer=OptimizerConfig(weight_decay=0.0, betas=(0.9, 0.999), eps=1e-8, max_grad_norm=1.0),
        processor={"image_fit": _IMAGE_FITS[name], "max_length": MAX_LENGTH},
    )


def _outline(request: Request) -> Outline:
    if request.model is not None:
        folder = find_checkpoint(request.model, files=SETTINGS_FILES)
        loaded = checkpoint.load_outline(folder, dtype=request.dtype)
        return Outline(model=loaded.model, processor=loaded.processor)
    with torch.device("meta"):
        return Outline(model=VideoLLaVA(video_llava_7b()))


def _start(request: Request) -> Loaded[VideoLLaVA, VideoLLaVAProcessor]:
    """A whole model, or one put together from its parts; float32, as training needs it."""
    if request.model is not None:
        return checkpoint.load(find_checkpoint(request.model), dtype=request.dtype)
    language = find_checkpoint(request.parts["language"])
    towers = {
        Modality.IMAGE: find_checkpoint(request.parts["image"]),
        Modality.VIDEO: find_checkpoint(request.parts["video"]),
    }
    generator = torch.Generator().manual_seed(request.seed)
    tokenizer = load_tokenizer(language, OFFICIAL_PLACEHOLDERS)
    model = assemble(language, towers, generator, dtype=request.dtype)
    if projector := request.parts.get("projector"):
        checkpoint.load_connector(model.connector, find_checkpoint(projector))
    settings = fitted_settings(VideoLLaVAProcessorConfig(), model.config)
    return Loaded(
        model=model, processor=VideoLLaVAProcessor(tokenizer, settings), generation=None, folder=language
    )


VIDEO_LLAVA_7B = Recipe(
    name="video_llava_7b",
    summary="Video-LLaVA-7B: a projector, then the language model with it (arXiv 2311.10122)",
    data=DATA,
    parts={
        "language": "lmsys/vicuna-7b-v1.5",
        "image": "LanguageBind/LanguageBind_Image",
        "video": "LanguageBind/LanguageBind_Video_merge",
    },
    optional_parts={"projector": "LanguageBind/Video-LLaVA-Pretrain-7B"},
    outline=_outline,
    start=_start,
    stage=video_llava_stage,
    save=save_loaded(checkpoint.save),
    longest=dict.fromkeys(
        DATA, SampleSize(tokens={"language_model": MAX_LENGTH, "vision_encoder": 8 * 257}, labelled=512)
    ),
    updates=Adapter(parts=("language_model",), rank=128, alpha=256.0, dropout=0.05),
    twin="nano_video_llava",
    on_gpus={"activation_checkpointing": True, "max_samples_at_once": 4, "shard": ("language_model",)},
)
