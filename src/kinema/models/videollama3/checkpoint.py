"""VideoLLaMA3 from a folder and into one: every published layout is read, and three are written."""

from pathlib import Path

import torch

from kinema.errors import WeightsError
from kinema.hub.card import ModelCard
from kinema.hub.files import open_checkpoint, read_json
from kinema.hub.generation import GenerationDefaults
from kinema.hub.write import MAX_SHARD_BYTES, dtype_name, new_folder, write_json, write_tensors
from kinema.models.loaded import Loaded
from kinema.models.videollama3.config_json import (
    OFFICIAL_TYPE,
    TRANSFORMERS_TYPE,
    parse_config,
    parse_vision_config,
    write_config,
)
from kinema.models.videollama3.keys import (
    Layout,
    connector_keymap,
    detect_layout,
    encoder_keymap,
    encoder_of_model_keymap,
    model_keymap,
)
from kinema.models.videollama3.model import VideoLLaMA3
from kinema.models.videollama3.processor import Compat, VideoLLaMA3Processor
from kinema.models.videollama3.processor_json import load_processor, save_processor
from kinema.modules.connectors.mlp import MLPConnector
from kinema.modules.vision.navit import NaViT
from kinema.processors.pruning import NoPruning


def load(
    folder: Path,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    compat: Compat = "official",
) -> Loaded[VideoLLaMA3, VideoLLaMA3Processor]:
    """A model with its processor and its decoding settings.

    Args:
        folder: a checkpoint in the official, the trainer's or transformers' layout.
        dtype: what to cast the weights to as they are read; None keeps what the files have.
        device: where the weights go, tensor by tensor.
        compat: whose processor to reproduce.

    Raises:
        WeightsError: if anything is missing, left over or of another shape, naming it.
    """
    return Loaded(
        model=load_weights(folder, dtype=dtype, device=device),
        processor=load_processor(folder, compat=compat),
        generation=GenerationDefaults.load(folder),
        folder=folder,
    )


def load_outline(
    folder: Path, *, dtype: torch.dtype, compat: Compat = "official"
) -> Loaded[VideoLLaMA3, VideoLLaMA3Processor]:
    """As ``load``, but the parameters have shapes only (torch's device "meta"), and no weights are read."""
    with torch.device("meta"):
        model = VideoLLaMA3(parse_config(read_json(folder / "config.json")))
    return Loaded(
        model=model.to(dtype=dtype).eval(),
        processor=load_processor(folder, compat=compat),
        generation=GenerationDefaults.load(folder),
        folder=folder,
    )


def load_weights(
    folder: Path, *, dtype: torch.dtype | None = None, device: torch.device | str = "cpu"
) -> VideoLLaMA3:
    """A model in evaluation mode; arguments and errors as for ``load``."""
    config = parse_config(read_json(folder / "config.json"))
    files = open_checkpoint(folder)
    with torch.device("meta"):
        model = VideoLLaMA3(config)
    keymap = model_keymap(config, detect_layout(files.shapes))
    keymap.load_into(model, files, dtype=dtype, device=device)
    return model.eval()


def load_vision_encoder(
    folder: Path, *, dtype: torch.dtype | None = None, device: torch.device | str = "cpu"
) -> NaViT:
    """An encoder alone: VL3-SigLIP-NaViT, SigLIP-NaViT, stock SigLIP, or that of a whole model.

    Stock SigLIP, and SigLIP-NaViT which holds the same weights, has never seen rotary positions: its features
    are poor until stage 1 of training has adapted it (arXiv 2501.13106, "Vision Encoder Adaptation").
    """
    content, files = read_json(folder / "config.json"), open_checkpoint(folder)
    if content.get("model_type") in (OFFICIAL_TYPE, TRANSFORMERS_TYPE):
        config = parse_config(content).vision
        keymap = encoder_of_model_keymap(config, detect_layout(files.shapes))
    else:
        config = parse_vision_config(content)
        keymap = encoder_keymap(config, files.shapes)
    with torch.device("meta"):
        encoder = NaViT(config)
    keymap.load_into(encoder, files, dtype=dtype, device=device)
    return encoder.eval()


def load_connector(connector: MLPConnector, file: Path) -> None:
    """Replace the weights of a connector by those of ``mm_projector.bin``, which projector-only runs save.

    Dtype and device stay those of the connector.
    """
    files = open_checkpoint(file)
    weight = connector.fc1.weight
    keymap = connector_keymap(files.shapes)
    keymap.load_into(connector, files, dtype=weight.dtype, device=weight.device)


def save(
    model: VideoLLaMA3,
    processor: VideoLLaMA3Processor,
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
        WeightsError: if the folder holds something, or the processor's settings have no place in the layout.
    """
    dtype = dtype_name(model.parameters())
    with new_folder(folder) as unfinished:
        saved = save_processor(processor, unfinished, layout)
        keymap = model_keymap(model.config, layout)
        write_tensors(unfinished, keymap.export(model.state_dict()), max_shard_bytes=max_shard_bytes)
        pruned = not isinstance(processor.config.pruning, NoPruning)
        config = write_config(
            model.config, layout, saved.tokenizer, dtype=dtype, use_token_compression=pruned
        )
        write_json(unfinished / "config.json", config)
        (generation or GenerationDefaults(eos_token_ids=saved.stop_token_ids)).save(unfinished)
        if card is not None:
            card.save(unfinished)


def convert(source: Path, target: Path, *, layout: Layout | str, dtype: torch.dtype | None = None) -> None:
    """Write a checkpoint in another layout, or dtype; the weights change by nothing else.

    Args:
        source: a checkpoint folder in any layout.
        target: a new folder.
        layout: the one to write.
        dtype: to cast to; None keeps the dtype of the source.

    Raises:
        WeightsError: if there is no such layout, the target holds something, or the source cannot be loaded.
    """
    if layout not in list(Layout):
        raise WeightsError(f"there is no layout {layout!r}; there are: {', '.join(Layout)}.")
    loaded = load(source, dtype=dtype)
    card = ModelCard.load(source) if (source / "README.md").is_file() else None
    save(
        loaded.model,
        loaded.processor,
        target,
        layout=Layout(layout),
        generation=loaded.generation,
        card=card,
    )
