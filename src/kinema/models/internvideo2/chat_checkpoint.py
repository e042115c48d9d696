"""InternVideo2-Chat from files and into folders, strictly; low-rank updates are merged as they are read."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from kinema.errors import WeightsError
from kinema.hub.card import ModelCard
from kinema.hub.files import TensorSource
from kinema.hub.generation import GenerationDefaults
from kinema.hub.lora import LoraConfig, LoraFiles
from kinema.hub.write import MAX_SHARD_BYTES, dtype_name
from kinema.models.decoder_keys import DecoderLayout
from kinema.models.internvideo2.chat import ChatConfig, InternVideo2Chat
from kinema.models.internvideo2.chat_keys import chat_keymap
from kinema.models.internvideo2.chat_processor import ChatProcessor, ChatProcessorConfig
from kinema.models.internvideo2.chat_shapes import chat_sizes
from kinema.models.internvideo2.config_json import build_config, processor_settings, write_config
from kinema.models.internvideo2.file_kinds import CHAT_TYPE
from kinema.models.internvideo2.folders import read_generation, read_pieces, write_folder
from kinema.models.internvideo2.weights import load_network, open_own, sizes_of
from kinema.models.loaded import Loaded
from kinema.models.parts import folder_of
from kinema.processors.inst_template import InstTemplate

PUBLISHED_CHAT_TYPE = "InternVideo2_VideoChat2"
"""``model_type`` of the released folders, whose sizes are read from shapes."""

_PUBLISHED: dict[DecoderLayout, ChatProcessorConfig] = {
    "llama": ChatProcessorConfig(),
    "internlm2": ChatProcessorConfig(
        template=InstTemplate(marks="chatml", begins_segments=False), max_tiles=6
    ),
}
"""Settings of the released models, by the language model: that with InternLM2.5 was last trained on tiles."""

_SCALING = 2.0
"""Alpha over rank of the released low-rank updates: 32 over 16."""


def load_chat(
    source: Path,
    *,
    image_size: int = 224,
    num_heads: int | None = None,
    bridge_head_size: int = 64,
    language_head_size: int = 128,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> InternVideo2Chat:
    """The network of a published checkpoint, or of a folder that ``save_chat`` wrote, in evaluation mode.

    Args:
        source: a file or a folder.
        image_size: of the position tables, where no ``config.json`` of ours tells; and so are the others.
        num_heads: of the video encoder; None for the published sizes.
        bridge_head_size: width of a head of the Q-Former.
        language_head_size: width of a head of the language model.
        dtype: what to cast the weights to as they are read; None keeps what the files have, which is bfloat16
            of the language model and float32 of the rest.
        device: where the weights go, tensor by tensor.

    Raises:
        WeightsError: if anything is missing, left over or of another shape, naming it.
    """
    files = _merged(open_own(source))
    config = sizes_of(
        source,
        CHAT_TYPE,
        ChatConfig,
        lambda: chat_sizes(
            files.shapes,
            image_size=image_size,
            num_heads=num_heads,
            bridge_head_size=bridge_head_size,
            language_head_size=language_head_size,
        ),
    )
    return load_network(lambda: InternVideo2Chat(config), chat_keymap(config), files, dtype, device)


def load(
    source: Path,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    compat: str = "official",
    parts: Mapping[str, Path] | None = None,
) -> Loaded[InternVideo2Chat, ChatProcessor]:
    """A model with its processor; arguments and errors as for ``load_chat`` and ``load_processor``.

    ``parts`` may hold ``tokenizer``, the vocabulary, where it is not beside the weights.
    """
    model = load_chat(source, dtype=dtype, device=device)
    return _loaded(model, source, compat, (parts or {}).get("tokenizer"))


def load_outline(
    folder: Path, *, dtype: torch.dtype, compat: str = "official"
) -> Loaded[InternVideo2Chat, ChatProcessor]:
    """As ``load``, but the parameters have shapes only (torch's device "meta"), and no weights are read.

    Raises:
        WeightsError: if no ``config.json`` of ours tells the sizes, and no weights are there to do so.
    """
    config = sizes_of(folder, CHAT_TYPE, ChatConfig, lambda: _sizes_of_weights(folder))
    with torch.device("meta"):
        model = InternVideo2Chat(config)
    return _loaded(model.to(dtype=dtype).eval(), folder, compat)


def _sizes_of_weights(folder: Path) -> ChatConfig:
    try:
        files = open_own(folder)
    except WeightsError as error:
        raise WeightsError(f"only the weights of this model tell its sizes; load it once. {error}") from error
    return chat_sizes(_merged(files).shapes)


def load_processor(
    source: Path, config: ChatConfig, *, compat: str = "official", tokenizer: Path | None = None
) -> ChatProcessor:
    """The processor that belongs to weights.

    Args:
        source: a folder that ``save_chat`` wrote, or other weights, whose processor is the published one.
        config: of the network.
        compat: ``official``, the only mode there is.
        tokenizer: the folder of the language model's ``tokenizer.model``; None for that of the weights.

    Raises:
        WeightsError: if that is missing or broken, a setting is unknown, or there is no such mode.
    """
    if compat != "official":
        raise WeightsError(f"InternVideo2-Chat knows compat='official' only, got {compat!r}.")
    saved = processor_settings(source, CHAT_TYPE)
    settings = build_config(ChatProcessorConfig, saved) if saved else _published_settings(config)
    pieces = read_pieces(
        folder_of(source if tokenizer is None else tokenizer),
        config.language.vocab_size,
        is_apart=tokenizer is not None,
        needs=settings.template.control_tokens,
    )
    return ChatProcessor(pieces, settings)


def _published_settings(config: ChatConfig) -> ChatProcessorConfig:
    return replace(
        _PUBLISHED[config.layout],
        size=config.vision.image_size,
        patch_size=config.vision.patch_size,
        tokens_per_view=config.bridge.num_tokens,
    )


def save_chat(
    model: InternVideo2Chat,
    processor: ChatProcessor,
    folder: Path,
    *,
    card: ModelCard | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Write weights under their official names, updates merged, and sizes, settings, vocabulary beside them.

    Args:
        model: weights in one dtype.
        processor: goes with them.
        folder: new, or empty; it appears whole or not at all.
        card: README.md.
        max_shard_bytes: most bytes in one file of weights.

    Raises:
        WeightsError: if the folder holds something.
    """
    content = write_config(CHAT_TYPE, model.config, dtype=dtype_name(model.parameters()))
    write_folder(
        folder,
        content,
        _official(model),
        processor=processor,
        generation=GenerationDefaults(eos_token_ids=processor.stop_token_ids),
        card=card,
        max_shard_bytes=max_shard_bytes,
    )


def _official(model: InternVideo2Chat) -> Iterator[tuple[str, Tensor]]:
    """Tensors by their names in files, in which peft stands around the language model."""
    for name, tensor in chat_keymap(model.config).export(model.state_dict()):
        yield name.replace("lm.", "lm.base_model.model.", 1) if name.startswith("lm.") else name, tensor


def _merged(files: TensorSource) -> LoraFiles:
    """The files without peft's names, and with the updates added, if there are any."""
    ranks = {shape[0] for key, shape in files.shapes.items() if ".lora_A." in key}
    rank = min(ranks, default=1)  # of several, the check of each factor tells which one is wrong
    return LoraFiles(files, config=LoraConfig(rank=rank, alpha=_SCALING * rank))


def _loaded(
    model: InternVideo2Chat, source: Path, compat: str, tokenizer: Path | None = None
) -> Loaded[InternVideo2Chat, ChatProcessor]:
    processor = load_processor(source, model.config, compat=compat, tokenizer=tokenizer)
    folder = folder_of(source)
    generation = read_generation(folder, processor)
    return Loaded(model=model, processor=processor, generation=generation, folder=folder)
