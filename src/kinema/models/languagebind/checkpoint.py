"""LanguageBind from a folder and into one; low-rank updates are merged as they are read."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from kinema.errors import WeightsError
from kinema.hub.files import TensorSource, open_checkpoint, read_json
from kinema.hub.lora import LoraFiles, has_lora
from kinema.hub.write import MAX_SHARD_BYTES, dtype_name, write_json, write_tensors
from kinema.models.languagebind.config import LanguageBindConfig
from kinema.models.languagebind.config_json import parse_config, parse_lora, write_config
from kinema.models.languagebind.keys import model_keymap, vision_keymap
from kinema.models.languagebind.model import LanguageBind
from kinema.modules.vision.clip import CLIPVision


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
