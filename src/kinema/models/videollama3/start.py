"""A VideoLLaMA3 as its training begins: published parts, and a connector of chance."""

from pathlib import Path

import torch

from kinema.hub.tokenizer import add_special_tokens, load_tokenizer
from kinema.models.decoder_checkpoint import load_decoder
from kinema.models.loaded import Loaded
from kinema.models.videollama3.checkpoint import load_vision_encoder
from kinema.models.videollama3.config import VideoLLaMA3Config
from kinema.models.videollama3.model import VideoLLaMA3
from kinema.models.videollama3.processor import VideoLLaMA3Processor, VideoLLaMA3ProcessorConfig
from kinema.models.videollama3.processor_json import OFFICIAL_TOKENS
from kinema.processors.tokenizer import TextTokenizer


def start_videollama3(
    language: Path,
    vision: Path,
    generator: torch.Generator,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> Loaded[VideoLLaMA3, VideoLLaMA3Processor]:
    """Put a model together from the parts that its first stage starts from (arXiv 2501.13106, Section 3.3).

    Args:
        language: folder of a Qwen2.5 with its vocabulary, such as Qwen/Qwen2.5-1.5B-Instruct.
        vision: folder of DAMO-NLP-SG/SigLIP-NaViT, or of stock SigLIP, which holds the same weights; or of a
            whole VideoLLaMA3, such as the trained 2B whose encoder the 7B began with.
        generator: draws the connector, as torch draws linear layers.
        dtype: what to cast the weights to as they are read; None keeps what the files have.
        device: where the weights go.

    Raises:
        WeightsError: if a part is not whole, or of another architecture.
    """
    encoder = load_vision_encoder(vision, dtype=dtype, device=device)
    decoder = load_decoder(language, "qwen2", dtype=dtype, device=device)
    with torch.device("meta"):
        model = VideoLLaMA3(VideoLLaMA3Config(vision=encoder.config, language=decoder.config))
    model.vision_encoder, model.language_model = encoder, decoder
    model.connector.to_empty(device=device).to(decoder.embed_tokens.weight.dtype)
    model.connector.draw(generator)
    vocabulary = load_tokenizer(language)
    add_special_tokens(vocabulary, OFFICIAL_TOKENS)
    processor = VideoLLaMA3Processor(TextTokenizer(vocabulary), VideoLLaMA3ProcessorConfig())
    return Loaded(model=model.eval(), processor=processor, generation=None, folder=language)
