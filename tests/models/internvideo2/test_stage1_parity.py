"""Teachers, masks and losses of stage 1 and of distillation against the original's numbers."""

import pytest
import torch
from golden_case import GoldenCase
from golden_towers import PATCH, as_clips, exported, loaded, vision_config

from kinema.models.internvideo2.student import InternVideo2Student, StudentConfig
from kinema.models.internvideo2.teachers import ClipTeacher, FrameTeacher, MotionTeacher, TeacherFeatures
from kinema.models.internvideo2.vision_keys import student_keymap, tower_keymap, videomae_keymap
from kinema.modules.vision.internvideo2 import InternVideo2Tower
from kinema.modules.vision.videomae import VideoMAE, VideoMAEConfig, sinusoid_table
from kinema.training.distillation import TeacherAlignment, alignment_terms


@pytest.fixture(scope="module")
def stage1(golden_dir):
    return GoldenCase(golden_dir / "internvideo2/B_stage1_losses")


@pytest.fixture(scope="module")
def distilled(golden_dir):
    return GoldenCase(golden_dir / "internvideo2/B_distill_losses")


def tower_of(sizes: dict, weights: dict, **changes) -> InternVideo2Tower:
    tower = InternVideo2Tower(vision_config(sizes, **changes), sizes["clip_embed_dim"])
    return loaded(tower, tower_keymap(PATCH), weights)


def frame_teacher(case: GoldenCase) -> FrameTeacher:
    weights, side = case.weights("weights.clip_teacher"), case.config["img_size"]
    tower = tower_of(case.config["clip"], weights, image_size=side)
    return FrameTeacher(tower, num_layers=case.config["student"]["clip_return_layer"])


def motion_teacher(case: GoldenCase, attention: str = "standard") -> MotionTeacher:
    sizes = case.config["mae"]
    config = VideoMAEConfig(
        hidden_size=sizes["embed_dim"],
        intermediate_size=int(sizes["embed_dim"] * sizes["mlp_ratio"]),
        num_layers=sizes["depth"],
        num_heads=sizes["num_heads"],
        attention=attention,
    )
    encoder = loaded(VideoMAE(config), videomae_keymap(PATCH), case.weights("weights.mae_teacher"))
    return MotionTeacher(encoder, num_layers=case.config["student"]["mae_return_layer"])


def stage1_student(case: GoldenCase) -> InternVideo2Student:
    sizes = case.config["student"]
    frames, side = case.config["num_frames"], case.config["img_size"]
    config = StudentConfig(
        vision=vision_config(sizes, num_frames=frames, image_size=side),
        pooled_size=sizes["clip_embed_dim"],
        clip_layers=sizes["clip_return_layer"],
        clip_size=case.config["clip"]["embed_dim"],
        clip_pooled_size=case.config["clip"]["clip_embed_dim"],
        mae_layers=sizes["mae_return_layer"],
        mae_size=case.config["mae"]["embed_dim"],
    )
    return loaded(InternVideo2Student(config), student_keymap(PATCH), case.weights("weights.student"))


def check_gradients(case: GoldenCase, student: InternVideo2Student) -> None:
    gradients = {name: parameter.grad for name, parameter in student.named_parameters()}
    theirs = dict(student_keymap(PATCH).export(gradients))
    for name in (name for name in case.outputs if name.startswith("grad.")):
        case.check(theirs[name.removeprefix("grad.")], name)


def test_the_clip_teacher_equals_the_original(stage1):
    features = frame_teacher(stage1)(as_clips(stage1.inputs["video"])[:, ::2])
    stage1.check(features.tokens, "clip_teacher.middle")
    stage1.check(features.pooled, "clip_teacher.final")
    stage1.check(features.attention.flatten(0, 1), "clip_teacher.pool_attention")


@pytest.mark.parametrize(("attention", "suffix"), [("standard", ""), ("as_published", "_as_published")])
def test_the_mae_teacher_equals_the_original_in_both_modes(stage1, attention, suffix):
    features = motion_teacher(stage1, attention)(as_clips(stage1.inputs["video"]))
    stage1.check(features.tokens, f"mae_teacher.features{suffix}")


