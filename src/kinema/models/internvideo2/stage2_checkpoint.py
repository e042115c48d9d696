"""Stage 2 of InternVideo2 from files and into folders, strictly: every tensor is claimed by name.

The published files hold weights alone. ``load_stage2`` reads them by their shapes; ``save_stage2`` puts the
same tensors under the same names into a folder that ``kinema.load`` takes, with sizes, settings, vocabulary.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from kinema.errors import WeightsError
from kinema.hub.card import ModelCard
from kinema.hub.files import read_json
from kinema.hub.tokenizer import load_tokenizer
from kinema.hub.write import MAX_SHARD_BYTES, dtype_name
from kinema.models.internvideo2.config_json import (
    build_config,
    parse_config,
    processor_settings,
    write_config,
)
from kinema.models.internvideo2.file_kinds import STAGE2_TYPE
from kinema.models.internvideo2.folders import write_folder
from kinema.models.internvideo2.stage2 import InternVideo2Stage2, Kind, Stage2Config
from kinema.models.internvideo2.stage2_keys import stage2_keymap
from kinema.models.internvideo2.stage2_processor import Stage2Processor, Stage2ProcessorConfig
from kinema.models.internvideo2.stage2_shapes import stage2_sizes
from kinema.models.internvideo2.stage2_towers import FilmTower, SoundTower
from kinema.models.internvideo2.weights import load_network, open_own, sizes_of
from kinema.models.loaded import Loaded
from kinema.models.parts import check_vocabulary, folder_of
from kinema.processors.bert_text import BertTokenizer


def load_stage2(
    source: Path,
    *,
    image_size: int = 224,
    num_heads: int | None = None,
    num_text_heads: int | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> InternVideo2Stage2:
    """The network of a published file, or of a folder that ``save_stage2`` wrote, in evaluation mode.

    Args:
        source: the file or the folder.
        image_size: of the position tables, where no ``config.json`` tells.
        num_heads: of the video encoder, where no ``config.json`` tells; None for the published sizes.
        num_text_heads: of BERT, likewise.
        dtype: what to cast the weights to as they are read; None keeps what the file has.
        device: where the weights go, tensor by tensor.

    Raises:
        WeightsError: if anything is missing, left over or of another shape, naming it.
    """
    files = open_own(source)
    config = sizes_of(
        source,
        STAGE2_TYPE,
        Stage2Config,
        lambda: stage2_sizes(
            files.shapes, image_size=image_size, num_heads=num_heads, num_text_heads=num_text_heads
        ),
    )
    return load_network(lambda: InternVideo2Stage2(config), stage2_keymap(config), files, dtype, device)


def load(
    source: Path,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    compat: str = "official",
    parts: Mapping[str, Path] | None = None,
) -> Loaded[InternVideo2Stage2, Stage2Processor]:
    """A model with its processors; arguments and errors as for ``load_stage2`` and ``load_processor``.

    ``parts`` may hold ``tokenizer``, BERT's vocabulary, where it is not beside the weights.
    """
    model = load_stage2(source, dtype=dtype, device=device)
    return _loaded(model, source, compat, (parts or {}).get("tokenizer"))


def load_outline(
    folder: Path, *, dtype: torch.dtype, compat: str = "official"
) -> Loaded[InternVideo2Stage2, Stage2Processor]:
    """As ``load``, but the parameters have shapes only (torch's device "meta"), and no weights are read."""
    config = parse_config(read_json(folder / "config.json"), STAGE2_TYPE, Stage2Config)
    with torch.device("meta"):
        model = InternVideo2Stage2(config)
    return _loaded(model.to(dtype=dtype).eval(), folder, compat)


def load_processor(
    source: Path, config: Stage2Config, *, compat: str = "official", tokenizer: Path | None = None
) -> Stage2Processor:
    """The processor that belongs to weights.

    Args:
        source: a folder that ``save_stage2`` wrote, or weights without a config, whose processor is the
            published one.
        config: of the network.
        compat: ``official``, the only mode there is.
        tokenizer: the folder of the vocabulary; None for that of the weights.

    Raises:
        WeightsError: if vocabulary and text encoder do not belong together, or a setting is unknown.
    """
    if compat != "official":
        raise WeightsError(f"stage 2 of InternVideo2 knows compat='official' only, got {compat!r}.")
    home = folder_of(source if tokenizer is None else tokenizer)
    words = BertTokenizer(load_tokenizer(home))
    is_apart = tokenizer is not None
    check_vocabulary(home, words.vocab_size, config.text.vocab_size, is_apart=is_apart)
    settings = processor_settings(source, STAGE2_TYPE)
    return Stage2Processor(words, build_config(Stage2ProcessorConfig, settings))


def save_stage2(
    model: InternVideo2Stage2,
    processor: Stage2Processor,
    folder: Path,
    *,
    card: ModelCard | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Write weights under their official names, and a ``config.json`` and the vocabulary beside them.

    Args:
        model: weights in one dtype.
        processor: goes with them.
        folder: new, or empty; it appears whole or not at all.
        card: README.md.
        max_shard_bytes: most bytes in one file of weights.

    Raises:
        WeightsError: if the folder holds something.
    """
    content = write_config(STAGE2_TYPE, model.config, dtype=dtype_name(model.parameters()))
    tensors = stage2_keymap(model.config).export(model.state_dict())
    write_folder(folder, content, tensors, processor=processor, card=card, max_shard_bytes=max_shard_bytes)


def _loaded(
    model: InternVideo2Stage2, source: Path, compat: str, tokenizer: Path | None = None
) -> Loaded[InternVideo2Stage2, Stage2Processor]:
    processor = load_processor(source, model.config, compat=compat, tokenizer=tokenizer)
    beside: list[tuple[Any, Any]] = [(model, processor.with_settings(modality="image"))]
    if model.hearing is not None:
        beside.append((SoundTower(model), processor.with_settings(modality=Kind.AUDIO)))
        beside.append((FilmTower(model), processor.with_settings(modality=Kind.AUDIO_VIDEO)))
    folder = folder_of(source)
    return Loaded(model=model, processor=processor, generation=None, folder=folder, beside=tuple(beside))
