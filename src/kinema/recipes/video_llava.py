"""Video-LLaVA (arXiv 2311.10122): align a projector, then tune it with the language model, on joint data.

Rates, batches and lengths are those of the paper's Table 7 and the published scripts
(PKU-YuanGroup/Video-LLaVA at 984e65b). The paper's text says 1e-3 for both stages; Table 7 and the scripts
say 2e-5 for the second, which is what is done here. Its Figure 2 freezes word embeddings in the second stage;
the code trains them, and so do we.
"""

from dataclasses import replace
from pathlib import Path

from kinema.datasets.llava import LlavaRecords
from kinema.datasets.mixture import mixture
from kinema.processors.clip_pixels import CLIPPixelsConfig
from kinema.training.optimizer import OptimizerConfig
from kinema.training.order import ByModalityLength, Shuffled
from kinema.training.schedule import Cosine
from kinema.training.stage import Stage

ALIGN_FILES = ("pt_json/llava_image_.json", "pt_json/valley_.json")
"""LLaVA's 558 thousand captioned images and Valley's 702 thousand clips."""
TUNE_FILES = (
    "ft_json/llava_image_tune_.json",
    "ft_json/videochatgpt_tune_.json",
    "ft_json/nlp_tune.json",
)
"""LLaVA-1.5's 665 thousand, of which 40 thousand are text alone, and Video-ChatGPT's 100 thousand."""

MAX_LENGTH = 3072
"""Tokens of a sample, visual ones among them."""


def video_llava_7b(data_dir: Path, *, num_chunks: int = 8) -> list[Stage]:
    """The two published stages, one epoch each.

    Args:
        data_dir: holds ``pt_json`` and ``ft_json`` with the records, and the media that their paths name.
        num_chunks: equal parts that a batch of the second stage is dealt to: the number of processes, eight
            as published.

    Returns:
        Stages whose towers are frozen. The loop takes 256 and 128 samples a step over all processes.

    Raises:
        DataError: if a file of records is broken, or there are none.
    """
    align_data, tune_data = (
        LlavaRecords(files=tuple(data_dir / name for name in names), media_dir=data_dir)
        for names in (ALIGN_FILES, TUNE_FILES)
    )
    align = Stage(
        name="align",
        learning_rates={"connector": 1e-3},
        data=mixture((align_data, 1.0)),
        num_steps=max(1, len(align_data) // 256),
        batch_size=256,
        order=Shuffled(len(align_data)),
        schedule=Cosine(warmup_ratio=0.03),
        optimizer=OptimizerConfig(weight_decay=0.0, betas=(0.9, 0.999), eps=1e-8, max_grad_norm=1.0),
        processor={"pixels": CLIPPixelsConfig(image_fit="crop"), "max_length": MAX_LENGTH},
    )
    tune = replace(
        align,
        name="tune",
        learning_rates={"connector": 2e-5, "language_model": 2e-5},
        data=mixture((tune_data, 1.0)),
        num_steps=max(1, len(tune_data) // 128),
        batch_size=128,
        order=ByModalityLength(tune_data.modality_lengths(), num_chunks),
        processor={"pixels": CLIPPixelsConfig(image_fit="pad"), "max_length": MAX_LENGTH},
    )
    return [align, tune]
