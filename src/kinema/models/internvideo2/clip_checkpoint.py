"""InternVideo2-CLIP from a whole file or a folder, and into one, strictly: every tensor is claimed by name.

The 14 MB files of CLIP are no models: ``clip_assembly`` puts those together with what they were trained on.
"""

from dataclasses import asdict
from pathlib import Path

import torch

from kinema.errors import ConfigError, WeightsError
from kinema.hub.card import ModelCard
from kinema.hub.files import open_checkpoint, read_json
from kinema.hub.sentence_pieces import read_sentence_pieces, save_sentence_pieces
from kinema.hub.tokenizer import load_tokenizer, save_tokenizer
from kinema.hub.write import MAX_SHARD_BYTES, dtype_name, new_folder, write_json, write_tensors
from kinema.models.internvideo2.clip import InternVideo2CLIP, InternVideo2CLIPConfig
from kinema.models.internvideo2.clip_keys import clip_keymap
from kinema.models.internvideo2.clip_processor import CLIPProcessor, CLIPProcessorConfig
from kinema.models.internvideo2.clip_shapes import clip_sizes
from kinema.models.internvideo2.config_json import build_config, parse_config, write_config
from kinema.models.internvideo2.weights import load_network, sizes_of
from kinema.models.loaded import Loaded
from kinema.processors.clip_text import CLIPTokenizer
from kinema.processors.sentence_pieces import SentencePieceTokenizer
from kinema.processors.summary_text import SummaryTokenizer

CLIP_TYPE = "internvideo2_clip"
"""``model_type`` of the folders we write."""


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
    files = open_checkpoint(source)
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
    folder: Path,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    compat: str = "official",
) -> Loaded[InternVideo2CLIP, CLIPProcessor]:
    """A model with its processor; arguments and errors as for ``load_clip`` and ``load_processor``."""
    return _loaded(load_clip(folder, dtype=dtype, device=device), folder, compat)


def load_outline(
    folder: Path, *, dtype: torch.dtype, compat: str = "official"
) -> Loaded[InternVideo2CLIP, CLIPProcessor]:
    """As ``load``, but the parameters have shapes only (torch's device "meta"), and no weights are read."""
    config = parse_config(read_json(folder / "config.json"), CLIP_TYPE, InternVideo2CLIPConfig)
    with torch.device("meta"):
        model = InternVideo2CLIP(config)
    return _loaded(model.to(dtype=dtype).eval(), folder, compat)


def load_processor(
    folder: Path, config: InternVideo2CLIPConfig, *, compat: str = "official"
) -> CLIPProcessor:
    """The processor of a folder that ``save_clip`` wrote.

    Raises:
        ConfigError: if there is no such mode.
        WeightsError: if vocabulary and text tower do not belong together, or a setting is unknown.
    """
    if compat != "official":
        raise ConfigError(f"InternVideo2-CLIP knows compat='official' only, got {compat!r}.")
    settings = read_json(folder / "config.json").get("processor", {})
    return CLIPProcessor(_tokenizer(folder, config), build_config(CLIPProcessorConfig, settings))


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
    content["processor"] = asdict(processor.config)
    tensors = clip_keymap(model.config).export(model.state_dict())
    with new_folder(folder) as unfinished:
        write_tensors(unfinished, tensors, max_shard_bytes=max_shard_bytes)
        write_json(unfinished / "config.json", content)
        _save_tokenizer(processor.tokenizer, unfinished)
        if card is not None:
            card.save(unfinished)


def _tokenizer(folder: Path, config: InternVideo2CLIPConfig) -> CLIPTokenizer | SummaryTokenizer:
    if config.text is not None:
        clip = CLIPTokenizer(load_tokenizer(folder), num_positions=config.text.max_positions)
        _check_vocabulary(folder, clip.end_id + 1, config.text.vocab_size)
        return clip
    assert config.decoder is not None
    model, legacy = read_sentence_pieces(folder)
    pieces = SentencePieceTokenizer(model, legacy=legacy)
    _check_vocabulary(folder, pieces.num_pieces, config.decoder.vocab_size)
    return SummaryTokenizer(pieces)


def _check_vocabulary(folder: Path, num_tokens: int, num_rows: int) -> None:
    if num_tokens > num_rows:
        raise WeightsError(
            f"{folder}: the vocabulary has {num_tokens} tokens, the text tower {num_rows}; they do not "
            "belong together."
        )


def _save_tokenizer(tokenizer: CLIPTokenizer | SummaryTokenizer, folder: Path) -> None:
    if isinstance(tokenizer, CLIPTokenizer):
        save_tokenizer(tokenizer.backend, folder)
        return
    pieces = tokenizer.pieces
    save_sentence_pieces(
        folder, pieces.model, legacy=pieces.legacy, added_tokens=pieces.added_tokens, padding_side="right"
    )


def _loaded(model: InternVideo2CLIP, folder: Path, compat: str) -> Loaded[InternVideo2CLIP, CLIPProcessor]:
    processor = load_processor(folder, model.config, compat=compat)
    images = (model, processor.with_settings(modality="image"))
    return Loaded(model=model, processor=processor, generation=None, folder=folder, beside=(images,))
