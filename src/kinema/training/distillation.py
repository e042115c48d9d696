"""A masked student learns what teachers make of the whole clip: InternVideo2's stage 1, and its small models.

arXiv 2403.15377, 3.1, with the losses of its released code. No pixel is predicted, and nothing at a masked
place: the targets are the teachers' features of the patches that the student sees.

B clips, T frames, N tokens, K layers.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kinema.errors import ConfigError
from kinema.models.internvideo2.student import StudentFeatures
from kinema.models.internvideo2.teachers import Teacher, TeacherFeatures
from kinema.modules.vision.token_masks import mask_by_attention


class AlignmentTerms(NamedTuple):
    """Parts of the loss, each from 0 where student and teacher point alike to 4 where they are opposed."""

    clip: Tensor
    """Tokens of the CLIP teacher's layers."""
    clip_pooled: Tensor
    """Its pooled vector."""
    mae: Tensor | None
    """Tokens of the MAE teacher's layers; None without one."""


@dataclass(frozen=True, kw_only=True)
class TeacherAlignment:
    """Sum of 2 - 2 cos between a masked student's predictions and its teachers' features.

    Asks for a model that is called as ``InternVideo2Student``; takes a batch with ``pixel_values``,
    (B, T, 3, H, W).
    """

    clip_teacher: Teacher
    """Whose attention draws the mask too."""
    mae_teacher: Teacher | None = None
    mask_ratio: float = 0.8
    frame_stride: int = 2
    """The student and the CLIP teacher see every so many frames, the MAE teacher all: its tubelets are two
    frames long, so that with 2 all have the same tokens. 1 to distil small models, without an MAE teacher."""
    clip_weight: float = 1.0
    clip_pooled_weight: float = 1.0
    mae_weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.mask_ratio < 1 or self.frame_stride < 1:
            raise ConfigError(
                f"mask_ratio goes from 0 to below 1, frame_stride from 1; got {self.mask_ratio} and "
                f"{self.frame_stride}."
            )

    def __call__(self, model: Any, inputs: Any) -> Tensor:
        """The mean loss of the batch; the mask is drawn with torch's own generator."""
        frames = inputs.pixel_values[:, :: self.frame_stride]
        taught = self.clip_teacher.to(frames.device)(frames)
        if taught.attention is None or taught.pooled is None:
            raise ConfigError("clip_teacher must be a teacher that pools, whose attention draws the mask.")
        motion = None
        if self.mae_teacher is not None:
            motion = self.mae_teacher.to(frames.device)(inputs.pixel_values).tokens
        keep_mask = mask_by_attention(taught.attention, self.mask_ratio)
        return self.total(alignment_terms(model(frames, keep_mask), taught, motion, keep_mask))

    def total(self, terms: AlignmentTerms) -> Tensor:
        """The weighted sum."""
        total = self.clip_weight * terms.clip + self.clip_pooled_weight * terms.clip_pooled
        return total if terms.mae is None else total + self.mae_weight * terms.mae


def alignment_terms(
    student: StudentFeatures, clip: TeacherFeatures, mae_tokens: Tensor | None, keep_mask: Tensor
) -> AlignmentTerms:
    """The three losses of stage 1.

    Args:
        student: predictions at kept tokens.
        clip: features of the whole clip, with a pooled vector.
        mae_tokens: (K, B, N - 1, D_t), of the whole clip; None without an MAE teacher.
        keep_mask: (B, N) bool, what the student saw.

    Raises:
        ConfigError: if one side has a part that the other lacks.
    """
    if clip.pooled is None or (mae_tokens is None) != (student.mae is None):
        raise ConfigError(
            "the student predicts other features than the teachers have: its mae_layers is 0 where there is "
            "no MAE teacher, and only there."
        )
    mae = None
    if mae_tokens is not None and student.mae is not None:
        mae = _distance(student.mae, _kept(mae_tokens, keep_mask[:, 1:]))
    return AlignmentTerms(
        clip=_distance(student.clip, _kept(clip.tokens, keep_mask)),
        clip_pooled=_distance(student.clip_pooled, clip.pooled),
        mae=mae,
    )


def _kept(tokens: Tensor, keep_mask: Tensor) -> Tensor:
    """(K, B, N, D) -> (K, B, kept, D)."""
    batch = len(keep_mask)
    return tokens[:, keep_mask].unflatten(1, (batch, -1))


def _distance(one: Tensor, other: Tensor) -> Tensor:
    """Mean squared distance of unit vectors, float32."""
    with torch.autocast(one.device.type, enabled=False):
        return 2 - 2 * (one.float() * other.float()).sum(-1).mean()
