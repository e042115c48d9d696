"""Checkpoint folders of the golden models. Files without a text tower get the image model's: all share it."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from torch import Tensor

from kinema.models.languagebind.config_json import parse_config

_PEFT = "vision_model.encoder.base_model.model."


def golden_weights(golden: Path, name: str) -> dict[str, Tensor]:
    """The weights of ``image``, ``video``, ``audio``, ``video_lora`` or ``audio_lora``, with a text tower."""
    folder = golden / "video_llava"
    text = load_file(folder / "languagebind_image.weights.safetensors")
    weights = {key: tensor for key, tensor in text.items() if key.startswith("text_")}
    if name == "audio_lora":  # this file holds the attention of the layers only
        audio = load_file(folder / "languagebind_audio.weights.safetensors")
        weights |= {key.replace("vision_model.encoder.", _PEFT): tensor for key, tensor in audio.items()}
    return weights | load_file(folder / f"languagebind_{name}.weights.safetensors")


def golden_config(golden: Path, name: str) -> dict:
    return json.loads((golden / "video_llava" / f"languagebind_{name}.config.json").read_text())


def write_checkpoint(folder: Path, weights: dict[str, Tensor], config: dict) -> Path:
    folder.mkdir()
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="session")
def checkpoint_of(golden_dir, tmp_path_factory):
    """A function from the name of a golden model to its checkpoint folder."""
    root, made = tmp_path_factory.mktemp("languagebind"), {}

    def make(name: str) -> Path:
        if name not in made:
            weights, config = golden_weights(golden_dir, name), golden_config(golden_dir, name)
            made[name] = write_checkpoint(root / name, weights, config)
        return made[name]

    return make


@pytest.fixture(scope="session")
def golden_config_of(golden_dir):
    """A function from the name of a golden model to its sizes."""
    return lambda name: parse_config(golden_config(golden_dir, name))
