"""The parts' configs of VideoLLaMA3 put together, and its published sizes."""

from dataclasses import dataclass

from kinema.modules.language.decoder import DecoderConfig
from kinema.modules.vision.navit import NaViTConfig


@dataclass(frozen=True, kw_only=True)
class VideoLLaMA3Config:
    """One vision encoder, one decoder; the connector between them follows from their widths."""

    vision: NaViTConfig
    language: DecoderConfig


def siglip_navit() -> NaViTConfig:
    """VL3-SigLIP-NaViT, 412,147,440 parameters."""
    return NaViTConfig(hidden_size=1152, intermediate_size=4304, num_layers=27, num_heads=16)


def videollama3_2b() -> VideoLLaMA3Config:
    """VideoLLaMA3-2B: SigLIP-NaViT and Qwen2.5-1.5B, whose head is its embedding."""
    language = DecoderConfig(
        vocab_size=151936,
        hidden_size=1536,
        intermediate_size=8960,
        num_layers=28,
        num_heads=12,
        num_kv_heads=2,
        head_dim=128,
        max_positions=32768,
        rope_theta=1e6,
        attention_bias=True,
        tie_word_embeddings=True,
    )
    return VideoLLaMA3Config(vision=siglip_navit(), language=language)


def videollama3_7b() -> VideoLLaMA3Config:
    """VideoLLaMA3-7B: SigLIP-NaViT and Qwen2.5-7B."""
    language = DecoderConfig(
        vocab_size=152064,
        hidden_size=3584,
        intermediate_size=18944,
        num_layers=28,
        num_heads=28,
        num_kv_heads=4,
        head_dim=128,
        max_positions=32768,
        rope_theta=1e6,
        attention_bias=True,
    )
    return VideoLLaMA3Config(vision=siglip_navit(), language=language)
