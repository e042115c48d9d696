"""InternVideo2's stage 1, and the distillation of its small models, with the published settings.

arXiv 2403.15377, 3.1 and its tables of pre-training; OpenGVLab/InternVideo, the scripts of both. A run needs
the teachers' weights and a list of videos (K-Mash: 1.1 million for the 1B and the small models, 2 million for
the 6B), which are not ours to ship. ``datasets.action_lists`` reads such a list (``COLLECTIONS``), and
``processors.clip_training`` draws clips as a stage says.

Teachers' features can be kept (``training.teacher_cache``) where clips are drawn once, which the released
runs do not: then every epoch shows the same crops.
"""

from dataclasses import dataclass, replace

from kinema.datasets.drawn_once import DrawnOnce
from kinema.datasets.mixture import Mixture
from kinema.errors import ConfigError
from kinema.models.internvideo2.config import (
    distilled_student,
    stage1_student,
    vision_1b,
    vision_6b,
    vision_b14,
    vision_l14,
    vision_s14,
)
from kinema.models.internvideo2.student import StudentConfig
from kinema.models.internvideo2.teachers import Teacher
from kinema.modules.vision.internvideo2 import InternVideo2VisionConfig
from kinema.processors.augment import ClipAugmentation
from kinema.processors.drawn_frames import FrameDraw
from kinema.processors.random_crops import MultiScaleCrop
from kinema.training.distillation import TeacherAlignment
from kinema.training.optimizer import OptimizerConfig
from kinema.training.order import Shuffled
from kinema.training.schedule import Cosine
from kinema.training.stage import Stage
from kinema.training.teacher_cache import CachedTeacher

PARTS = ("vision_encoder", "clip_positions", "clip_decoders", "clip_pooled_decoder")
MAE_PARTS = ("mae_positions", "mae_decoders")
"""What learns: all of a student."""

UNDECAYED = ("vision_encoder.encoder.positions", "clip_positions")
MAE_UNDECAYED = ("mae_positions",)
"""Position tables, which weight decay leaves alone."""

