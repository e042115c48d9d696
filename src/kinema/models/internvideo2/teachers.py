"""Teachers whose features a masked student predicts (InternVideo2, arXiv 2403.15377, 3.1).

Stage 1 has two: InternViT-6B, which knows what is seen, one frame at a time, and VideoMAE V2-g, which knows
how it moves. The small models have one: the 1B tower after stage 2. Teachers see everything, and never learn.

B clips, T frames, n patches a frame, N tokens, K layers, D_t width of the teacher.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.errors import ConfigError
from kinema.modules.vision.internvideo2 import InternVideo2Tower
from kinema.modules.vision.videomae import VideoMAE


class TeacherFeatures(NamedTuple):
    """What a student is to predict. The layers ascend."""

    tokens: Tensor
    """(K, B, N, D_t) unit vectors; the class token, where the teacher has one, is first."""
    pooled: Tensor | None = None
    """(B, D_t) unit vectors, where the teacher pools."""
    attention: Tensor | None = None
    """How much each patch counted in the pool, (B, R, n): from it a mask is drawn in R rows."""

    def clip(self, index: int) -> "TeacherFeatures":
        """The features of one clip of the batch."""
        own = slice(index, index + 1)
        pooled = None if self.pooled is None else self.pooled[own]
        attention = None if self.attention is None else self.attention[own]
        return TeacherFeatures(self.tokens[:, own], pooled, attention)


def join_features(clips: Sequence[TeacherFeatures]) -> TeacherFeatures:
    """A batch of clips whose features were computed apart."""
    pooled = [clip.pooled for clip in clips if clip.pooled is not None]
    attention = [clip.attention for clip in clips if clip.attention is not None]
    return TeacherFeatures(
        tokens=torch.cat([clip.tokens for clip in clips], dim=1),
        pooled=torch.cat(pooled) if pooled else None,
        attention=torch.cat(attention) if attention else None,
    )


class Teacher(Protocol):
    """Clips to features; ``FrameTeacher``, ``ClipTeacher`` and ``MotionTeacher``, or a cache before one."""

    def __call__(self, pixel_values: Tensor) -> TeacherFeatures:
        """Of (B, T, 3, H, W), normalised."""

    def to(self, device: torch.device) -> "Teacher":
        """Move to a device."""


class TeacherModule(nn.Module):
    """A teacher that is a network of its own."""

    settings: tuple[object, ...]
    """What its features depend on, beside its weights and the clip."""


class FrameTeacher(TeacherModule):
    """InternViT-6B with its attention pool: every frame is an image (OpenGVLab
    ``internvl_clip_vision.py``)."""

    def __init__(self, tower: InternVideo2Tower, *, num_layers: int = 6) -> None:
        """Wrap a tower.

        Args:
            tower: as ``InternVideo2Tower`` with a position table of one frame.
            num_layers: last layers whose tokens are taught.
        """
        super().__init__()
        _check_layers(num_layers, len(tower.encoder.layers))
        self.tower, self.num_layers = tower.eval().requires_grad_(False), num_layers
        self.settings = (num_layers, tower.encoder.config)

    @torch.no_grad()
    def forward(self, pixel_values: Tensor) -> TeacherFeatures:
        """Patch tokens of all frames end to end behind the mean of their class tokens; a mask row a frame."""
        clips = pixel_values.shape[:2]
        images = pixel_values.flatten(0, 1)[:, None]  # (B·T, 1, 3, H, W)
        states = deque(self.tower.encoder.hidden_states(images), maxlen=self.num_layers)
        pooled, attention = self.tower.pool.attend(states[-1])
        tokens = torch.stack([_join_frames(state.unflatten(0, clips)) for state in states])
        return TeacherFeatures(
            tokens=F.normalize(tokens, dim=-1),
            pooled=F.normalize(pooled.unflatten(0, clips).mean(1), dim=-1),
            attention=attention[:, 1:].unflatten(0, clips),
        )


class ClipTeacher(TeacherModule):
    """A video tower that teaches smaller ones; the layers it teaches lie apart."""

    def __init__(self, tower: InternVideo2Tower, *, num_layers: int = 6, interval: float = 3.34) -> None:
        """Wrap a tower.

        Args:
            tower: the 1B after stage 2, in the published recipe. num_layers: how many layers are taught.
            interval: how far they lie apart, from the last one back; not a whole number in the published
            recipe,
                which takes layers 39, 36, 33, 29, 26 and 23 of 0 to 39.
        """
        super().__init__()
        depth = len(tower.encoder.layers)
        self.taught = sorted(depth - 1 - int(index * interval) for index in range(num_layers))
        _check_layers(depth - self.taught[0], depth)
        self.tower = tower.eval().requires_grad_(False)
        self.settings = (self.taught, tower.encoder.config)

    @torch.no_grad()
    def forward(self, pixel_values: Tensor) -> TeacherFeatures:
        """Tokens of the taught layers; one mask row for the whole clip."""
        states = enumerate(self.tower.encoder.hidden_states(pixel_values), start=-1)  # -1 enters layer 0
        tokens = [state for index, state in states if index in self.taught]
        pooled, attention = self.tower.pool.attend(tokens[-1])
        return TeacherFeatures(
            tokens=F.normalize(torch.stack(tokens), dim=-1),
            pooled=F.normalize(pooled, dim=-1),
            attention=attention[:, None, 1:],
        )


class MotionTeacher(TeacherModule):
    """VideoMAE V2-g: the last layers' tokens, of which the very last are normed (OpenGVLab
    ``videomae.py``)."""

    def __init__(self, encoder: VideoMAE, *, num_layers: int = 4) -> None:
        super().__init__()
        _check_layers(num_layers, len(encoder.layers))
        self.encoder, self.num_layers = encoder.eval().requires_grad_(False), num_layers
        self.settings = (num_layers, encoder.config)

    @torch.no_grad()
    def forward(self, pixel_values: Tensor) -> TeacherFeatures:
        """Tokens of tubelets, of which there are half as many along time as frames; no class token."""
        states = deque(self.encoder.hidden_states(pixel_values), maxlen=self.num_layers)
        states[-1] = self.encoder.final_norm(states[-1])
        return TeacherFeatures(F.normalize(torch.stack(list(states)), dim=-1))


def _check_layers(num_taught: int, depth: int) -> None:
    if not 1 <= num_taught <= depth:
        raise ConfigError(f"a teacher of {depth} layers cannot teach its last {num_taught}.")


def _join_frames(tokens: Tensor) -> Tensor:
    """(B, T, 1 + n, D) -> (B, 1 + T·n, D): the class tokens averaged to one."""
    return torch.cat([tokens[:, :, 0].mean(1, keepdim=True), tokens[:, :, 1:].flatten(1, 2)], dim=1)
