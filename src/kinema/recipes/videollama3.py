"""VideoLLaMA3 (arXiv 2501.13106): four stages, images first.

Rates, batches and lengths are those of the published scripts (DAMO-NLP-SG/VideoLLaMA3 at 05cee23); the paper
gives the same rates and no batch. Both sizes have the same. The counts of the data are those of the paper's
Tables 1 to 4; of text alone in stage 2, where table and figure differ, only the figure's makes the sum that
the paper states. The 7B begins with the encoder of the trained 2B.

    kinema train videollama3_2b --model DAMO-NLP-SG/VideoLLaMA3-2B-Image --data video_centric=talk.jsonl
"""

from collections.abc import Callable

import torch

from kinema.datasets.mixture import mixture
from kinema.hub.download import SETTINGS_FILES
from kinema.models.loaded import Loaded
from kinema.models.registry import find_checkpoint
from kinema.models.videollama3 import checkpoint
from kinema.models.videollama3.config import VideoLLaMA3Config, videollama3_2b, videollama3_7b
from kinema.models.videollama3.model import VideoLLaMA3
from kinema.models.videollama3.processor import VideoLLaMA3Processor
from kinema.models.videollama3.start import start_videollama3
from kinema.processors.pruning import NoPruning, PreviousFramePruning
from kinema.processors.read import ReadSettings
from kinema.processors.resize import OfficialResize
from kinema.recipes.published_data import PublishedData, data
from kinema.recipes.recipe import Finite, Outline, Recipe, Request, SampleSize, num_steps, save_loaded
from kinema.training.optimizer import OptimizerConfig
from kinema.training.order import Shuffled
from kinema.training.schedule import Cosine
from kinema.training.stage import Stage

BATCH_SIZE = 128
MAX_LENGTH = 16384
"""Tokens of a sample, visual ones among them; what is longer is cut."""
MAX_VISUAL_TOKENS = 10240

_ADAPTING = {"vision_encoder": 1e-5, "connector": 1e-3}
_WHOLE = {"vision_encoder": 2e-6, "connector": 1e-5, "language_model": 1e-5}

_IN_HOUSE = "in-house synthetic"
_VIDEOS = (
    "LLaVA-Video-178K",
    "ShareGPT4o-Video",
    "FineVideo",
    "CinePile",
    "ShareGemini-k400",
    "ShareGemini-WebVID",
    "VCG-Human",
    "VCG-Plus",
    "VideoLLaMA2 in-house",
    "temporal grounding in-house",
)
_VIDEOS_NOT_PUBLIC = ("VideoLLaMA2 in-house", "temporal grounding in-house")

DATA = {
    "vision_encoder_adaptation": PublishedData(
        groups=(
            data(
                "scene image",
                11.84,
                "VL3-Syn7M-short",
                "LLaVA-Pretrain-558K",
                "Objects365-Recap",
                "SA-1B-Recap",
                not_public=("Objects365-Recap", "SA-1B-Recap"),
            ),
            data("scene text", 0.93, "BLIP3-OCR-Recap", not_public=("BLIP3-OCR-Recap",)),
            data("document", 2.80, "pdfa-eng-wds", "idl-wds"),
        )
    ),
    "vision_language_alignment": PublishedData(
        groups=(
            data(
                "scene image",
                12.56,
                "VL3-Syn7M-detailed",
                "Objects365-Recap",
                "SA-1B-Recap",
                "COCO2017-Recap",
                "ShareGPT4o",
                "TextCaps",
                "ShareGPT4V",
                "DenseFusion",
                "LLaVA-ReCap (LCS-558K)",
                not_public=("Objects365-Recap", "SA-1B-Recap", "COCO2017-Recap"),
            ),
            data(
                "scene text",
                4.69,
                "Laion-OCR",
                "COCO-Text",
                "TextOCR",
                "BLIP3-OCR-Recap",
                "LSVT",
                "ReCTS",
                not_public=("Laion-OCR", "BLIP3-OCR-Recap"),
            ),
            data(
                "document",
                2.68,
                "SynthDoG-EN",
                "SynthDoG-ZH",
                "UReader-TR",
                "FUNSD",
                "DUDE",
                "Vary-600k",
                "pdfa-eng-wds",
                "idl-wds",
            ),
            data("chart", 0.04, "Chart-to-Text"),
            data(
                "fine-grained",
                1.00,
                "Osprey-724K",
                "MDVP-Data",
                "ADE20K-Recap",
                "Objects365",
                "Flickr-30K",
                "GranD",
                not_public=("ADE20K-Recap",),
            ),
            data("text alone", 1.00, "Evol-Instruct-143K", "Infinity-Instruct code, commonsense, math"),
        )
    ),
    "multi_task": PublishedData(
        groups=(
            data(
                "general image",
                9.87,
                "LLaVA-SFT-665K",
                "LLaVA-OV-SI",
                "Cambrian-cleaned",
                "Pixmo (docs, cap, points, cap-qa, ask-model-anything)",
                not_public=("Cambrian-cleaned",),
            ),
            data("document", 1.31, "DocVQA", "Docmatix"),
            data(
                "chart",
                1.00,
                "ChartQA",
                "MMC_Instruction",
                "DVQA",
                "LRV_Instruction",
                "ChartGemma",
                "InfoVQA",
                "PlotQA",
            ),
            data("OCR", 0.83, "MultiUI", "OCR in-house", not_public=("OCR in-house",)),
            data(
                "grounding", 0.50, "RefCOCO", "VCR", "grounding in-house", not_public=("grounding in-house",)
            ),
            data("several images", 0.41, "Demon-Full", "Contrastive_Caption"),
            data(
                "text alone",
                2.21,
                "Magpie",
                "Magpie-Pro",
                "Synthia",
                "Infinity-Instruct-subjective",
                "NuminaMath",
            ),
            data("video", 2.92, *_VIDEOS, not_public=_VIDEOS_NOT_PUBLIC),
        )
    ),
    "video_centric": PublishedData(
        groups=(
            data(
                "general video",
                3.03,
                *_VIDEOS,
                "VideoRefer",
                _IN_HOUSE,
                not_public=(*_VIDEOS_NOT_PUBLIC, _IN_HOUSE),
            ),
            data("streaming", 0.0362, "ActivityNet", "YouCook2", "Ego4D-narration", "Ego4D-livechat"),
            data(
                "temporal grounding",
                0.205,
                "ActivityNet",
                "YouCook2",
                "ViTT",
                "QuerYD",
                "HiREST",
                "Charades-STA",
                "Moment-10M",
                "COIN",
            ),
            data("image", 0.88, "LLaVA-SFT-665K", "LLaVA-OV-SI"),
            data("text alone", 1.56, "Magpie", "Tulu 3"),
        )
    ),
}
"""What each stage learned from. Of stages 3 and 4 the files themselves were never published."""


