"""Pairs drawn from the toybox: a still picture or a clip, and a caption as the answer to nothing."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinema.datasets.toybox import as_filmed
from kinema.media.frames import FrameBatch
from kinema.media.rules import linspace_truncated
from kinema.processors.messages import Conversation, ImagePart, Message, Part, TextPart, VideoPart
from kinema.toybox import Scene, caption_at, make_scene, short_caption

CLIP_FPS = 24.0
"""Frames a second of the films that frames of a clip are picked from, as ``write_clip`` makes them."""


@dataclass(frozen=True, kw_only=True)
class ToyboxStillPairs:
    """A picture with a caption: half of them say what it shows and where, half come from its clip.

    The latter say more than there is to see, as texts around pictures on the web do. Nothing else teaches a
    text tower the words of clips, before clips are drawn to it.
    """

    side: int = 112
    """Height and width in pixels."""
    split: str = "train"

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        """One frame of a clip, and its text."""
        scene = make_scene(int(rng.integers(2**62)), split=self.split, height=self.side, width=self.side)
        time_s = rng.uniform(0.0, scene.duration_s - 0.01)
        text = caption_at(scene, time_s) if rng.random() < 0.5 else short_caption(scene)
        return pair(ImagePart(source=as_filmed(scene.render([time_s]), rng)[0]), text)


@dataclass(frozen=True, kw_only=True)
class ToyboxClipPairs:
    """A clip, by frames from its first to its last, with its short caption."""

    num_frames: int = 8
    side: int = 112
    split: str = "train"

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        """The frames of a clip, and its text."""
        scene = make_scene(int(rng.integers(2**62)), split=self.split, height=self.side, width=self.side)
        return pair(VideoPart(source=spread_frames(scene, self.num_frames, rng)), short_caption(scene))


def pair(part: Part, text: str) -> Conversation:
    """What is shown, and the words for it."""
    shown = Message(role="user", parts=(part,))
    return Conversation(messages=(shown, Message(role="assistant", parts=(TextPart(text=text),))))


def spread_frames(scene: Scene, num_frames: int, rng: np.random.Generator) -> FrameBatch:
    """Frames as Video-LLaVA and LanguageBind pick them from a film, the first and the last among them."""
    times_s: NDArray[np.float64] = np.array(scene.frame_times(CLIP_FPS))
    times_s = times_s[linspace_truncated(len(times_s), num_frames)]
    frames = as_filmed(scene.render(times_s), rng)
    return FrameBatch(data=frames, pts_s=times_s, duration_s=scene.duration_s)
