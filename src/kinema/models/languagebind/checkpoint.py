"""LanguageBind from a folder and into one; low-rank updates are merged as they are read."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from kinema.errors import WeightsError
from kinema.hub.card import ModelCard
from kinema.hub.files import TensorSource, open_checkpoint, read_json
from kinema.hub.lora import LoraFiles, has_lora
from kinema.hub.tokenizer import save_tokenizer
from kinema.hub.write import MAX_SHARD_BYTES, dtype_name, new_folder, write_json, write_tensors
from kinema.models.languagebind.config import LanguageBindConfig
from kinema.models.languagebind.config_json import parse_config, parse_lora, write_config
from kinema.models.languagebind.keys import LAYOUT, model_keymap, vision_keymap
from kinema.models.languagebind.model import LanguageBind
from kinema.models.languagebind.processor import LanguageBindProcessor
from kinema.models.languagebind.processor_json import Compat, load_processor, vision_fields
from kinema.models.loaded import Loaded
from kinema.modules.vision.clip import CLIPVision


def load(
    folder: Path,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    compat: Compat = "official",
) -> Loaded[LanguageBind, LanguageBindProcessor]:
    """A model with its processor; arguments and errors as for ``load_weights`` and ``load_processor``."""
    model = load_weights(folder, dtype=dtype, device=device)
    processor = load_processor(folder, model.config, compat=compat)
    return Loaded(model=model, processor=processor, generation=None, folder=folder)


def load_outline(
    folder: Path, *, dtype: torch.dtype, compat: Compat = "official"
) -> Loaded[LanguageBind, LanguageBindProcessor]:
    """As ``load``, but the parameters have shapes only (torch's device "meta"), and no weights are read."""
    config = parse_config(read_json(folder / "config.json"))
    with torch.device("meta"):
        model = LanguageBind(config)
    processor = load_processor(folder, config, compat=compat)
    return Loaded(model=model.to(dtype=dtype).eval(), processor=processor, generation=None, folder=folder)


def save(
    model: LanguageBind,
    processor: LanguageBindProcessor,
    folder: Path,
    *,
    card: ModelCard | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Write a checkpoint that the official code can load; it appears whole or not at all.

    Args:
        model: weights in one dtype; low-rank updates stay merged.
        processor: goes with them.
        folder: new, or empty.
        card: README.md.
        max_shard_bytes: most bytes in one file of weights.

    Raises:
        WeightsError: if the folder holds something, or has no place for a setting of the processor.
    """
    with new_folder(folder) as unfinished:
        fields = vision_fields(processor.config, model.config)
        write_weights(model, unfinished, vision_fields=fields, max_shard_bytes=max_shard_bytes)
        save_tokenizer(processor.tokenizer.backend, unfinished)
        if card is not None:
            card.save(unfinished)


def convert(source: Path, target: Path, *, layout: str, dtype: torch.dtype | None = None) -> None:
    """Write a checkpoint with its low-rank updates merged, or in another dtype.

    Args:
        source: a checkpoint folder.
        target: a new folder.
        layout: ``official``, the only one there is.
        dtype: to cast to; None keeps the dtype of the source.

    Raises:
        WeightsError: if there is no such layout, the target holds something, or the source cannot be loaded.
    """
    if layout != LAYOUT:
        raise WeightsError(f"LanguageBind has no layout {layout!r}; there is {LAYOUT} only.")
    loaded = load(source, dtype=dtype)
    card = ModelCard.load(source) if (source / "README.md").is_file() else None
    save(loaded.model, loaded.processor, target, card=card)


def load_weights(
    folder: Path, *, dtype: torch.dtype | None = None, device: torch.device | str = "cpu"
) -> LanguageBind:
    """A model in evaluation mode.

    Args:
        folder: a published checkpoint, with low-rank updates apart or merged.
        dtype: what to cast the weights to as they are read; None keeps what the files have.
        device: where the weights go, tensor by tensor.

    Raises:
        WeightsError: if anything is missing, left over or of another shape, naming it.
    """
    config, files = _open(folder)
    with torch.device("meta"):
        model = LanguageBind(config)
    model_keymap(config).load_into(model, files, dtype=dtype, device=device)
    return model.eval()


def load_vision_encoder(
    folder: Path, *, dtype: torch.dtype | None = None, device: torch.device | str = "cpu"
) -> CLIPVision:
    """The tower of a checkpoint's modality alone, as a language model reads it; arguments as for ``load``."""
    config, files = _open(folder)
    with torch.device("meta"):
        encoder = CLIPVision(config.vision)
    vision_keymap(config.vision).load_into(encoder, files, dtype=dtype, device=device)
    return encoder.eval()


def write_weights(
    model: LanguageBind,
    folder: Path,
    *,
    vision_fields: Mapping[str, Any] | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Write the weights and ``config.json`` as the official code reads them; updates stay merged.

    Args:
        model: weights in one dtype.
        folder: an existing one, such as that of ``hub.write.new_folder``.
        vision_fields: what ``vision_config`` says besides the sizes, about how the input is made.
        max_shard_bytes: most bytes in one file of weights.
    """
    config = write_config(model.config, dtype=dtype_name(model.parameters()), vision_fields=vision_fields)
    tensors = model_keymap(model.config).export(model.state_dict())
    write_tensors(folder, tensors, max_shard_bytes=max_shard_bytes)
    write_json(folder / "config.json", config)


def _open(folder: Path) -> tuple[LanguageBindConfig, TensorSource]:
    """The sizes and the weights of a folder, with low-rank updates merged."""
    content = read_json(folder / "config.json")
    files = _merged(open_checkpoint(folder), content)
    config = parse_config(content)
    classes = files.shapes.get("vision_model.embeddings.class_embedding", ())
    if len(classes) == 2 and config.vision.num_frames is not None:  # not every config.json of V1.5 says so
        config = replace(config, vision=replace(config.vision, has_frame_class_embeddings=True))
    return config, files


def _merged(files: TensorSource, content: Mapping[str, Any]) -> TensorSource:
    if not has_lora(files.shapes):
        return files
    lora = parse_lora(content)
    if lora is None:
        raise WeightsError(
            f"{files.origin} holds low-rank updates, but lora_r in config.json's vision_config is 0; "
            "their rank and alpha must stand there."
        )
    return LoraFiles(files, config=lora)
