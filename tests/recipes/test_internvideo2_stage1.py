from dataclasses import replace

import numpy as np
import pytest
import torch
from directions import Directions

from kinema.datasets.drawn_once import DrawnOnce
from kinema.datasets.mixture import mixture
from kinema.errors import ConfigError
from kinema.models.internvideo2.start import start_student
from kinema.models.internvideo2.student import StudentConfig
from kinema.models.internvideo2.teachers import ClipTeacher, FrameTeacher, MotionTeacher
from kinema.modules.vision.internvideo2 import InternVideo2Tower, InternVideo2VisionConfig
from kinema.modules.vision.videomae import VideoMAE, VideoMAEConfig
from kinema.processors.clip_training import ClipTraining, ClipTrainingConfig
from kinema.processors.drawn_frames import FrameDraw
from kinema.recipes.internvideo2_stage1 import DISTILLED, STAGE1, distil, stage1
from kinema.training.loop import train
from kinema.training.run import RunConfig
from kinema.training.teacher_cache import CachedTeacher

SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_layers": 4, "num_heads": 2, "patch_size": 4}
VISION = InternVideo2VisionConfig(**SIZES, num_frames=8, image_size=8)
STUDENT = StudentConfig(
    vision=VISION, pooled_size=6, clip_layers=2, clip_size=16, clip_pooled_size=6, mae_size=16
)


DATA = mixture((Directions(8, num_frames=20), 1.0))
TRAINING = ClipTraining(ClipTrainingConfig())


def short(stage, **changes):
    """A stage on clips of 8 x 8 pixels."""
    return replace(stage, processor={**stage.processor, "size": 8}, **changes)


def learned(student, stage, folder):
    """What a student is after a stage."""
    torch.manual_seed(0)
    train(student, TRAINING, [stage], RunConfig(out_dir=folder, num_workers=0))
    return student.state_dict()


@pytest.fixture
def teachers():
    torch.manual_seed(0)
    frame = InternVideo2Tower(replace(VISION, num_frames=1), 6)
    return {
        "clip_teacher": FrameTeacher(frame, num_layers=2),
        "mae_teacher": MotionTeacher(VideoMAE(VideoMAEConfig(**SIZES)), num_layers=4),
    }


def test_stage_1_is_the_published_one(teachers):
    (stage,) = stage1("1b", DATA, 1_100_000, **teachers)
    assert list(stage.learning_rates.values()) == pytest.approx([2.4e-3] * 6)
    assert stage.batch_size == 4096
    assert stage.num_steps == 268 * 301
    assert stage.schedule.factor(268 * 40, stage.num_steps) == pytest.approx(1.0, abs=1e-6)
    assert stage.schedule.final_ratio == pytest.approx(1 / 15)
    assert (stage.optimizer.betas, stage.optimizer.eps) == ((0.9, 0.98), 1e-6)
    assert (stage.optimizer.weight_decay, stage.optimizer.max_grad_norm) == (0.05, 3.0)
    (larger,) = stage1("6b", DATA, 2_000_000, **teachers)
    assert list(larger.learning_rates.values()) == pytest.approx([1.2e-3] * 6)
    assert [STAGE1[size].student.vision.drop_path for size in ("1b", "6b")] == [0.25, 0.3]


def test_distillation_is_the_published_one():
    teacher = ClipTeacher(InternVideo2Tower(VISION, 6), num_layers=2, interval=1.5)
    (stage,) = distil("l14", DATA, 1_100_000, teacher=teacher)
    assert (stage.batch_size, stage.optimizer.max_grad_norm) == (2048, 5.0)
    assert list(stage.learning_rates.values()) == pytest.approx([8e-3] * 4)
    assert stage.loss.frame_stride == 1
    assert DISTILLED["s14"].epochs == 101


def test_clips_are_cropped_at_several_scales_and_mirrored_but_for_something_something(teachers):
    (stage,) = stage1("1b", DATA, 8, **teachers)
    clips = stage.processor
    assert clips["augmentation"].crop.scales == (1.0, 0.875, 0.75, 0.66)
    assert clips["augmentation"].flip_share == 0.5
    assert clips["augmentation"].rand_augment is clips["augmentation"].erasing is None
    assert clips["unflipped"] == ("ssv2",)
    assert (clips["size"], clips["frames"]) == (224, FrameDraw(num_frames=16, rule="stage1"))
    (stage,) = distil("s14", DATA, 8, teacher=teachers["clip_teacher"])
    assert stage.processor == {**clips, "frames": FrameDraw(num_frames=8, rule="stage1")}


