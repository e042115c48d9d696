"""The teachers of InternVideo2's stage 1 and of its small models by where their weights lie.

They are as large as the students, so that nothing is read before the first clip is to be taught: a plan, or
what is written of a run, needs their names only.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from kinema.models.internvideo2.teachers import (
    ClipTeacher,
    FrameTeacher,
    MotionTeacher,
    TeacherFeatures,
    TeacherModule,
)
from kinema.models.internvideo2.vision_checkpoint import load_tower, load_videomae
from kinema.models.registry import find_checkpoint


@dataclass(frozen=True, kw_only=True)
class StoredTeacher(ABC):
    """A teacher that is loaded when it is asked for the first time, in float32."""

    source: str
    """Hub id, folder or file."""
    num_layers: int
    """How many layers are taught: as many as the student has decoders."""

    def __call__(self, pixel_values: Tensor) -> TeacherFeatures:
        """Of (B, T, 3, H, W), normalised."""
        features: TeacherFeatures = self._loaded(pixel_values)
        return features

    def to(self, device: torch.device) -> "StoredTeacher":
        """Move to a device."""
        self._loaded.to(device)
        return self

    @abstractmethod
    def load(self) -> TeacherModule:
        """Read the weights.

        Raises:
            WeightsError: if they are not there, not whole, or those of another network.
            ConfigError: if the teacher has fewer layers than are taught.
        """

    @cached_property
    def _loaded(self) -> Any:
        return self.load()


@dataclass(frozen=True, kw_only=True)
class StoredFrameTeacher(StoredTeacher):
    """InternViT-6B, in stage 1."""

    def load(self) -> TeacherModule:
        """The last layers teach."""
        tower = load_tower(find_checkpoint(self.source), dtype=torch.float32)
        return FrameTeacher(tower, num_layers=self.num_layers)


@dataclass(frozen=True, kw_only=True)
class StoredMotionTeacher(StoredTeacher):
    """VideoMAE V2-g, in stage 1."""

    def load(self) -> TeacherModule:
        """The last layers teach."""
        encoder = load_videomae(find_checkpoint(self.source), dtype=torch.float32)
        return MotionTeacher(encoder, num_layers=self.num_layers)


@dataclass(frozen=True, kw_only=True)
class StoredClipTeacher(StoredTeacher):
    """The 1B after stage 2, of the small models."""

    num_frames: int
    """Of a clip; positions of the four frames of stage 2 are interpolated."""
    interval: float = 3.34
    """How far the taught layers lie apart; see ``ClipTeacher``."""

    def load(self) -> TeacherModule:
        """Layers from the last one back teach."""
        tower = load_tower(find_checkpoint(self.source), dtype=torch.float32)
        size = tower.encoder.config.image_size
        tower.encoder.resize_positions(num_frames=self.num_frames, image_size=size)
        return ClipTeacher(tower, num_layers=self.num_layers, interval=self.interval)
