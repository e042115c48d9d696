"""An InternVideo2-Chat as its training begins: eyes of stage 2, a language model, a bridge of chance."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from kinema.models.decoder_checkpoint import load_decoder
from kinema.models.internvideo2.bridge_start import draw_bridge
from kinema.models.internvideo2.chat import ChatConfig, InternVideo2Chat
from kinema.models.internvideo2.chat_processor import MODEL_FRAMES
from kinema.models.internvideo2.vision_checkpoint import load_tower
from kinema.modules.connectors.qformer import QFormerConfig
from kinema.modules.vision.internvideo2 import InternVideo2Vision


def assemble_chat(
    vision: Path,
    language: Path,
    generator: torch.Generator,
    *,
    bridge: QFormerConfig | None = None,
    num_frames: int = MODEL_FRAMES,
    image_size: int = 224,
    num_heads: int | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> InternVideo2Chat:
    """Put a model together from the parts that its training starts from (arXiv 2403.15377, 3.3).

    What the released Q-Former was drawn from is not told; here it is chance, as for the audio captioner.

    Args:
        vision: a file or a folder of stage 2, such as OpenGVLab/InternVideo2-Stage2_1B-224p-f4.
        language: folder of a language model, such as mistralai/Mistral-7B-Instruct-v0.3.
        generator: draws the bridge.
        bridge: sizes of the Q-Former; None for the published ones.
        num_frames: of the position table, which is interpolated from that of stage 2.
        image_size: of the position table of stage 2, where no ``config.json`` of ours tells.
        num_heads: of the encoder, likewise; None for the published sizes.
        dtype: what to cast the weights to as they are read; None keeps what the files have.
        device: where the weights go.

    Raises:
        WeightsError: if a part is not whole, or of another architecture.
        ConfigError: if the bridge does not look at tokens as wide as those of the eyes.
    """
    tower = load_tower(vision, image_size=image_size, num_heads=num_heads, dtype=dtype, device=device)
    decoder = load_decoder(language, "mistral", dtype=dtype, device=device)
    eyes = chat_eyes(tower.encoder, num_frames=num_frames)
    sizes = bridge or QFormerConfig(memory_size=eyes.config.hidden_size)
    config = ChatConfig(vision=eyes.config, bridge=sizes, language=decoder.config)
    with torch.device("meta"):
        model = InternVideo2Chat(config)
    model.vision_encoder, model.language_model = eyes, decoder
    for part in (model.vision_norm, model.connector, model.up_projection, model.down_projection):
        part.to_empty(device=device).to(decoder.embed_tokens.weight.dtype)
        draw_bridge(part, generator)
    return model.eval()


def chat_eyes(encoder: InternVideo2Vision, *, num_frames: int = MODEL_FRAMES) -> InternVideo2Vision:
    """The encoder as a chat model has it, in place: without its last layer, positions of so many frames."""
    encoder.layers = nn.ModuleList(list(encoder.layers)[:-1])
    encoder.config = replace(encoder.config, num_layers=len(encoder.layers))
    encoder.resize_positions(num_frames=num_frames, image_size=encoder.config.image_size)
    return encoder
