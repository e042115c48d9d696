"""Stage 2 of InternVideo2 from files and into folders, strictly: every tensor is claimed by name.

The published files hold weights alone. ``load_stage2`` reads them by their shapes; ``save_stage2`` puts the
same tensors under the same names into a folder that ``kinema.load`` takes, with sizes, settings, vocabulary.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kinema.errors import WeightsError
from kinema.hub.card import ModelCard
from kinema.hub.files import open_checkpoint, read_json
from kinema.hub.tokenizer import load_tokenizer, save_tokenizer
from kinema.hub.write import MAX_SHARD_BYTES, dtype_name, new_folder, write_json, write_tensors
from kinema.models.internvideo2.config_json import build_config, parse_config, write_config
from kinema.models.internvideo2.stage2 import InternVideo2Stage2, Stage2Config
from kinema.models.internvideo2.stage2_keys import stage2_keymap
from kinema.models.internvideo2.stage2_processor import Stage2Processor, Stage2ProcessorConfig
from kinema.models.internvideo2.stage2_shapes import stage2_sizes
from kinema.models.internvideo2.weights import load_network, sizes_of
from kinema.models.loaded import Loaded
from kinema.processors.bert_text import BertTokenizer

STAGE2_TYPE = "internvideo2_stage2"
"""``model_type`` of the folders we write."""


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
    files = open_checkpoint(source)
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
    folder: Path,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    compat: str = "official",
) -> Loaded[InternVideo2Stage2, Stage2Processor]:
    """A model with its processors; arguments and errors as for ``load_stage2`` and ``load_processor``."""
    return _loaded(load_stage2(folder, dtype=dtype, device=device), folder, compat)


def load_outline(
    folder: Path, *, dtype: torch.dtype, compat: str = "official"
) -> Loaded[InternVideo2Stage2, Stage2Processor]:
    """As ``load``, but the parameters have shapes only (torch's device "meta"), and no weights are read."""
    config = parse_config(read_json(folder / "config.json"), STAGE2_TYPE, Stage2Config)
    with torch.device("meta"):
        model = InternVideo2Stage2(config)
    return _loaded(model.to(dtype=dtype).eval(), folder, compat)


def load_processor(folder: Path, config: Stage2Config, *, compat: str = "official") -> Stage2Processor:
    """The processor of a folder that ``save_stage2`` wrote.

    Raises:
        WeightsError: if vocabulary and text encoder do not belong together, or a setting is unknown.
    """
    if compat != "official":
        raise WeightsError(f"stage 2 of InternVideo2 knows compat='official' only, got {compat!r}.")
    tokenizer = BertTokenizer(load_tokenizer(folder))
    if tokenizer.vocab_size > config.text.vocab_size:
        raise WeightsError(
            f"{folder}: the vocabulary has {tokenizer.vocab_size} pieces, the text encoder "
            f"{config.text.vocab_size}; they do not belong together."
        )
    settings = read_json(folder / "config.json").get("processor", {})
    return Stage2Processor(tokenizer, build_config(Stage2ProcessorConfig, settings))


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
    content["processor"] = asdict(processor.config)
    tensors = stage2_keymap(model.config).export(model.state_dict())
    with new_folder(folder) as unfinished:
        write_tensors(unfinished, tensors, max_shard_bytes=max_shard_bytes)
        write_json(unfinished / "config.json", content)
        save_tokenizer(processor.tokenizer.backend, unfinished)
        if card is not None:
            card.save(unfinished)


@dataclass(frozen=True)
class SoundTower:
    """The ears of a model in the place of its eyes, for whoever embeds media of one kind."""

    model: InternVideo2Stage2

    @property
    def logit_scale(self) -> Tensor:
        """As the model's."""
        return self.model.logit_scale

    def parameters(self) -> Any:
        """As the model's."""
        return self.model.parameters()

    def embed_pixels(self, audio_features: Tensor) -> Tensor:
        """Unit vectors of sounds, (B, L, mel bins) to (B, P)."""
        return self.model.embed_audio(audio_features)

    def embed_text(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """As the model's."""
        return self.model.embed_text(input_ids, attention_mask)

    def match_pixels(self, audio_features: Tensor, input_ids: Tensor) -> Tensor:
        """How well one text, (1, N), belongs to each of some sounds, (B, L, mel bins): (B,) logits."""
        return self.model.match_one(self.model.hear(audio_features), input_ids)


def _loaded(
    model: InternVideo2Stage2, folder: Path, compat: str
) -> Loaded[InternVideo2Stage2, Stage2Processor]:
    processor = load_processor(folder, model.config, compat=compat)
    beside: list[tuple[Any, Any]] = [(model, processor.with_settings(modality="image"))]
    if model.hearing is not None:
        beside.append((SoundTower(model), processor.with_settings(modality="audio")))
    return Loaded(model=model, processor=processor, generation=None, folder=folder, beside=tuple(beside))
