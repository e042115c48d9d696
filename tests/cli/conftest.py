"""A model with random weights of nano's form, and a clip to ask it about."""

from pathlib import Path

import pytest

from kinema.models.videollama3 import checkpoint
from kinema.models.videollama3.model import VideoLLaMA3
from kinema.models.videollama3.processor import VideoLLaMA3Processor
from kinema.processors.tokenizer import TextTokenizer
from kinema.recipes.nano import nano
from kinema.recipes.nano_tokenizer import nano_tokenizer
from kinema.toybox import make_scene, write_clip
from kinema.training.init import init_weights


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "random"
    model = VideoLLaMA3(nano()).eval()
    init_weights(model, seed=0)
    processor = VideoLLaMA3Processor(TextTokenizer(nano_tokenizer(num_samples=20)))
    checkpoint.save(model, processor, folder)
    return folder


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of the toybox."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    write_clip(make_scene(0, level=1), path)
    return path