def videollama3_stage(name: str, source: Finite | PublishedData, request: Request) -> Stage:
    """One of the four; one epoch as published.

    Images keep every token in the first three stages and are merged 2 x 2 in the last, as videos are
    throughout; tokens are pruned in the last two.

    Raises:
        ConfigError: if the data do not fill a batch.
    """
    batch_size = request.batch_size or BATCH_SIZE
    steps = num_steps(source, batch_size, request.epochs or 1.0, name)
    own = mixture((source, 1.0)) if not isinstance(source, PublishedData) else source.as_mixture()
    return Stage(
        name=name,
        learning_rates=_ADAPTING if name == "vision_encoder_adaptation" else _WHOLE,
        data=own,
        num_steps=steps,
        batch_size=batch_size,
        order=Shuffled(len(source)),
        schedule=Cosine(warmup_ratio=0.03),
        optimizer=OptimizerConfig(weight_decay=0.0, betas=(0.9, 0.999), eps=1e-8, max_grad_norm=1.0),
        processor={
            "image_merge_size": 2 if name == "video_centric" else 1,
            "video_merge_size": 2,
            "pruning": PreviousFramePruning() if name in ("multi_task", "video_centric") else NoPruning(),
            "resize": OfficialResize(max_tokens=MAX_VISUAL_TOKENS),
            "reading": ReadSettings(fps=1.0, max_frames=180),
            "max_length": MAX_LENGTH,
        },
    )


_LONGEST = SampleSize(
    tokens={"language_model": MAX_LENGTH, "vision_encoder": 4 * MAX_VISUAL_TOKENS}, labelled=1024
)


def _start(request: Request) -> Loaded[VideoLLaMA3, VideoLLaMA3Processor]:
    if request.model is not None:
        return checkpoint.load(find_checkpoint(request.model), dtype=request.dtype)
    language, vision = (find_checkpoint(request.parts[name]) for name in ("language", "vision"))
    generator = torch.Generator().manual_seed(request.seed)
    return start_videollama3(language, vision, generator, dtype=request.dtype)


def _recipe(size: str, config: Callable[[], VideoLLaMA3Config], language: str, vision: str) -> Recipe:
    def outline(request: Request) -> Outline:
        if request.model is not None:
            folder = find_checkpoint(request.model, files=SETTINGS_FILES)
            loaded = checkpoint.load_outline(folder, dtype=request.dtype)
            return Outline(model=loaded.model, processor=loaded.processor)
        with torch.device("meta"):
            return Outline(model=VideoLLaMA3(config()))

    return Recipe(
        name=f"videollama3_{size}",
        summary=f"VideoLLaMA3-{size.upper()}: four stages, images first (arXiv 2501.13106)",
        data=DATA,
        parts={"language": language, "vision": vision},
        outline=outline,
        start=_start,
        stage=videollama3_stage,
        save=save_loaded(checkpoint.save),
        longest=dict.fromkeys(DATA, _LONGEST),
        twin="nano",
        on_gpus={
            "activation_checkpointing": True,
            "max_samples_at_once": 2,
            "shard": ("language_model",),
        },
    )


VIDEOLLAMA3_2B = _recipe("2b", videollama3_2b, "Qwen/Qwen2.5-1.5B-Instruct", "DAMO-NLP-SG/SigLIP-NaViT")
VIDEOLLAMA3_7B = _recipe("7b", videollama3_7b, "Qwen/Qwen2.5-7B-Instruct", "DAMO-NLP-SG/VideoLLaMA3-2B")
