"""InternVideo2's stage 2 as recipes, for captions of one's own.

Settings are those of ``internvideo2_stage2``; the counts of the data are those of arXiv 2403.15377, Table 1.
Of the 1B's 25.5 million, images are what its videos leave; the paper's unmasked step has as many of both, and
its clips with sound are told once by what is seen and heard, and once by all that is said.

    kinema train internvideo2_stage2_1b --part vision=OpenGVLab/InternVideo2-Stage1-1B-224p-f8 \
        --part text=google-bert/bert-large-uncased --data captions.jsonl --media data --batch-size 64

docs/training.md walks through it.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from kinema.datasets.joined import Joined
from kinema.datasets.kinds import by_kind
from kinema.datasets.own import open_records
from kinema.errors import ConfigError
from kinema.hub.download import SETTINGS_FILES
from kinema.hub.tokenizer import load_tokenizer
from kinema.models.internvideo2 import stage2_checkpoint
from kinema.models.internvideo2.aligned import AlignedProcessor
from kinema.models.internvideo2.stage2 import InternVideo2Stage2, Stage2Config
from kinema.models.internvideo2.stage2_processor import Stage2Processor, Stage2ProcessorConfig
from kinema.models.internvideo2.stage2_sizes import stage2_1b, stage2_6b
from kinema.models.internvideo2.stage2_start import assemble_stage2
from kinema.models.loaded import Loaded
from kinema.models.registry import find_checkpoint, load_model
from kinema.processors.bert_text import BertTokenizer
from kinema.recipes.internvideo2_stage2 import STAGE2, stage2_paper, stage2_released
from kinema.recipes.published_data import PublishedData, data
from kinema.recipes.recipe import Finite, Outline, Recipe, Request, expect_full_batch
from kinema.training.alignment import Alignment
from kinema.training.masked_words import WordMasking
from kinema.training.stage import Stage

CAPTIONS = ("video", "audio", "av", "avs")
"""What captions tell of: what is seen, what is heard, both, and what is said besides."""

_IMAGES = data("captioned images", 15.8, "CC3M", "CC12M", "COCO", "Visual Genome", "SBU")
_CLIPS = data("captioned clips", 9.7, "WebVid-10M")
_OTHERS = "others, which are not told"
DATA = {
    "1b": PublishedData(groups=(_IMAGES, _CLIPS)),
    "6b": PublishedData(
        groups=(
            data("captioned images", 300.0, "LAION", _OTHERS, not_public=(_OTHERS,)),
            data("captioned clips", 49.95, "WebVid-2M", "WebVid-10M", "InternVid"),
            data("clips with their sound, and captions of all", 50.0, "InternVid2"),
        )
    ),
    "unmasked": PublishedData(
        groups=(
            _IMAGES,
            _CLIPS,
            data("captioned sound", 0.5, "WavCaps"),
            data("clips with their sound, by what is seen and heard", 50.0, "InternVid2"),
            data("the same without sound, by all that is said", 50.0, "InternVid2"),
        )
    ),
}


def _paper_6b() -> Stage2Config:
    """The 6B with a head that matches sound alone, which its second step trains."""
    config = stage2_6b()
    assert config.sound is not None
    return replace(config, sound=replace(config.sound, has_match_head=True))


_CONFIGS: dict[str, Callable[[], Stage2Config]] = {
    "1b": stage2_1b,
    "6b": stage2_6b,
    "6b_paper": _paper_6b,
}


def _open(files: tuple[str, ...], /, *, media_dir: str | None) -> Finite:
    return by_kind(open_records(files, media_dir=media_dir, prompt=""), CAPTIONS)


def _stage(size: str, name: str, source: Finite | PublishedData, request: Request) -> Stage:
    """A stage of a recipe, as ``StageBuilder`` has it."""
    if isinstance(source, PublishedData):
        source = Joined(parts=tuple((group, len(group)) for group in source.groups))
    if not isinstance(source, Joined):
        raise ConfigError(f"stage {name} learns from batches of one kind; join the kinds by datasets.joined.")
    if size == "6b_paper":
        (stage,) = (each for each in stage2_paper(source, source) if each.name == name)
    else:
        (stage,) = stage2_released(size, source)
    batch_size = request.batch_size or stage.batch_size
    for count in source.counts:
        expect_full_batch(name, count, batch_size)
    per_epoch = sum(count // batch_size for count in source.counts)
    published = 1 if name == "unmasked" else STAGE2[size.removesuffix("_paper")].epochs
    num_steps = int(per_epoch * (request.epochs or published))
    return replace(
        stage, batch_size=batch_size, num_steps=num_steps, loss=_masking(stage.loss, size, request)
    )


def _masking(loss: Any, size: str, request: Request) -> Alignment:
    """Words are hidden as the vocabulary has them."""
    assert isinstance(loss, Alignment)
    processor = _outline(size, request).processor
    if processor is None:
        return loss
    words = processor.processor.tokenizer
    masking = WordMasking(
        vocab_size=words.vocab_size, pad_id=words.pad_id, start_id=words.start_id, mask_id=words.mask_id
    )
    return replace(loss, masking=masking)


def _outline(size: str, request: Request) -> Outline:
    if request.model is not None:
        folder = find_checkpoint(request.model, files=SETTINGS_FILES)
        if (folder / "config.json").is_file():
            loaded = stage2_checkpoint.load_outline(folder, dtype=torch.float32)
            return Outline(model=loaded.model, processor=AlignedProcessor(loaded.processor))
    with torch.device("meta"):
        return Outline(model=InternVideo2Stage2(_CONFIGS[size]()))


def _start(size: str, request: Request) -> Loaded[InternVideo2Stage2, AlignedProcessor]:
    if request.model is not None:
        loaded = load_model(request.model, dtype=torch.float32)
        if not isinstance(loaded.model, InternVideo2Stage2):
            raise ConfigError(f"{request.model} is no stage 2 of InternVideo2.")
        return replace(loaded, processor=AlignedProcessor(loaded.processor), beside=())
    found = {name: find_checkpoint(source) for name, source in request.parts.items()}
    generator = torch.Generator().manual_seed(request.seed)
    model = assemble_stage2(_CONFIGS[size](), found["vision"], found["text"], found.get("audio"), generator)
    words = BertTokenizer(load_tokenizer(found["text"]))
    processor = AlignedProcessor(Stage2Processor(words, Stage2ProcessorConfig()))
    return Loaded(model=model, processor=processor, generation=None, folder=found["vision"])


def _save(loaded: Loaded[Any, Any], folder: Path) -> None:
    stage2_checkpoint.save_stage2(loaded.model, loaded.processor.processor, folder)


def _recipe(size: str, summary: str, learned: dict[str, PublishedData], parts: dict[str, str]) -> Recipe:
    return Recipe(
        name=f"internvideo2_stage2_{size}",
        summary=f"InternVideo2 {summary} (arXiv 2403.15377)",
        data=learned,
        twin="nano_internvideo2",
        parts={**parts, "text": "google-bert/bert-large-uncased"},
        outline=partial(_outline, size),
        start=partial(_start, size),
        open_data=_open,
        stage=partial(_stage, size),
        save=_save,
    )


_OF_6B = {
    "vision": "the 6B after stage 1, which was not released",
    "audio": "audio_6b.pth of OpenGVLab/InternVideo2-Stage2_6B-Audio",
}
INTERNVIDEO2_STAGE2_1B = _recipe(
    "1b",
    "1B, stage 2 as released: eyes and text",
    {"masked": DATA["1b"]},
    {"vision": "OpenGVLab/InternVideo2-Stage1-1B-224p-f8"},
)
INTERNVIDEO2_STAGE2_6B = _recipe(
    "6b", "6B, stage 2 as released: eyes, ears and text", {"masked": DATA["6b"]}, _OF_6B
)
INTERNVIDEO2_STAGE2_6B_PAPER = _recipe(
    "6b_paper",
    "6B, both steps of stage 2 as told: masked, then unmasked with the eyes frozen",
    {"masked": DATA["6b"], "unmasked": DATA["unmasked"]},
    _OF_6B,
)
