"""The parts' configs of Video-LLaVA put together, and its published size."""

from collections.abc import Mapping
from dataclasses import dataclass

from kinema.errors import ConfigError
from kinema.models.languagebind.config import Modality, languagebind_large
from kinema.modules.language.decoder import DecoderConfig
from kinema.modules.vision.clip import CLIPVisionConfig


@dataclass(frozen=True, kw_only=True)
class VideoLLaVAConfig:
    """A tower for each modality, and one decoder; the connector between them follows from their widths."""

    towers: Mapping[Modality, CLIPVisionConfig]
    """Of images and of video, as published. Sound, depth and heat may have towers of their own on the same
    connector, which the paper leaves to the future: no released weights know them."""
    language: DecoderConfig
    select_layer: int = -2
    """Whose output the connector reads; -2 is the last but one, as in every released checkpoint."""

    def __post_init__(self) -> None:
        missing = [modality for modality in (Modality.IMAGE, Modality.VIDEO) if modality not in self.towers]
        if missing:
            raise ConfigError(f"Video-LLaVA needs a tower for {' and '.join(missing)}.")
        widths = {modality: tower.hidden_size for modality, tower in self.towers.items()}
        if len(set(widths.values())) > 1:
            raise ConfigError(f"one connector reads all towers, so they need one width; they have {widths}.")
        if any(tower.patch_dropout for tower in self.towers.values()):
            raise ConfigError("the connector reads every patch, in training too; set patch_dropout to 0.")
        num_states = 1 + min(tower.num_layers for tower in self.towers.values())
        if not -num_states <= self.select_layer < num_states:
            raise ConfigError(
                f"select_layer {self.select_layer} is none of the {num_states} hidden states of the towers."
            )

    @property
    def visual_size(self) -> int:
        """Width of all towers."""
        return self.towers[Modality.IMAGE].hidden_size


def vicuna_7b() -> DecoderConfig:
    """lmsys/vicuna-7b-v1.5, which is Llama 2, 6,738,415,616 parameters."""
    return DecoderConfig(
        vocab_size=32000,
        hidden_size=4096,
        intermediate_size=11008,
        num_layers=32,
        num_heads=32,
        num_kv_heads=32,
        head_dim=128,
        max_positions=4096,
        rms_norm_eps=1e-5,
    )


def video_llava_7b() -> VideoLLaVAConfig:
    """Video-LLaVA-7B, 7,466,762,240 parameters."""
    towers = {modality: languagebind_large(modality).vision for modality in (Modality.IMAGE, Modality.VIDEO)}
    return VideoLLaVAConfig(towers=towers, language=vicuna_7b())
