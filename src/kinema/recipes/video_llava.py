"""Video-LLaVA (arXiv 2311.10122): align a projector, then tune it with the language model, on joint data.

Rates, batches and lengths are those of the paper's Table 7 and the published scripts
(PKU-YuanGroup/Video-LLaVA at 984e65b). The paper's text says 1e-3 for both stages; Table 7 and the scripts
say 2e-5 for the second, which is what is done here. Its Figure 2 freezes word embeddings in the second stage;
the code trains them, and so do we.

    python -m kinema.recipes.video_llava runs/mine --language lmsys/vicuna-7b-v1.5 \
        --image-tower LanguageBind/LanguageBind_Image --video-tower LanguageBind/LanguageBind_Video_merge \
        --align captions.json --tune talk.json --media data

docs/training.md walks through it.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer

from kinema.datasets.llava import LlavaRecords
from kinema.datasets.mixture import mixture
from kinema.distributed.world import joined_world, rank, world_size
from kinema.errors import ConfigError
from kinema.models.languagebind.config import Modality
from kinema.models.registry import find_checkpoint
from kinema.models.video_llava import checkpoint
from kinema.models.video_llava.model import VideoLLaVA
from kinema.models.video_llava.processor import VideoLLaVAProcessor, VideoLLaVAProcessorConfig
from kinema.models.video_llava.processor_json import OFFICIAL_PLACEHOLDERS, fitted_settings, load_tokenizer
from kinema.models.video_llava.start import assemble
from kinema.processors.clip_pixels import CLIPPixelsConfig
from kinema.recipes import own_data
from kinema.training.loop import train
from kinema.training.optimizer import OptimizerConfig
from kinema.training.order import ByModalityLength, Shuffled
from kinema.training.run import RunConfig
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
ALIGN_BATCH, TUNE_BATCH = 256, 128


def video_llava_7b(data_dir: Path, *, num_chunks: int = 8) -> list[Stage]:
    """The two published stages on the published data, one epoch each.

    Args:
        data_dir: holds ``pt_json`` and ``ft_json`` with the records, and the media that their paths name.
        num_chunks: equal parts that a batch of the second stage is dealt to: the number of processes, eight
            as published.

    Raises:
        DataError: if a file of records is broken, or there are none.
    """
    align, tune = (
        LlavaRecords(files=tuple(data_dir / name for name in names), media_dir=data_dir)
        for names in (ALIGN_FILES, TUNE_FILES)
    )
    return [align_stage(align), tune_stage(tune, num_chunks=num_chunks)]


def align_stage(
    data: LlavaRecords, *, batch_size: int = ALIGN_BATCH, pixels: CLIPPixelsConfig | None = None
) -> Stage:
    """The first stage, one epoch: towers and language model are frozen, the projector learns.

    Args:
        data: captioned images and clips.
        batch_size: samples a step, of all processes together.
        pixels: how the model sees pictures, which are cropped here; None for the published size.

    Raises:
        DataError: if a file of records is broken, or there are none.
        ConfigError: if the data do not fill a batch.
    """
    own_data.expect_full_batch("align", len(data), batch_size)
    return Stage(
        name="align",
        learning_rates={"connector": 1e-3},
        data=mixture((data, 1.0)),
        num_steps=len(data) // batch_size,
        batch_size=batch_size,
        order=Shuffled(len(data)),
        schedule=Cosine(warmup_ratio=0.03),
        optimizer=OptimizerConfig(weight_decay=0.0, betas=(0.9, 0.999), eps=1e-8, max_grad_norm=1.0),
        processor={
            "pixels": replace(pixels or CLIPPixelsConfig(), image_fit="crop"),
            "max_length": MAX_LENGTH,
        },
    )


def tune_stage(
    data: LlavaRecords,
    *,
    batch_size: int = TUNE_BATCH,
    num_chunks: int = 8,
    pixels: CLIPPixelsConfig | None = None,
) -> Stage:
    """The second stage, one epoch: projector and language model learn from talk about images and clips.

    Args:
        data: talk about images and clips, and text alone.
        batch_size: samples a step, of all processes together.
        num_chunks: as for ``video_llava_7b``.
        pixels: how the model sees pictures, which are padded here; None for the published size.

    Raises:
        DataError: if a file of records is broken, or there are none.
        ConfigError: if the data do not fill a batch.
    """
    own_data.expect_full_batch("tune", len(data), batch_size)
    return replace(
        align_stage(data, batch_size=batch_size),
        name="tune",
        learning_rates={"connector": 2e-5, "language_model": 2e-5},
        order=ByModalityLength(data.modality_lengths(), num_chunks),
        processor={
            "pixels": replace(pixels or CLIPPixelsConfig(), image_fit="pad"),
            "max_length": MAX_LENGTH,
        },
    )


def start_video_llava(
    language: Path, image_tower: Path, video_tower: Path, *, seed: int = 42
) -> tuple[VideoLLaVA, VideoLLaVAProcessor]:
    """What the first stage starts from, with its processor; float32, as training needs it.

    Args:
        language: folder of a language model of Llama's kind, with its ``tokenizer.model``.
        image_tower: folder of LanguageBind for images.
        video_tower: folder of LanguageBind for video, its low-rank updates apart or merged.
        seed: of the projector.

    Raises:
        WeightsError: if a part is not whole, or of another architecture.
        ConfigError: if the towers have several widths.
    """
    towers = {Modality.IMAGE: image_tower, Modality.VIDEO: video_tower}
    generator = torch.Generator().manual_seed(seed)
    tokenizer = load_tokenizer(language, OFFICIAL_PLACEHOLDERS)
    model = assemble(language, towers, generator, dtype=torch.float32)
    return model, VideoLLaVAProcessor(tokenizer, fitted_settings(VideoLLaVAProcessorConfig(), model.config))


def train_video_llava(
    model: VideoLLaVA, processor: VideoLLaVAProcessor, stages: Sequence[Stage], run: RunConfig
) -> None:
    """Go through the stages; each leaves a whole model in a folder of ``run.out_dir`` with its name.

    A run that was stopped goes on where it was.
    """

    def save(stage: Stage) -> None:
        if rank() == 0:
            checkpoint.save(model, processor, run.out_dir / stage.name)

    train(model, processor, stages, run, on_stage_end=save)


def _start(
    model: str | None, parts: tuple[str | None, str | None, str | None], seed: int
) -> tuple[VideoLLaVA, VideoLLaVAProcessor]:
    if model is not None and not any(parts):
        loaded = checkpoint.load(find_checkpoint(model), dtype=torch.float32)
        return loaded.model, loaded.processor
    language, image_tower, video_tower = parts
    if model is not None or language is None or image_tower is None or video_tower is None:
        raise ConfigError(
            "a run begins from --language, --image-tower and --video-tower, or from --model alone."
        )
    folders = [find_checkpoint(name) for name in (language, image_tower, video_tower)]
    return start_video_llava(*folders, seed=seed)


def _main(
    out_dir: own_data.OutDir,
    *,
    media: own_data.Media,
    align: Annotated[
        list[Path] | None, typer.Option(help="LLaVA-format .json or .jsonl of the first stage; repeatable.")
    ] = None,
    tune: Annotated[list[Path] | None, typer.Option(help="The same of the second stage; repeatable.")] = None,
    language: Annotated[
        str | None, typer.Option(help="Llama-like language model to begin from: hub id or folder.")
    ] = None,
    image_tower: Annotated[str | None, typer.Option(help="LanguageBind for images, likewise.")] = None,
    video_tower: Annotated[str | None, typer.Option(help="LanguageBind for video, likewise.")] = None,
    model: Annotated[
        str | None, typer.Option(help="A whole Video-LLaVA to go on from, instead of these three.")
    ] = None,
    align_batch: Annotated[
        int, typer.Option(help="Samples a step, of all processes together.")
    ] = ALIGN_BATCH,
    tune_batch: Annotated[int, typer.Option(help="The same of the second stage.")] = TUNE_BATCH,
    at_once: Annotated[
        int | None, typer.Option(help="Samples that a process takes together; a larger batch comes in parts.")
    ] = None,
    device: own_data.Device = None,
    workers: own_data.Workers = 4,
    seed: own_data.Seed = 42,
) -> None:
    """Train Video-LLaVA on your own data by the published stages; one whose data are not given is left out.

    OUT/align and OUT/tune are whole models in the official layout, OUT/log.jsonl tells how the losses fall.
    """
    with own_data.shown_run():
        run = replace(own_data.own_run(out_dir, device, workers, seed), max_samples_at_once=at_once)
        if not align and not tune:
            raise ConfigError("there is nothing to learn from; pass --align, --tune or both.")
        begun, processor = _start(model, (language, image_tower, video_tower), seed)
        pixels = processor.config.pixels
        with joined_world(run.device):
            stages = []
            if align:
                data = LlavaRecords(files=tuple(align), media_dir=media)
                stages.append(align_stage(data, batch_size=align_batch, pixels=pixels))
            if tune:
                data = LlavaRecords(files=tuple(tune), media_dir=media)
                chunks = world_size()
                stages.append(tune_stage(data, batch_size=tune_batch, num_chunks=chunks, pixels=pixels))
            train_video_llava(begun, processor, stages, run)


if __name__ == "__main__":
    typer.run(_main)
