from dataclasses import replace

import numpy as np
import pytest
import torch

from kinema.datasets.mixture import mixture
from kinema.errors import ConfigError
from kinema.models.internvideo2.start import start_student
from kinema.models.internvideo2.student import StudentConfig
from kinema.models.internvideo2.teachers import ClipTeacher, FrameTeacher, MotionTeacher
from kinema.modules.vision.internvideo2 import InternVideo2Tower, InternVideo2VisionConfig
from kinema.modules.vision.videomae import VideoMAE, VideoMAEConfig
from kinema.processors.messages import Conversation, Message, VideoPart
from kinema.processors.pairs import PairInputs
from kinema.recipes.internvideo2_stage1 import DISTILLED, STAGE1, distil, stage1
from kinema.training.loop import RunConfig, train

SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_layers": 4, "num_heads": 2, "patch_size": 4}
VISION = InternVideo2VisionConfig(**SIZES, num_frames=8, image_size=8)
STUDENT = StudentConfig(
    vision=VISION, pooled_size=6, clip_layers=2, clip_size=16, clip_pooled_size=6, mae_size=16
)


class Clips:
    """Clips of 16 frames of one colour."""

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        frames = np.full((16, 8, 8, 3), index % 256, dtype=np.uint8)
        return Conversation(messages=(Message(role="user", parts=(VideoPart(source=frames),)),))


class ClipProcessor:
    """Frames as they are."""

    def __call__(self, conversations, *, with_labels):
        frames = [torch.from_numpy(talk.messages[0].parts[0].source) for talk in conversations]
        pixels = torch.stack(frames).permute(0, 1, 4, 2, 3) / 255
        return PairInputs(pixel_values=pixels, input_ids=torch.zeros(len(frames), 1, dtype=torch.long))

    def with_settings(self, **settings):
        assert not settings
        return self


@pytest.fixture
def teachers():
    torch.manual_seed(0)
    frame = InternVideo2Tower(replace(VISION, num_frames=1), 6)
    return {
        "clip_teacher": FrameTeacher(frame, num_layers=2),
        "mae_teacher": MotionTeacher(VideoMAE(VideoMAEConfig(**SIZES)), num_layers=4),
    }


def test_stage_1_is_the_published_one(teachers):
    (stage,) = stage1("1b", mixture((Clips(), 1.0)), 1_100_000, **teachers)
    assert list(stage.learning_rates.values()) == pytest.approx([2.4e-3] * 6)
    assert stage.batch_size == 4096
    assert stage.num_steps == 268 * 301
    assert stage.schedule.factor(268 * 40, stage.num_steps) == pytest.approx(1.0, abs=1e-6)
    assert stage.schedule.final_ratio == pytest.approx(1 / 15)
    assert (stage.optimizer.betas, stage.optimizer.eps) == ((0.9, 0.98), 1e-6)
    assert (stage.optimizer.weight_decay, stage.optimizer.max_grad_norm) == (0.05, 3.0)
    (larger,) = stage1("6b", mixture((Clips(), 1.0)), 2_000_000, **teachers)
    assert list(larger.learning_rates.values()) == pytest.approx([1.2e-3] * 6)
    assert [STAGE1[size].student.vision.drop_path for size in ("1b", "6b")] == [0.25, 0.3]


def test_distillation_is_the_published_one():
    teacher = ClipTeacher(InternVideo2Tower(VISION, 6), num_layers=2, interval=1.5)
    (stage,) = distil("l14", mixture((Clips(), 1.0)), 1_100_000, teacher=teacher)
    assert (stage.batch_size, stage.optimizer.max_grad_norm) == (2048, 5.0)
    assert list(stage.learning_rates.values()) == pytest.approx([8e-3] * 4)
    assert stage.loss.frame_stride == 1
    assert DISTILLED["s14"].epochs == 101


def test_a_small_student_goes_through_both_recipes(teachers, tmp_path):
    data = mixture((Clips(), 1.0))
    (stage,) = stage1("1b", data, 8, **teachers)
    run = RunConfig(out_dir=tmp_path / "stage1", num_workers=0)
    student = start_student(STUDENT, seed=0)
    before = {name: parameter.detach().clone() for name, parameter in student.named_parameters()}
    train(student, ClipProcessor(), [replace(stage, num_steps=2, batch_size=4)], run)
    assert all(not torch.equal(parameter, before[name]) for name, parameter in student.named_parameters())
    small = start_student(replace(STUDENT, mae_layers=0), seed=0)
    teacher = ClipTeacher(student.vision_encoder, num_layers=2, interval=1.5)
    (stage,) = distil("s14", data, 8, teacher=teacher)
    train(
        small,
        ClipProcessor(),
        [replace(stage, num_steps=1, batch_size=2)],
        replace(run, out_dir=tmp_path / "s"),
    )


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
        stage1("xl", mixture((Clips(), 1.0)), 8, **teachers)
