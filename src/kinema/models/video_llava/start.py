"""A Video-LLaVA as its training begins: published towers, a language model of text, a connector of chance."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from kinema.models.decoder_checkpoint import load_decoder
from kinema.models.languagebind.checkpoint import load_vision_encoder
from kinema.models.languagebind.config import Modality
from kinema.models.video_llava.config import VideoLLaVAConfig
from kinema.models.video_llava.model import VideoLLaVA
from kinema.modules.sharing import share_equal_parameters


def assemble(
    language: Path,
    towers: Mapping[Modality, Path],
    generator: torch.Generator,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> VideoLLaVA:
    """Put a model together from the parts that its first stage starts from (arXiv 2311.10122, Section 3.3).

    Args:
        language: folder of a language model of Llama's kind, such as lmsys/vicuna-7b-v1.5.
        towers: folder of a LanguageBind checkpoint for each modality, such as LanguageBind/LanguageBind_Image
            and LanguageBind/LanguageBind_Video_merge.
        generator: draws the connector, as torch draws linear layers.
        dtype: what to cast the weights to as they are read; None keeps what the files have.
        device: where the weights go.

    Raises:
        WeightsError: if a part is not whole, or of another architecture.
        ConfigError: if the towers have several widths.
    """
    encoders = {
        modality: load_vision_encoder(folder, dtype=dtype, device=device)
        for modality, folder in towers.items()
    }
    decoder = load_decoder(language, "llama", dtype=dtype, device=device)
    config = VideoLLaVAConfig(
        towers={name: replace(encoder.config, patch_dropout=0.0) for name, encoder in encoders.items()},
        language=decoder.config,
    )
    with torch.device("meta"):
        model = VideoLLaVA(config)
    for name, encoder in encoders.items():
        model.vision_encoder[name].load_state_dict(encoder.state_dict(), assign=True)
    share_equal_parameters(model.vision_encoder[Modality.IMAGE], model.vision_encoder[Modality.VIDEO])
    model.language_model = decoder
    model.connector.to_empty(device=device).to(decoder.embed_tokens.weight.dtype)
    model.connector.draw(generator)
    return model.eval()
