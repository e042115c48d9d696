"""The parts of a VideoLLaMA3 as folders of their own: what its training starts from."""

import json
import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file

_VISION, _CONNECTOR = "model.vision_encoder.", "model.mm_projector."


def cut_into_parts(official: Path, target: Path) -> tuple[Path, Path]:
    """A Qwen2 with its vocabulary and a vision encoder, cut from a checkpoint in the official layout."""
    tensors = load_file(official / "model.safetensors")
    config = json.loads((official / "config.json").read_text())
    language, vision = target / "language", target / "vision"
    for folder in (language, vision):
        folder.mkdir(parents=True)
    save_file(
        {key: t for key, t in tensors.items() if not key.startswith((_VISION, _CONNECTOR))},
        language / "model.safetensors",
    )
    save_file(
        {key.removeprefix(_VISION): t for key, t in tensors.items() if key.startswith(_VISION)},
        vision / "model.safetensors",
    )
    (language / "config.json").write_text(json.dumps(config | {"model_type": "qwen2"}))
    (vision / "config.json").write_text(json.dumps(config["vision_encoder_config"]))
    for file in official.glob("*token*"):
        shutil.copy(file, language)
    return language, vision
