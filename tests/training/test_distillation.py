from types import SimpleNamespace

import pytest
import torch

from kinema.errors import ConfigError
from kinema.models.internvideo2.student import InternVideo2Student, StudentConfig, StudentFeatures
from kinema.models.internvideo2.teachers import ClipTeacher, FrameTeacher, MotionTeacher, TeacherFeatures
from kinema.modules.vision.internvideo2 import InternVideo2Tower, InternVideo2VisionConfig
from kinema.modules.vision.videomae import VideoMAE, VideoMAEConfig
from kinema.training.distillation import TeacherAlignment, alignment_terms
from kinema.training.teacher_cache import CachedTeacher

SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_layers": 2, "num_heads": 2, "patch_size": 4}


def vision(num_frames: int) -> InternVideo2VisionConfig:
    return InternVideo2VisionConfig(**SIZES, num_frames=num_frames, image_size=8)


def student(mae_layers: int = 1) -> InternVideo2Student:
    return InternVideo2Student(
        StudentConfig(
            vision=vision(2),
            pooled_size=6,
            clip_layers=2,
            clip_size=16,
            clip_pooled_size=6,
            mae_layers=mae_layers,
            mae_size=16,
        )
    )


@pytest.fixture
def frame_teacher() -> FrameTeacher:
    torch.manual_seed(0)
    return FrameTeacher(InternVideo2Tower(vision(1), 6), num_layers=2)


@pytest.fixture
def motion_teacher() -> MotionTeacher:
    return MotionTeacher(VideoMAE(VideoMAEConfig(**SIZES)), num_layers=1)


def batch() -> SimpleNamespace:
    return SimpleNamespace(
        pixel_values=torch.randn(3, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    )


@pytest.mark.parametrize(("sign", "loss"), [(1.0, 0.0), (-1.0, 4.0)])
def test_equal_directions_cost_nothing_and_opposed_ones_four(sign, loss):
    unit = torch.eye(4).expand(1, 1, 4, 4)
    taught = TeacherFeatures(tokens=sign * unit, pooled=torch.eye(4)[:1])
    features = StudentFeatures(clip=unit, clip_pooled=torch.eye(4)[1:2], mae=None)
    terms = alignment_terms(features, taught, None, torch.ones(1, 4, dtype=torch.bool))
    assert terms.clip.item() == loss
    assert terms.clip_pooled.item() == 2  # at right angles
    assert terms.mae is None


def test_targets_are_those_of_the_patches_that_the_student_saw():
    tokens = torch.eye(4).expand(1, 1, 4, 4)
    seen = torch.tensor([[True, False, False, True]])
    features = StudentFeatures(clip=tokens[:, :, [0, 3]], clip_pooled=torch.eye(4)[:1], mae=None)
    taught = TeacherFeatures(tokens=tokens, pooled=torch.eye(4)[:1])
    assert alignment_terms(features, taught, None, seen).clip.item() == 0


def test_stage_1_teaches_every_part_of_the_student_and_no_teacher(frame_teacher, motion_teacher):
    model = student()
    loss = TeacherAlignment(clip_teacher=frame_teacher, mae_teacher=motion_teacher, mask_ratio=0.5)
    value = loss(model, batch())
    value.backward()
    assert 4 < value.item() < 8  # three terms near two each, as of vectors that know nothing of each other
    assert all(parameter.grad is not None for parameter in model.parameters())
    teachers = [*frame_teacher.parameters(), *motion_teacher.parameters()]
    assert not any(parameter.requires_grad for parameter in teachers)


def test_a_student_learns_what_its_teacher_makes_of_a_clip(frame_teacher):
    torch.manual_seed(0)
    model = student(mae_layers=0)
    loss = TeacherAlignment(clip_teacher=frame_teacher, mask_ratio=0.5)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    values = []
    for _ in range(25):
        values.append(loss(model, batch()))
        values[-1].backward()
        optimizer.step()
        optimizer.zero_grad()
    assert values[-1] < values[0] / 2


def test_layers_are_tapped_as_the_published_recipe_lists_them():
    sizes = {**SIZES, "num_layers": 40}
    tower = InternVideo2Tower(InternVideo2VisionConfig(**sizes, image_size=8), 6)
    assert ClipTeacher(tower).taught == [23, 26, 29, 33, 36, 39]


def test_a_cache_asks_its_teacher_once_a_clip(frame_teacher, tmp_path):
    asked = []
    frame_teacher.register_forward_pre_hook(lambda _, pixels: asked.append(len(pixels[0])))
    cached = CachedTeacher(frame_teacher, tmp_path / "features", dtype=torch.float32)
    pixels = batch().pixel_values
    first = cached(pixels[:2])
    again = cached(pixels[[1, 2, 0]])
    expected = frame_teacher(pixels[[1, 2, 0]])
    assert asked == [2, 1, 3]
    for ours, theirs in zip(again, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert torch.equal(again.clip(2).tokens, first.clip(0).tokens)


def test_a_cache_serves_teachers_that_do_not_pool(motion_teacher, tmp_path):
    cached = CachedTeacher(motion_teacher, tmp_path)
    cached(batch().pixel_values)
    features = cached(batch().pixel_values)
    assert features.pooled is None
    expected = motion_teacher(batch().pixel_values).tokens
    torch.testing.assert_close(features.tokens, expected, atol=4e-3, rtol=0)  # bfloat16


def test_a_folder_belongs_to_one_teacher_and_one_dtype(frame_teacher, motion_teacher, tmp_path):
    CachedTeacher(frame_teacher, tmp_path / "frame")(batch().pixel_values)
    CachedTeacher(frame_teacher, tmp_path / "frame")  # the same again
    others = [
        (motion_teacher, torch.bfloat16),
        (frame_teacher, torch.float32),
        (FrameTeacher(frame_teacher.tower, num_layers=1), torch.bfloat16),
    ]
    for teacher, dtype in others:
        with pytest.raises(ConfigError, match="take another folder"):
            CachedTeacher(teacher, tmp_path / "frame", dtype=dtype)
    with torch.no_grad():
        frame_teacher.tower.pool.out.bias += 1
    with pytest.raises(ConfigError, match="take another folder"):
        CachedTeacher(frame_teacher, tmp_path / "frame")


def test_features_of_nobody_known_are_not_served(frame_teacher, tmp_path):
    (tmp_path / "0.safetensors").touch()
    with pytest.raises(ConfigError, match="a teacher that is not noted"):
        CachedTeacher(frame_teacher, tmp_path)


def test_a_student_of_other_teachers_is_refused(frame_teacher, motion_teacher):
    with pytest.raises(ConfigError, match="its mae_layers is 0"):
        TeacherAlignment(clip_teacher=frame_teacher)(student(), batch())
    with pytest.raises(ConfigError, match="must be a teacher that pools"):
        TeacherAlignment(clip_teacher=motion_teacher)(student(), batch())


def test_settings_that_cannot_work_are_refused(frame_teacher):
    with pytest.raises(ConfigError, match=r"got 1\.0 and 2"):
        TeacherAlignment(clip_teacher=frame_teacher, mask_ratio=1.0)
    with pytest.raises(ConfigError, match="of 2 layers cannot teach its last 3"):
        FrameTeacher(frame_teacher.tower, num_layers=3)