AUGMENTATION = ClipAugmentation(crop=MultiScaleCrop(scales=(1.0, 0.875, 0.75, 0.66)), flip_share=0.5)
UNFLIPPED = ("ssv2",)
"""Something-Something tells left from right."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """How one size was trained."""

    student: StudentConfig
    batch_size: int
    """Clips a step, of all processes together."""
    base_rate: float
    """For 256 clips a step; the rate is in proportion to the batch."""
    epochs: float
    warmup_epochs: float
    max_grad_norm: float

    @property
    def learning_rate(self) -> float:
        """The peak."""
        return self.base_rate * self.batch_size / 256

    def changed(
        self, *, student: StudentConfig, batch_size: int | None = None, epochs: float | None = None
    ) -> "Published":
        """The same for another student, another batch and another length, of which warm-up keeps its share.

        Args:
            student: what learns.
            batch_size: None for the published one.
            epochs: likewise.
        """
        epochs = self.epochs if epochs is None else epochs
        return replace(
            self,
            student=student,
            batch_size=self.batch_size if batch_size is None else batch_size,
            epochs=epochs,
            warmup_epochs=self.warmup_epochs * epochs / self.epochs,
        )


def _alone(vision: InternVideo2VisionConfig, batch_size: int, drop_path: float) -> Published:
    """A student of both teachers of stage 1."""
    return Published(
        student=stage1_student(replace(vision, drop_path=drop_path)),
        batch_size=batch_size,
        base_rate=1.5e-4,
        epochs=301,  # one more than the schedule would need: its last step is never reached otherwise
        warmup_epochs=40,
        max_grad_norm=3.0,
    )


def _small(vision: InternVideo2VisionConfig, batch_size: int) -> Published:
    """A student of the 1B after stage 2."""
    return Published(
        student=distilled_student(replace(vision, drop_path=0.05)),
        batch_size=batch_size,
        base_rate=1e-3,
        epochs=101,
        warmup_epochs=20,
        max_grad_norm=5.0,
    )


STAGE1 = {"1b": _alone(vision_1b(), 4096, 0.25), "6b": _alone(vision_6b(), 2048, 0.3)}
DISTILLED = {
    "s14": _small(vision_s14(), 4096),
    "b14": _small(vision_b14(), 4096),
    "l14": _small(vision_l14(), 2048),
}
"""By size."""

_LAST_RATE = 1e-5
"""Of the schedule, for 256 clips a step."""


def stage1(
    size: str,
    data: Mixture,
    num_samples: int,
    *,
    clip_teacher: Teacher,
    mae_teacher: Teacher,
    published: Published | None = None,
) -> list[Stage]:
    """Stage 1 of the 1B or the 6B.

    Args:
        size: a key of ``STAGE1``.
        data: videos, of which 16 frames are drawn; the student and the CLIP teacher see every second one.
        num_samples: how many clips an epoch has.
        clip_teacher: InternViT-6B, its last 6 layers.
        mae_teacher: VideoMAE V2-g, its last 4 layers.
        published: settings in place of those of the size.

    Raises:
        ConfigError: if there is no such size, or a teacher keeps features of clips that are drawn anew.
    """
    published = published or _find(STAGE1, size)
    loss = TeacherAlignment(clip_teacher=clip_teacher, mae_teacher=mae_teacher, mask_ratio=0.8)
    parts, undecayed = PARTS + MAE_PARTS, UNDECAYED + MAE_UNDECAYED
    return [_stage(f"stage1_{size}", published, data, num_samples, loss, parts, undecayed)]


def distil(
    size: str, data: Mixture, num_samples: int, *, teacher: Teacher, published: Published | None = None
) -> list[Stage]:
    """Distillation of S, B or L.

    Args:
        size: a key of ``DISTILLED``.
        data: videos, of which 8 frames are drawn.
        num_samples: how many clips an epoch has.
        teacher: the 1B after stage 2, as a ``ClipTeacher``.
        published: settings in place of those of the size.

    Raises:
        ConfigError: if there is no such size, or the teacher keeps features of clips that are drawn anew.
    """
    published = published or _find(DISTILLED, size)
    loss = TeacherAlignment(clip_teacher=teacher, mask_ratio=0.8, frame_stride=1)
    return [_stage(f"distil_{size}", published, data, num_samples, loss, PARTS, UNDECAYED)]


def _stage(
    name: str,
    published: Published,
    data: Mixture,
    num_samples: int,
    loss: TeacherAlignment,
    parts: tuple[str, ...],
    undecayed: tuple[str, ...],
) -> Stage:
    _check_draws(loss, data)
    num_frames = published.student.vision.num_frames * loss.frame_stride
    return Stage(
        name=name,
        learning_rates=dict.fromkeys(parts, published.learning_rate),
        data=data,
        num_steps=int(max(1, num_samples // published.batch_size) * published.epochs),
        batch_size=published.batch_size,
        order=Shuffled(num_samples),
        loss=loss,
        schedule=Cosine(
            warmup_ratio=published.warmup_epochs / published.epochs,
            final_ratio=_LAST_RATE / published.base_rate,
        ),
        optimizer=OptimizerConfig(
            weight_decay=0.05,
            undecayed=undecayed,
            betas=(0.9, 0.98),
            eps=1e-6,
            max_grad_norm=published.max_grad_norm,
        ),
        processor={
            "size": published.student.vision.image_size,
            "frames": FrameDraw(num_frames=num_frames, rule="stage1"),
            "augmentation": AUGMENTATION,
            "unflipped": UNFLIPPED,
        },
    )


def _check_draws(loss: TeacherAlignment, data: Mixture) -> None:
    """Features that are kept are of no use to a crop that never comes again."""
    keeps = any(isinstance(teacher, CachedTeacher) for teacher in (loss.clip_teacher, loss.mae_teacher))
    if keeps and not all(isinstance(source, DrawnOnce) for source, _ in data.parts):
        raise ConfigError(
            "a teacher keeps its features, and clips would be cropped anew in every epoch, so that none is "
            "found again. Draw them once, by datasets.drawn_once.DrawnOnce, or take the teacher without "
            "its cache."
        )


def _find(table: dict[str, Published], size: str) -> Published:
    if size not in table:
        raise ConfigError(f"there is no size {size!r}; there are {', '.join(table)}.")
    return table[size]
