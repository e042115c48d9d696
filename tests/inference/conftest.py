"""A VideoLLaMA3 with random weights that answers in no time."""

import pytest
import torch

from kinema.models.videollama3.config import VideoLLaMA3Config
from kinema.models.videollama3.model import VideoLLaMA3
from kinema.modules.language.decoder import Decoder, DecoderConfig
from kinema.modules.vision.navit import NaViTConfig

LANGUAGE = DecoderConfig(
    vocab_size=344,
    hidden_size=32,
    intermediate_size=64,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    head_dim=8,
    max_positions=4096,
    attention_bias=True,
    tie_word_embeddings=True,
)
VISION = NaViTConfig(hidden_size=32, intermediate_size=64, num_layers=2, num_heads=4)


@pytest.fixture(scope="session")
def network() -> VideoLLaMA3:
    torch.manual_seed(0)
    return VideoLLaMA3(VideoLLaMA3Config(vision=VISION, language=LANGUAGE)).eval()


@pytest.fixture(scope="session")
def decoder(network) -> Decoder:
    return network.language_model
