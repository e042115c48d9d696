"""Every published size and layout has as many weights and tensors as its file, on torch's meta device."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from kinema.hub.keymap import KeyMap
from kinema.models.internvideo2.classifier import ClassifierConfig, InternVideo2Classifier
from kinema.models.internvideo2.config import (
    distilled_student,
    internvit_6b,
    stage1_student,
    stage2_student,
    videomae_g14,
    vision_1b,
    vision_6b,
    vision_b14,
    vision_l14,
    vision_s14,
)
from kinema.models.internvideo2.student import InternVideo2Student
from kinema.models.internvideo2.vision_keys import (
    classifier_keymap,
    student_keymap,
    tower_keymap,
    videomae_keymap,
)
from kinema.modules.vision.internvideo2 import InternVideo2Tower, InternVideo2VisionConfig
from kinema.modules.vision.token_masks import mask_by_attention
from kinema.modules.vision.videomae import VideoMAE
from kinema.training.random_mask import random_keep_mask

STUDENTS = {
    "stage 1, 1B": (stage1_student(vision_1b()), 1_070_042_752, 592),
    "stage 1, 6B": (stage1_student(vision_6b()), 6_075_947_392, 696),
    "stage 2, 1B": (stage2_student(vision_1b(), has_image_table=True), 1_049_117_056, 569),
    "stage 2, 6B": (stage2_student(vision_6b(), has_image_table=False), 6_003_828_096, 671),
}


def num_weights(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def num_tensors(module: nn.Module, keymap: KeyMap) -> int:
    return len(keymap.inventory({name: tuple(x.shape) for name, x in module.state_dict().items()}))


@pytest.mark.parametrize("name", STUDENTS)
def test_students_are_as_large_as_their_files(name):
    config, weights, tensors = STUDENTS[name]
    with torch.device("meta"):
        student = InternVideo2Student(config)
    assert num_weights(student) == weights
    assert num_tensors(student, student_keymap(14)) == tensors


@pytest.mark.parametrize(
    ("vision", "millions"), [(vision_s14(), 29.2), (vision_b14(), 102.3), (vision_l14(), 327.2)]
)
def test_distilled_students_are_as_large_as_published(vision, millions):
    with torch.device("meta"):
        student = InternVideo2Student(distilled_student(vision))
    assert round(num_weights(student) / 1e6, 1) == millions


def test_a_fine_tuned_1b_is_as_large_as_its_file():
    with torch.device("meta"):
        classifier = InternVideo2Classifier(ClassifierConfig(vision=vision_1b(), num_classes=400))
    assert num_weights(classifier) == 1_021_017_744
    assert num_tensors(classifier, classifier_keymap(14)) == 542


def test_the_linear_probe_of_16_frames_reads_18_vectors():
    config = ClassifierConfig(vision=replace(vision_1b(), num_frames=16), num_classes=174, form="frame_means")
    with torch.device("meta"):
        assert InternVideo2Classifier(config).head.in_features == 13_824


def test_the_clip_teacher_is_as_large_as_its_file():
    with torch.device("meta"):
        tower = InternVideo2Tower(internvit_6b())
    assert num_weights(tower) == 5_936_000_768
    assert num_tensors(tower, tower_keymap(14)) == 642


def test_the_mae_teacher_is_as_large_as_its_file():
    with torch.device("meta"):
        encoder = VideoMAE(videomae_g14())
    assert num_weights(encoder) == 1_011_610_752
    assert num_tensors(encoder, videomae_keymap(14)) == 524


@pytest.mark.parametrize("vision", [vision_s14(), vision_b14(), vision_l14(), vision_1b(), vision_6b()])
def test_a_tower_is_as_large_as_the_closed_form(vision: InternVideo2VisionConfig):
    width, inner = vision.hidden_size, vision.intermediate_size
    block = 4 * width**2 + 2 * width * inner + inner + 8 * width
    pool = 3 * width**2 + 9 * width + 768 * width + 768
    rest = 588 * width + width + width * (1 + 256 * 8) + width
    with torch.device("meta"):
        assert num_weights(InternVideo2Tower(vision)) == vision.num_layers * block + pool + rest


@pytest.mark.parametrize(
    ("num_frames", "num_tokens"), [(1, 257), (4, 1025), (8, 2049), (16, 4097), (64, 16_385)]
)
def test_a_frame_is_256_tokens_and_a_clip_has_one_more(num_frames, num_tokens):
    with torch.device("meta"):
        tower = InternVideo2Tower(replace(vision_s14(), num_layers=1))
        assert tower(torch.empty(1, num_frames, 3, 224, 224)).tokens.shape == (1, num_tokens, 384)


def test_a_masked_student_sees_52_patches_of_each_frame_or_410_of_a_clip():
    by_frame, whole = torch.ones(1, 8, 256), torch.ones(1, 1, 2048)
    assert mask_by_attention(by_frame, 0.8).sum() == 417  # stage 1: 8 x 52, and the class token
    assert mask_by_attention(whole, 0.8).sum() == 411  # distillation
    assert random_keep_mask(1, 1024, 0.8).sum() == 206  # stage 2: four frames
    assert random_keep_mask(1, 256, 0.5).sum() == 129  # an image
