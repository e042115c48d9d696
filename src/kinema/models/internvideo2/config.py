"""The published sizes of InternVideo2's video networks (arXiv 2403.15377; OpenGVLab/InternVideo).

The position tables are those of the released files: 8 frames in stage 1 and after, 4 in stage 2.
"""

from dataclasses import replace

from kinema.models.internvideo2.chat import ChatConfig
from kinema.models.internvideo2.clip import InternVideo2CLIPConfig
from kinema.models.internvideo2.student import StudentConfig
from kinema.modules.connectors.qformer import QFormerConfig
from kinema.modules.language.decoder import DecoderConfig
from kinema.modules.text.clip import CLIPTextConfig
from kinema.modules.vision.internvideo2 import InternVideo2VisionConfig
from kinema.modules.vision.videomae import VideoMAEConfig

STAGE2_FRAMES = 4
"""Frames of the position tables in the files of stage 2."""


def vision_s14() -> InternVideo2VisionConfig:
    """S/14, distilled from the 1B."""
    return InternVideo2VisionConfig(hidden_size=384, intermediate_size=1536, num_layers=12, num_heads=6)


def vision_b14() -> InternVideo2VisionConfig:
    """B/14, distilled from the 1B."""
    return InternVideo2VisionConfig(hidden_size=768, intermediate_size=3072, num_layers=12, num_heads=12)


def vision_l14() -> InternVideo2VisionConfig:
    """L/14, distilled from the 1B."""
    return InternVideo2VisionConfig(hidden_size=1024, intermediate_size=4096, num_layers=24, num_heads=16)


def vision_1b() -> InternVideo2VisionConfig:
    """The 1B."""
    return InternVideo2VisionConfig(hidden_size=1408, intermediate_size=6144, num_layers=40, num_heads=16)


def vision_6b() -> InternVideo2VisionConfig:
    """The 6B."""
    return InternVideo2VisionConfig(hidden_size=3200, intermediate_size=12800, num_layers=48, num_heads=25)


def internvit_6b() -> InternVideo2VisionConfig:
    """InternViT-6B, stage 1's CLIP teacher: the same layers as the 6B's, for single images."""
    return InternVideo2VisionConfig(
        hidden_size=3200,
        intermediate_size=12800,
        num_layers=48,
        num_heads=25,
        num_frames=1,
        layer_scale=0.1,
    )


def videomae_g14() -> VideoMAEConfig:
    """VideoMAE V2-g, stage 1's MAE teacher."""
    return VideoMAEConfig()


def stage1_student(vision: InternVideo2VisionConfig) -> StudentConfig:
    """A student of both teachers, as the 1B and the 6B were."""
    return StudentConfig(vision=vision)


def distilled_student(vision: InternVideo2VisionConfig) -> StudentConfig:
    """A student of the 1B after stage 2, as S, B and L were."""
    return StudentConfig(vision=vision, clip_size=1408, clip_decoder="mlp", mae_layers=0)


def stage2_student(vision: InternVideo2VisionConfig, *, has_image_table: bool) -> StudentConfig:
    """The vision part of stage 2: the decoders of the CLIP teacher are still there, though nothing trains
    them.

    Images have positions of their own in the 1B, and not in the 6B.
    """
    vision = replace(vision, num_frames=STAGE2_FRAMES, has_image_table=has_image_table)
    return StudentConfig(vision=vision, mae_layers=0)


def clip_large(vision: InternVideo2VisionConfig) -> InternVideo2CLIPConfig:
    """CLIP of the 1B and the 6B: read by the LLaMA-7B of InternVL-C, whose vocabulary is Chinese Alpaca's."""
    decoder = DecoderConfig(
        vocab_size=49954,
        hidden_size=4096,
        intermediate_size=11008,
        num_layers=32,
        num_heads=32,
        num_kv_heads=32,
        head_dim=128,
        max_positions=2048,
        tie_word_embeddings=True,
    )
    return InternVideo2CLIPConfig(vision=vision, decoder=decoder)


def clip_small(vision: InternVideo2VisionConfig) -> InternVideo2CLIPConfig:
    """CLIP of S, B and L: read by the text tower of MobileCLIP-B."""
    text = CLIPTextConfig(
        vocab_size=49408, hidden_size=512, intermediate_size=2048, num_layers=12, num_heads=8
    )
    return InternVideo2CLIPConfig(vision=vision, align_size=512, text=text)


def chat_8b() -> ChatConfig:
    """InternVideo2-Chat-8B: the 1B without its last layer, 32 + 64 queries, Mistral-7B-Instruct-v0.3."""
    language = DecoderConfig(
        vocab_size=32768,
        hidden_size=4096,
        intermediate_size=14336,
        num_layers=32,
        num_heads=32,
        num_kv_heads=8,
        head_dim=128,
        max_positions=32768,
        rms_norm_eps=1e-5,
        rope_theta=1e6,
    )
    vision = replace(vision_1b(), num_layers=39, has_image_table=True)
    return ChatConfig(vision=vision, bridge=QFormerConfig(memory_size=vision.hidden_size), language=language)


def chat_8b_internlm() -> ChatConfig:
    """InternVideo2_Chat_8B_InternLM2_5: the same with InternLM2.5-7B-Chat-1M."""
    mistral = chat_8b()
    language = replace(mistral.language, vocab_size=92544, max_positions=262144, rope_theta=5e7)
    return replace(mistral, language=language, layout="internlm2")
