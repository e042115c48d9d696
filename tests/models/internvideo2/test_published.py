"""The published models are listed with the size that their networks have, on torch's meta device."""

from dataclasses import replace

import pytest
import torch
from clip_vocabulary import small_tokenizer

from kinema.models.internvideo2.chat import ChatConfig, InternVideo2Chat
from kinema.models.internvideo2.clip import InternVideo2CLIP
from kinema.models.internvideo2.clip_processor import CLIPProcessor, CLIPProcessorConfig
from kinema.models.internvideo2.config import (
    clip_large,
    clip_small,
    distilled_student,
    stage1_student,
    vision_1b,
    vision_6b,
    vision_b14,
    vision_l14,
    vision_s14,
)
from kinema.models.internvideo2.file_kinds import parts_of_trained, vocabulary_of
from kinema.models.internvideo2.stage2 import InternVideo2Stage2
from kinema.models.internvideo2.stage2_sizes import stage2_1b, stage2_6b
from kinema.models.internvideo2.student import InternVideo2Student
from kinema.models.registry import named_models
from kinema.modules.connectors.qformer import QFormerConfig
from kinema.modules.language.decoder import DecoderConfig
from kinema.processors.clip_text import CLIPTokenizer


def chat_8b() -> ChatConfig:
    language = DecoderConfig(
        vocab_size=32768,
        hidden_size=4096,
        intermediate_size=14336,
        num_layers=32,
        num_heads=32,
        num_kv_heads=8,
        head_dim=128,
        max_positions=32768,
    )
    vision = replace(vision_1b(), num_layers=39, has_image_table=True)
    return ChatConfig(vision=vision, bridge=QFormerConfig(memory_size=1408), language=language)


DISTILLED = "InternVideo2_distillation_models"
PUBLISHED = {
    "InternVideo2-Stage2_1B-224p-f4": lambda: InternVideo2Stage2(stage2_1b()),
    "InternVideo2-Stage2_6B-224p-f4": lambda: InternVideo2Stage2(stage2_6b()),
    "InternVideo2-CLIP-1B-224p-f8": lambda: InternVideo2CLIP(clip_large(vision_1b())),
    "InternVideo2-CLIP-6B-224p-f8": lambda: InternVideo2CLIP(clip_large(vision_6b())),
    f"{DISTILLED}/clip/S14/pytorch_model.bin": lambda: InternVideo2CLIP(clip_small(vision_s14())),
    f"{DISTILLED}/clip/B14/pytorch_model.bin": lambda: InternVideo2CLIP(clip_small(vision_b14())),
    f"{DISTILLED}/clip/L14/pytorch_model.bin": lambda: InternVideo2CLIP(clip_small(vision_l14())),
    "InternVideo2_CLIP_S": lambda: InternVideo2CLIP(clip_small(vision_l14())),
    "InternVideo2-Chat-8B": lambda: InternVideo2Chat(chat_8b()),
    "InternVideo2_chat_8B_HD": lambda: InternVideo2Chat(chat_8b()),
    "InternVideo2-Stage1-1B-224p-f8": lambda: InternVideo2Student(stage1_student(vision_1b())),
    f"{DISTILLED}/stage1/S14/S14_dist_1B_stage2/pytorch_model.bin": lambda: InternVideo2Student(
        distilled_student(vision_s14())
    ),
    f"{DISTILLED}/stage1/B14/B14_dist_1B_stage2/pytorch_model.bin": lambda: InternVideo2Student(
        distilled_student(vision_b14())
    ),
    f"{DISTILLED}/stage1/L14/L14_dist_1B_stage2/pytorch_model.bin": lambda: InternVideo2Student(
        distilled_student(vision_l14())
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_listed_model_is_as_large_as_its_network(name):
    listed = {model.name: model for model in named_models()}[f"OpenGVLab/{name}"]
    with torch.device("meta"):
        network = PUBLISHED[name]()
    assert listed.num_parameters == sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("vision", "megabytes"),
    [(vision_s14(), 2), (vision_b14(), 6), (vision_l14(), 9), (vision_1b(), 14), (vision_6b(), 66)],
)
def test_what_was_trained_of_clip_is_as_large_as_its_file_of_two_bytes_a_weight(vision, megabytes):
    is_large = vision.hidden_size > 1024
    with torch.device("meta"):
        network = InternVideo2CLIP(clip_large(vision) if is_large else clip_small(vision))
    trained = ("vision_encoder.pool.", "vision_align.", "temperature")
    size_bytes = 2 * sum(p.numel() for name, p in network.named_parameters() if name.startswith(trained))
    assert round(size_bytes / 1e6) == megabytes


def test_every_part_and_vocabulary_that_is_listed_in_this_family_is_published():
    """What an error tells people to load is what ``kinema models`` lists, where it is one of the family's."""
    listed = {model.name for model in named_models()}
    for width in (384, 768, 1024, 1408, 3200):
        shapes = {"vision_encoder.clip_projector.cross_attn.q.weight": (width, width)}
        assert parts_of_trained(shapes)[0].published in listed
    assert vocabulary_of("internvideo2_stage2", {}).is_fetched


def test_the_model_that_hears_is_one_that_is_listed(tmp_path):
    words = CLIPTokenizer(small_tokenizer(tmp_path), num_positions=16)
    hears = CLIPProcessor(words, CLIPProcessorConfig()).published["audio"]
    assert hears in {model.name for model in named_models()}
