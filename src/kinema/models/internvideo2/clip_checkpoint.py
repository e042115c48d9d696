"""InternVideo2-CLIP from a whole file or a folder, and into one, strictly: every tensor is claimed by name.

The 14 MB files of CLIP are no models: ``clip_assembly`` puts those together with what they were trained on.
"""

from collections.abc import Mapping
from pathlib import Path

import torch

from kinema.errors import ConfigError
from kinema.hub.card import ModelCard
from kinema.hub.files import read_json
from kinema.hub.tokenizer import load_tokenizer
from kinema.hub.write import MAX_SHARD_BYTES, dtype_name
from kinema.models.internvideo2.clip import InternVideo2CLIP, InternVideo2CLIPConfig
from kinema.models.internvideo2.clip_assembly import assemble_clip
from kinema.models.internvideo2.clip_keys import clip_keymap
from kinema.models.internvideo2.clip_processor import CLIPProcessor, CLIPProcessorConfig
from kinema.models.internvideo2.clip_shapes import clip_sizes
from kinema.models.internvideo2.config_json import (
    build_config,
    parse_config,
    processor_settings,
    write_config,
)
from kinema.models.internvideo2.file_kinds import CLIP_TYPE, is_trained_part
from kinema.models.internvideo2.folders import read_pieces, write_folder
from kinema.models.internvideo2.weights import load_network, open_own, sizes_of
from kinema.models.loaded import Loaded
from kinema.models.parts import check_vocabulary, folder_of
from kinema.processors.clip_text import CLIPTokenizer
from kinema.processors.summary_text import SummaryTokenizer


def load_clip(
    source: Path,
    *,
    image_size: int = 224,
    num_heads: int | None = None,
    num_text_heads: int | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> InternVideo2CLIP:
    """The network of a whole file, such as InternVideo2_CLIP_S, or of a folder that ``save_clip`` wrote.

    Args:
        source: the file or the folder.
        image_size: of the position table, where no ``config.json`` tells.
        num_heads: of the video tower, where no ``config.json`` tells; None for the published sizes.
        num_text_heads: the same of the text tower.
        dtype: what to cast the weights to as they are read; None keeps what the file has.
        device: where the weights go, tensor by tensor.

    Raises:
        WeightsError: if anything is missing, left over or of another shape, naming it.
    """
    files = open_own(source)
    config = sizes_of(
        source,
        CLIP_TYPE,
        InternVideo2CLIPConfig,
        lambda: clip_sizes(
            files.shapes, image_size=image_size, num_heads=num_heads, num_text_heads=num_text_heads
        ),
    )
    return load_network(lambda: InternVideo2CLIP(config), clip_keymap(config), files, dtype, device)


def load(
    source: Path,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    compat: str = "official",
    parts: Mapping[str, Path] | None = None,
) -> Loaded[InternVideo2CLIP, CLIPProcessor]:
    """A model with its processor; arguments and errors as for ``load_clip`` and ``load_processor``.

    ``parts`` holds ``vision`` and ``text`` for a file of what was trained alone, which ``assemble_clip`` puts
    together with them; and ``tokenizer``, where the vocabulary is not beside the weights.
    """
    apart = parts or {}
    if is_trained_part(open_own(source).shapes):
        model = assemble_clip(apart["vision"], apart["text"], source, dtype=dtype, device=device)
    else:
        model = load_clip(source, dtype=dtype, device=device)
    return _loaded(model, source, compat, apart.get("tokenizer"))


def load_outline(
    folder: Path, *, dtype: torch.dtype, compat: str = "official"
) -> Loaded[InternVideo2CLIP, CLIPProcessor]:
    """As ``load``, but the parameters have shapes only (torch's device "meta"), and no weights are read."""
    config = parse_config(read_json(folder / "config.json"), CLIP_TYPE, InternVideo2CLIPConfig)
    with torch.device("meta"):
        model = InternVideo2CLIP(config)
    return _loaded(model.to(dtype=dtype).eval(), folder, compat)


def load_processor(
    source: Path,
    config: InternVideo2CLIPConfig,
    *,
    compat: str = "official",
    tokenizer: Path | None = None,
) -> CLIPProcessor:
    """The processor that belongs to weights.

    Args:
        source: a folder that ``save_clip`` wrote, or weights without a config, whose processor is the
            published one.
        config: of the network.
        compat: ``official``, the only mode there is.
        tokenizer: the folder of the vocabulary; None for that of the weights.

    Raises:
        ConfigError: if there is no such mode.
        WeightsError: if vocabulary and text tower do not belong together, or a setting is unknown.
    """
    if compat != "official":
        raise ConfigError(f"InternVideo2-CLIP knows compat='official' only, got {compat!r}.")
    words = _tokenizer(
        folder_of(source if tokenizer is None else tokenizer), config, is_apart=tokenizer is not None
    )
    settings = processor_settings(source, CLIP_TYPE)
    return CLIPProcessor(words, build_config(CLIPProcessorConfig, settings))


def save_clip(
    model: InternVideo2CLIP,
    processor: CLIPProcessor,
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
    content = write_config(CLIP_TYPE, model.config, dtype=dtype_name(model.parameters()))
    tensors = clip_keymap(model.config).export(model.state_dict())
    write_folder(folder, content, tensors, processor=processor, card=card, max_shard_bytes=max_shard_bytes)


def _tokenizer(
    folder: Path, config: InternVideo2CLIPConfig, *, is_apart: bool
) -> CLIPTokenizer | SummaryTokenizer:
    if config.text is not None:
        clip = CLIPTokenizer(load_tokenizer(folder), num_positions=config.text.max_positions)
        check_vocabulary(folder, clip.end_id + 1, config.text.vocab_size, is_apart=is_apart)
        return clip
    assert config.decoder is not None
    return SummaryTokenizer(read_pieces(folder, config.decoder.vocab_size, is_apart=is_apart))


def _loaded(
    model: InternVideo2CLIP, source: Path, compat: str, tokenizer: Path | None = None
) -> Loaded[InternVideo2CLIP, CLIPProcessor]:
    processor = load_processor(source, model.config, compat=compat, tokenizer=tokenizer)
    images = (model, processor.with_settings(modality="image"))
    folder = folder_of(source)
    return Loaded(model=model, processor=processor, generation=None, folder=folder, beside=(images,))
