"""Video-LLaVA from a folder and into one: both published layouts, and what training left of a part of one."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from kinema.errors import WeightsError
from kinema.hub.card import ModelCard
from kinema.hub.files import TensorSource, open_checkpoint, read_json
from kinema.hub.generation import GenerationDefaults
from kinema.hub.write import MAX_SHARD_BYTES, dtype_name, new_folder, write_json, write_tensors
from kinema.models.languagebind.config import Modality
from kinema.models.loaded import Loaded
from kinema.models.parts import folder_of
from kinema.models.video_llava.artefacts import BASE, missing_parts, open_weights, recognise
from kinema.models.video_llava.config import VideoLLaVAConfig
from kinema.models.video_llava.config_json import parse_config, parse_layout, write_config
from kinema.models.video_llava.keys import Layout, check_layout, connector_keymap, model_keymap
from kinema.models.video_llava.model import VideoLLaVA
from kinema.models.video_llava.port import for_original, for_transformers, warn_of_port
from kinema.models.video_llava.processor import Compat, VideoLLaVAProcessor
from kinema.models.video_llava.processor_json import load_processor, save_processor
from kinema.modules.connectors.mlp import MLPConnector
from kinema.modules.sharing import share_equal_parameters

__all__ = [
    "convert",
    "load",
    "load_connector",
    "load_outline",
    "load_weights",
    "missing_parts",
    "open_weights",
    "recognise",
    "save",
]


def load(
    source: Path,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    compat: Compat = "official",
    parts: Mapping[str, Path] | None = None,
) -> Loaded[VideoLLaVA, VideoLLaVAProcessor]:
    """A model with its processor and its decoding settings.

    Args:
        source: a checkpoint folder in the official layout, or in any spelling of transformers'; or what
            training left of a part of one, with its base among the parts.
        dtype: what to cast the weights to as they are read; None keeps what the files have.
        device: where the weights go, tensor by tensor.
        compat: whose processor to reproduce.
        parts: what ``missing_parts`` names.

    Raises:
        WeightsError: if anything is missing, left over or of another shape, naming it.
    """
    folder = (parts or {}).get(BASE, source)
    return Loaded(
        model=load_weights(source, dtype=dtype, device=device, parts=parts),
        processor=load_processor(folder, compat=compat),
        generation=GenerationDefaults.load(folder),
        folder=folder,
    )


def load_outline(
    folder: Path, *, dtype: torch.dtype, compat: Compat = "official"
) -> Loaded[VideoLLaVA, VideoLLaVAProcessor]:
    """As ``load``, but the parameters have shapes only (torch's device "meta"), and no weights are read."""
    with torch.device("meta"):
        model = VideoLLaVA(parse_config(read_json(folder / "config.json")))
    return Loaded(
        model=model.to(dtype=dtype).eval(),
        processor=load_processor(folder, compat=compat),
        generation=GenerationDefaults.load(folder),
        folder=folder,
    )


def load_weights(
    source: Path,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    parts: Mapping[str, Path] | None = None,
) -> VideoLLaVA:
    """A model in evaluation mode; arguments and errors as for ``load``.

    What the towers have in common is held once.
    """
    parts = parts or {}
    files = open_weights(source, parts)
    content = read_json(parts.get(BASE, source) / "config.json")
    layout, config = parse_layout(content), parse_config(content)
    check_layout(layout, files.shapes)
    if layout is Layout.TRANSFORMERS:
        warn_of_port(config)
    return _load(config, layout, files, dtype=dtype, device=device)


def load_connector(connector: MLPConnector, source: Path) -> None:
    """Replace the weights of a connector by those of a projector that the original's first stage saved.

    Args:
        connector: keeps its dtype and device.
        source: ``mm_projector.bin``, or a folder that holds no other weights.

    Raises:
        WeightsError: if it is another's, or of another size.
    """
    files = open_checkpoint(source)
    weight = connector.fc1.weight
    keymap = connector_keymap(files.shapes)
    keymap.load_into(connector, files, dtype=weight.dtype, device=weight.device)


def save(
    model: VideoLLaVA,
    processor: VideoLLaVAProcessor,
    folder: Path,
    *,
    layout: Layout = Layout.OFFICIAL,
    generation: GenerationDefaults | None = None,
    card: ModelCard | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Write a checkpoint that the code of that layout can load; it appears whole or not at all.

    Args:
        model: weights in one dtype.
        processor: goes with them.
        folder: new, or empty.
        layout: whose names and settings files.
        generation: decoding settings; None for greedy answers that end at the processor's stop tokens.
        card: README.md.
        max_shard_bytes: most bytes in one file of weights.

    Raises:
        WeightsError: if the folder holds something, or the layout has no place for a part of the model.
    """
    dtype = dtype_name(model.parameters())
    with new_folder(folder) as unfinished:
        saved = save_processor(processor, unfinished, layout)
        placeholders = saved.tokenizer.added_tokens
        config, state = _state_for(model, layout, placeholders, saved.tokenizer.num_pieces)
        tensors = model_keymap(config, layout).export(state)
        write_tensors(unfinished, tensors, max_shard_bytes=max_shard_bytes)
        content = write_config(
            config,
            layout,
            dtype=dtype,
            placeholders=placeholders,
            image_fit=processor.config.pixels.image_fit,
        )
        write_json(unfinished / "config.json", content)
        (generation or GenerationDefaults(eos_token_ids=saved.stop_token_ids)).save(unfinished)
        if card is not None:
            card.save(unfinished)


def convert(
    source: Path,
    target: Path,
    *,
    layout: Layout | str,
    dtype: torch.dtype | None = None,
    parts: Mapping[str, Path] | None = None,
) -> None:
    """Write a checkpoint in another layout, or dtype, or what training left of a part of one as a whole.

    To transformers' layout the attention over time is lost, and it says so; from it nothing leads back.

    Args:
        source: as for ``load``.
        target: a new folder.
        layout: the one to write.
        dtype: to cast to; None keeps the dtype of the source.
        parts: as for ``load``.

    Raises:
        WeightsError: if there is no such layout, the target holds something, or the source cannot be loaded.
    """
    if layout not in list(Layout):
        raise WeightsError(f"there is no layout {layout!r}; there are: {', '.join(Layout)}.")
    loaded = load(source, dtype=dtype, parts=parts)
    home = folder_of(source)
    card = ModelCard.load(home) if (home / "README.md").is_file() else None
    save(
        loaded.model,
        loaded.processor,
        target,
        layout=Layout(layout),
        generation=loaded.generation,
        card=card,
    )


def _load(
    config: VideoLLaVAConfig,
    layout: Layout,
    files: TensorSource,
    *,
    dtype: torch.dtype | None,
    device: torch.device | str,
) -> VideoLLaVA:
    with torch.device("meta"):
        model = VideoLLaVA(config)
    model_keymap(config, layout, files.shapes).load_into(model, files, dtype=dtype, device=device)
    share_equal_parameters(model.vision_encoder[Modality.IMAGE], model.vision_encoder[Modality.VIDEO])
    return model.eval()


def _state_for(
    model: VideoLLaVA, layout: Layout, placeholders: Mapping[str, int], num_pieces: int
) -> tuple[VideoLLaVAConfig, dict[str, Tensor]]:
    if layout is Layout.TRANSFORMERS:
        return for_transformers(model, placeholders)
    return for_original(model, num_pieces)
