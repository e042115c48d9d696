"""The towers' configs of LanguageBind put together, and its published sizes."""

from dataclasses import dataclass, replace
from enum import StrEnum

from kinema.modules.text.clip import CLIPTextConfig
from kinema.modules.vision.clip import CLIPVisionConfig


class Modality(StrEnum):
    """What a checkpoint embeds beside text."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    DEPTH = "depth"
    THERMAL = "thermal"


@dataclass(frozen=True, kw_only=True)
class LanguageBindConfig:
    """One tower for a modality, one for text, and the width of the space they share."""

    modality: Modality
    vision: CLIPVisionConfig
    text: CLIPTextConfig
    projection_size: int


PUBLISHED: dict[str, str] = {
    Modality.IMAGE: "LanguageBind/LanguageBind_Image",
    Modality.VIDEO: "LanguageBind/LanguageBind_Video_merge",
    Modality.AUDIO: "LanguageBind/LanguageBind_Audio",
    Modality.DEPTH: "LanguageBind/LanguageBind_Depth",
    Modality.THERMAL: "LanguageBind/LanguageBind_Thermal",
}
"""A released checkpoint of each modality; their text towers are one and the same."""

AUDIO_SIZE = (126, 1036)
"""Mel bins and columns of time that the published audio towers see: 9 x 74 patches."""
NUM_FRAMES = 8
"""Frames of a clip that the published video towers have learned."""


def languagebind_large(modality: Modality) -> LanguageBindConfig:
    """The towers of OpenCLIP's ViT-L/14, as in LanguageBind_Image and its siblings."""
    vision = CLIPVisionConfig(hidden_size=1024, intermediate_size=4096, num_layers=24, num_heads=16)
    text = CLIPTextConfig(
        vocab_size=49408, hidden_size=768, intermediate_size=3072, num_layers=12, num_heads=12
    )
    return LanguageBindConfig(
        modality=modality, vision=_fit(vision, modality), text=text, projection_size=768
    )


def languagebind_huge(modality: Modality) -> LanguageBindConfig:
    """The towers of OpenCLIP's ViT-H/14, as in LanguageBind_Video_Huge_V1.5_FT."""
    vision = CLIPVisionConfig(hidden_size=1280, intermediate_size=5120, num_layers=32, num_heads=16)
    text = CLIPTextConfig(
        vocab_size=49408, hidden_size=1024, intermediate_size=4096, num_layers=24, num_heads=16
    )
    return LanguageBindConfig(
        modality=modality, vision=_fit(vision, modality), text=text, projection_size=1024
    )


def _fit(image: CLIPVisionConfig, modality: Modality) -> CLIPVisionConfig:
    """The tower of a modality, from that of images."""
    if modality is Modality.VIDEO:
        return replace(image, num_frames=NUM_FRAMES)
    if modality is Modality.AUDIO:
        return replace(image, image_size=AUDIO_SIZE)
    return image
