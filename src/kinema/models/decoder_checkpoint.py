"""A language model alone, as other people publish it: what a model with eyes or ears starts from."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from kinema.hub.config_fields import expect_field
from kinema.hub.files import open_checkpoint, read_json
from kinema.hub.keymap import Ignore, KeyMap
from kinema.models.decoder_json import parse_decoder_config
from kinema.models.decoder_keys import DecoderLayout, decoder_rules
from kinema.modules.language.decoder import Decoder

DecoderType = Literal["llama", "mistral", "qwen2", "internlm2"]
"""``model_type`` of its ``config.json``. Attention of Mistral's may look back so far and no further."""


def load_decoder(
    folder: Path,
    model_type: DecoderType,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> Decoder:
    """A decoder of Llama's kind, in evaluation mode.

    Args:
        folder: holds ``config.json`` and weights.
        model_type: of what it must be.
        dtype: what to cast the weights to as they are read; None keeps what the files have.
        device: where the weights go.

    Raises:
        WeightsError: if it is not whole, or of another architecture.
    """
    content = read_json(folder / "config.json")
    expect_field(content, "model_type", model_type)
    config = parse_decoder_config(content, attention_bias=model_type == "qwen2")
    if model_type == "mistral":
        config = replace(config, sliding_window=content.get("sliding_window"))
    with torch.device("meta"):
        decoder = Decoder(config)
    rotary = Ignore("model.layers.*.self_attn.rotary_emb.inv_freq", "it follows from the head size")
    layout: DecoderLayout = "internlm2" if model_type == "internlm2" else "llama"
    keymap = KeyMap(model_type, (*decoder_rules(config, theirs="model.", ours="", layout=layout), rotary))
    keymap.load_into(decoder, open_checkpoint(folder), dtype=dtype, device=device)
    return decoder.eval()
