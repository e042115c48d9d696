"""The audio captioner from folders and into them, strictly.

No weights were released, so the layout is ours: ``config.json`` says all sizes, weights have the names of
``captioner_keys``.
"""

from collections.abc import Mapping
from pathlib import Path

import torch

from kinema.errors import WeightsError
from kinema.hub.card import ModelCard
from kinema.hub.files import read_json
from kinema.hub.generation import GenerationDefaults
from kinema.hub.write import MAX_SHARD_BYTES, dtype_name
from kinema.models.internvideo2.captioner import AudioCaptioner, CaptionerConfig
from kinema.models.internvideo2.captioner_keys import captioner_keymap
from kinema.models.internvideo2.captioner_processor import CaptionerProcessor, CaptionerProcessorConfig
from kinema.models.internvideo2.config_json import (
    build_config,
    parse_config,
    processor_settings,
    write_config,
)
from kinema.models.internvideo2.file_kinds import CAPTIONER_TYPE
from kinema.models.internvideo2.folders import read_generation, read_pieces, write_folder
from kinema.models.internvideo2.weights import load_network, open_own
from kinema.models.loaded import Loaded


def load_captioner(
    folder: Path, *, dtype: torch.dtype | None = None, device: torch.device | str = "cpu"
) -> AudioCaptioner:
    """The network of a folder that ``save_captioner`` wrote, in evaluation mode.

    Args:
        folder: the folder.
        dtype: what to cast the weights to as they are read; None keeps what the files have.
        device: where the weights go, tensor by tensor.

    Raises:
        WeightsError: if anything is missing, left over or of another shape, naming it.
    """
    config = _sizes(folder)
    files = open_own(folder)
    return load_network(lambda: AudioCaptioner(config), captioner_keymap(config), files, dtype, device)


def load(
    folder: Path,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    compat: str = "official",
    parts: Mapping[str, Path] | None = None,
) -> Loaded[AudioCaptioner, CaptionerProcessor]:
    """A model with its processor; arguments and errors as for ``load_captioner`` and ``load_processor``.

    ``parts`` is empty: a folder of ours needs nothing beside it.
    """
    return _loaded(load_captioner(folder, dtype=dtype, device=device), folder, compat)


def load_outline(
    folder: Path, *, dtype: torch.dtype, compat: str = "official"
) -> Loaded[AudioCaptioner, CaptionerProcessor]:
    """As ``load``, but the parameters have shapes only (torch's device "meta"), and no weights are read."""
    config = _sizes(folder)
    with torch.device("meta"):
        model = AudioCaptioner(config)
    return _loaded(model.to(dtype=dtype).eval(), folder, compat)


def load_processor(folder: Path, config: CaptionerConfig, *, compat: str = "official") -> CaptionerProcessor:
    """The processor that belongs to the weights of a folder.

    Raises:
        WeightsError: if its vocabulary is missing or broken, a setting is unknown, or there is no such mode.
    """
    if compat != "official":
        raise WeightsError(f"the audio captioner knows compat='official' only, got {compat!r}.")
    settings = build_config(CaptionerProcessorConfig, processor_settings(folder, CAPTIONER_TYPE))
    needs = settings.template.control_tokens
    pieces = read_pieces(folder, config.language.vocab_size, is_apart=False, needs=needs)
    return CaptionerProcessor(pieces, settings)


def save_captioner(
    model: AudioCaptioner,
    processor: CaptionerProcessor,
    folder: Path,
    *,
    card: ModelCard | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Write a folder that ``load`` takes.

    Args:
        model: weights in one dtype.
        processor: goes with them.
        folder: new, or empty; it appears whole or not at all.
        card: README.md.
        max_shard_bytes: most bytes in one file of weights.

    Raises:
        WeightsError: if the folder holds something.
    """
    content = write_config(CAPTIONER_TYPE, model.config, dtype=dtype_name(model.parameters()))
    tensors = captioner_keymap(model.config).export(model.state_dict())
    write_folder(
        folder,
        content,
        tensors,
        processor=processor,
        generation=GenerationDefaults(eos_token_ids=processor.stop_token_ids),
        card=card,
        max_shard_bytes=max_shard_bytes,
    )


def _sizes(folder: Path) -> CaptionerConfig:
    return parse_config(read_json(folder / "config.json"), CAPTIONER_TYPE, CaptionerConfig)


def _loaded(model: AudioCaptioner, folder: Path, compat: str) -> Loaded[AudioCaptioner, CaptionerProcessor]:
    processor = load_processor(folder, model.config, compat=compat)
    generation = read_generation(folder, processor)
    return Loaded(model=model, processor=processor, generation=generation, folder=folder)