def test_a_small_student_goes_through_both_recipes(teachers, tmp_path):
    (stage,) = stage1("1b", DATA, 8, **teachers)
    student = start_student(STUDENT, seed=0)
    before = {name: parameter.detach().clone() for name, parameter in student.named_parameters()}
    learned(student, short(stage, num_steps=2, batch_size=4), tmp_path / "stage1")
    assert all(not torch.equal(parameter, before[name]) for name, parameter in student.named_parameters())
    small = start_student(replace(STUDENT, mae_layers=0), seed=0)
    teacher = ClipTeacher(student.vision_encoder, num_layers=2, interval=1.5)
    for size in DISTILLED:
        (stage,) = distil(size, DATA, 8, teacher=teacher)
        learned(small, short(stage, num_steps=1, batch_size=2), tmp_path / size)


@pytest.mark.parametrize("both", [True, False])
def test_a_student_learns_the_same_of_teachers_that_keep_their_features(both, teachers, tmp_path):
    """Two rounds: the second is served from disk."""
    once = mixture((DrawnOnce(source=Directions(8, num_frames=20)), 1.0))
    if not both:
        teachers = {"teacher": ClipTeacher(teachers["clip_teacher"].tower, num_layers=2, interval=1.5)}
    recipe, size = (stage1, "1b") if both else (distil, "s14")
    config = STUDENT if both else replace(STUDENT, mae_layers=0)
    states = []
    for keeps in (False, True):
        asked = teachers
        if keeps:
            asked = {
                name: CachedTeacher(teacher, tmp_path / name, dtype=torch.float32)
                for name, teacher in teachers.items()
            }
        (stage,) = recipe(size, once, 4, **asked)
        stage = short(stage, num_steps=2, batch_size=4, order=InTurn())
        states.append(learned(start_student(config, seed=0), stage, tmp_path / f"keeps_{keeps}"))
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
    files = [len(list((tmp_path / name).glob("*.safetensors"))) for name in teachers]
    assert files == [4] * len(teachers)


class InTurn:
    """The same four samples in every batch."""

    def batch(self, step, batch_size):
        return range(batch_size)


def test_features_are_not_kept_of_clips_that_are_drawn_anew(teachers, tmp_path):
    kept = {name: CachedTeacher(teacher, tmp_path / name) for name, teacher in teachers.items()}
    with pytest.raises(ConfigError, match="Draw them once, by datasets"):
        stage1("1b", DATA, 8, **kept)
    with pytest.raises(ConfigError, match="Draw them once, by datasets"):
        distil("s14", DATA, 8, teacher=kept["clip_teacher"])


def test_another_crop_gets_features_of_its_own(teachers, tmp_path):
    kept = CachedTeacher(teachers["clip_teacher"], tmp_path, dtype=torch.float32)
    (stage,) = distil("s14", mixture((DrawnOnce(source=Directions(8)), 1.0)), 8, teacher=kept)
    for seed in (0, 1, 0):
        source = DrawnOnce(source=Directions(8), seed=seed)
        clip = TRAINING.with_settings(**short(stage).processor)([source.sample(0, np.random.default_rng(0))])
        found, expected = kept(clip.pixel_values), teachers["clip_teacher"](clip.pixel_values)
        assert torch.equal(found.tokens, expected.tokens)
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


def test_a_student_starts_as_published():
    wide = replace(VISION, hidden_size=64, intermediate_size=256)
    student = start_student(replace(STUDENT, vision=wide), seed=0)
    layers = student.vision_encoder.encoder.layers
    spreads = [layer.mlp.fc2.weight.std().item() for layer in layers]
    assert spreads == pytest.approx([0.02 / (2 * number) ** 0.5 for number in (1, 2, 3, 4)], rel=0.05)
    assert layers[3].mlp.fc1.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert layers[0].scale1.unique().item() == pytest.approx(1e-5)
    again = start_student(replace(STUDENT, vision=wide), seed=0).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in student.state_dict().items())


def test_an_unknown_size_is_named(teachers):
    with pytest.raises(ConfigError, match="no size 'xl'; there are 1b, 6b"):
        stage1("xl", DATA, 8, **teachers)
