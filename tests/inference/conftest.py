"""A VideoLLaMA3 with random weights that answers in no time, and that of the golden set on disk."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from kinema.inference.engine import VideoLanguageModel
from kinema.media.frames import FrameBatch
from kinema.models.videollama3.config import VideoLLaMA3Config
from kinema.models.videollama3.model import VideoLLaMA3
from kinema.models.videollama3.processor import VideoLLaMA3Processor, VideoLLaMA3ProcessorConfig
from kinema.modules.language.decoder import Decoder, DecoderConfig
from kinema.modules.vision.navit import NaViTConfig
from kinema.processors.resize import OfficialResize
from kinema.processors.tokenizer import TextTokenizer

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
)
VISION = NaViTConfig(hidden_size=32, intermediate_size=64, num_layers=2, num_heads=4)


@pytest.fixture(scope="session")
def network() -> VideoLLaMA3:
    torch.manual_seed(0)
    network = VideoLLaMA3(VideoLLaMA3Config(vision=VISION, language=LANGUAGE)).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # large enough that answers depend on what is seen and said
    return network


@pytest.fixture(scope="session")
def decoder(network) -> Decoder:
    return network.language_model


@pytest.fixture(scope="session")
def processor(golden_dir) -> VideoLLaMA3Processor:
    file = golden_dir / "videollama3/tokenizer/tokenizer.json"
    tokenizer = TextTokenizer(Tokenizer.from_file(str(file)))
    return VideoLLaMA3Processor(tokenizer, VideoLLaMA3ProcessorConfig(resize=OfficialResize(min_tokens=1)))


@pytest.fixture
def model(network, processor) -> VideoLanguageModel:
    return VideoLanguageModel(network, processor, eos_ids=processor.stop_token_ids)


@pytest.fixture(scope="session")
def noise() -> Callable[..., FrameBatch]:
    """Makes frames of noise, a second apart: 56 x 84 pixels, 6 tokens each."""

    def draw(num_frames: int, seed: int = 0) -> FrameBatch:
        data = np.random.default_rng(seed).integers(0, 256, (num_frames, 56, 84, 3), np.uint8)
        times = np.arange(num_frames, dtype=np.float64)
        return FrameBatch(data=data, pts_s=times, duration_s=float(num_frames))

    return draw


@pytest.fixture(scope="session")
def clip(noise) -> FrameBatch:
    return noise(4)


@pytest.fixture(scope="session")
def checkpoint(golden_dir, tmp_path_factory) -> Path:
    """The golden model as a folder in the official layout; answers are never ended by a token."""
    golden, folder = golden_dir / "videollama3", tmp_path_factory.mktemp("golden")
    shutil.copy(golden / "full_model/weights_official.safetensors", folder / "model.safetensors")
    shutil.copy(golden / "full_model/config_official.json", folder / "config.json")
    for file in (golden / "tokenizer").iterdir():
        shutil.copy(file, folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"min_tokens": 1, "max_tokens": 16384}))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": []}))
    return folder