def test_the_mae_teachers_fixed_positions_equal_the_original(stage1):
    expected = stage1.outputs["mae_teacher.position_table"]
    stage1.check(sinusoid_table(*expected.shape[1:])[None], "mae_teacher.position_table")


@pytest.mark.parametrize(("attention", "suffix"), [("standard", ""), ("as_published", "_as_published")])
def test_stage_1_losses_and_gradients_equal_the_original(stage1, attention, suffix):
    video, keep_mask = as_clips(stage1.inputs["video"]), ~stage1.inputs["mask"]
    student, teacher = stage1_student(stage1), frame_teacher(stage1)
    features = student(video[:, ::2], keep_mask)
    stage1.check(features.clip, "student.clip_feats")
    stage1.check(features.clip_pooled, "student.clip_final")
    stage1.check(features.mae, "student.mae_feats")
    motion = motion_teacher(stage1, attention)(video).tokens
    terms = alignment_terms(features, teacher(video[:, ::2]), motion, keep_mask)
    stage1.check(terms.clip, "loss.clip_middle")
    stage1.check(terms.clip_pooled, "loss.clip_final")
    stage1.check(terms.mae, f"loss.mae{suffix}")
    total = TeacherAlignment(clip_teacher=teacher).total(terms)
    stage1.check(total, f"loss.total{suffix}")
    if attention == "standard":
        total.backward()
        check_gradients(stage1, student)


def test_distillation_of_small_models_equals_the_original(distilled):
    config, keep_mask = distilled.config, ~distilled.inputs["mask"]
    video, student_sizes = as_clips(distilled.inputs["video"]), config["student"]
    shared = {"num_frames": config["num_frames"], "image_size": config["img_size"]}
    tower = tower_of(config["teacher"], distilled.weights("weights.teacher"), **shared)
    interval = config["teacher_return_interval"]
    teacher = ClipTeacher(tower, num_layers=config["return_layer"], interval=interval)
    assert teacher.taught == sorted(distilled.details["derived"]["teacher_return_index_as_listed"])
    taught: TeacherFeatures = teacher(video)
    distilled.check(taught.tokens, "teacher.middle")
    distilled.check(taught.pooled, "teacher.final")
    distilled.check(taught.attention[:, 0], "teacher.pool_attention")
    student_config = StudentConfig(
        vision=vision_config(student_sizes, **shared),
        pooled_size=student_sizes["clip_embed_dim"],
        clip_layers=config["return_layer"],
        clip_size=config["teacher"]["embed_dim"],
        clip_pooled_size=config["teacher"]["clip_embed_dim"],
        clip_decoder="mlp",
        mae_layers=0,
    )
    weights = distilled.weights("weights.student")
    student = loaded(InternVideo2Student(student_config), student_keymap(PATCH), weights)
    features = student(video, keep_mask)
    distilled.check(features.clip, "student.clip_feats")
    distilled.check(features.clip_pooled, "student.clip_final")
    terms = alignment_terms(features, taught, None, keep_mask)
    distilled.check(terms.clip, "loss.clip_middle")
    distilled.check(terms.clip_pooled, "loss.clip_final")
    total = TeacherAlignment(clip_teacher=teacher, frame_stride=1).total(terms)
    distilled.check(total, "loss.total")
    total.backward()
    check_gradients(distilled, student)


def test_teachers_are_written_back_bit_for_bit(stage1):
    for module, keymap, name in (
        (frame_teacher(stage1).tower, tower_keymap(PATCH), "weights.clip_teacher"),
        (motion_teacher(stage1).encoder, videomae_keymap(PATCH), "weights.mae_teacher"),
    ):
        written, weights = exported(module, keymap), stage1.weights(name)
        assert written.keys() == weights.keys()
        assert all(torch.equal(written[key], weights[key]) for key in weights)
