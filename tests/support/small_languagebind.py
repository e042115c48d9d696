"""Checkpoints of LanguageBind with random weights, small enough that a file is embedded in no time."""

from pathlib import Path

import torch

from kinema.models.languagebind.checkpoint import save
from kinema.models.languagebind.config import LanguageBindConfig, Modality
from kinema.models.languagebind.model import LanguageBind
from kinema.models.languagebind.processor import LanguageBindProcessor
from kinema.models.languagebind.processor_json import default_settings
from kinema.modules.text.clip import CLIPTextConfig
from kinema.modules.vision.clip import CLIPVisionConfig
from kinema.processors.clip_text import CLIPTokenizer

PROJECTION_SIZE = 16


def small_config(modality: Modality, vocab_size: int) -> LanguageBindConfig:
    """Pictures of 28 x 28, clips of 4 frames, sound of 28 bins and 0.42 s."""
    vision = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_layers=2,
        num_heads=4,
        image_size=(28, 42) if modality is Modality.AUDIO else (28, 28),
        num_frames=4 if modality is Modality.VIDEO else None,
    )
    text = CLIPTextConfig(
        vocab_size=vocab_size,
        hidden_size=32,
        intermediate_size=64,
        num_layers=2,
        num_heads=4,
        max_positions=12,
    )
    return LanguageBindConfig(modality=modality, vision=vision, text=text, projection_size=PROJECTION_SIZE)


def write_languagebind(folder: Path, modality: Modality, tokenizer: CLIPTokenizer) -> Path:
    """Save a model of a modality; the text towers of all modalities are equal, as in the released weights."""
    config = small_config(modality, tokenizer.backend.get_vocab_size())
    model = LanguageBind(config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters(), key=lambda named: "text" not in named[0]):
            # Text first: the same draws for every modality. Norms keep their ones, or little is left to see.
            if parameter.ndim > 1 or name.endswith("bias"):
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    save(model.eval(), LanguageBindProcessor(tokenizer, default_settings(config)), folder)
    return folder
