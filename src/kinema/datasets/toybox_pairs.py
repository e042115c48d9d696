"""Pairs drawn from the toybox: a still picture or a clip, and a caption as the answer to nothing."""

from dataclasses import dataclass

import numpy as np

from kinema.datasets.toybox import as_filmed, spread_times
from kinema.media.frames import FrameBatch
from kinema.processors.messages import Conversation, ImagePart, Message, Part, TextPart, VideoPart
from kinema.toybox import caption_at, make_scene, short_caption


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
        times_s = spread_times(scene, self.num_frames)
        frames = as_filmed(scene.render(times_s), rng)
        clip = FrameBatch(data=frames, pts_s=times_s, duration_s=scene.duration_s)
        return pair(VideoPart(source=clip), short_caption(scene))


def pair(part: Part, text: str) -> Conversation:
    """What is shown, and the words for it."""
    shown = Message(role="user", parts=(part,))
    return Conversation(messages=(shown, Message(role="assistant", parts=(TextPart(text=text),))))
