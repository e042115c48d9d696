"""Clips of the toybox with a sound track, and captions of what is seen, what is heard, and both."""

from dataclasses import dataclass, replace

import numpy as np

from kinema.datasets.toybox import as_filmed, spread_times
from kinema.media.frames import FrameBatch
from kinema.processors.messages import AudioPart, Conversation, Message, Part, TextPart, VideoPart
from kinema.toybox import Scene, make_scene, short_caption
from kinema.toybox.sounding import dub, heard_caption
from kinema.toybox.speaking import remark


@dataclass(frozen=True, kw_only=True)
class ToyboxFilms:
    """A clip, by frames from its first to its last, with its sound or without.

    With sound there are three captions: ``video`` of what is seen, ``audio`` of what is heard, ``avs`` of
    both; without, ``video`` alone. A number and a generator give the same clip in any case.
    """

    num_frames: int = 4
    side: int = 84
    """Height and width in pixels."""
    has_sound: bool = True
    has_speech: bool = False
    """Whether captions of what is seen go on with what a speaker says (``toybox.speaking``)."""
    split: str = "train"

    def scene(self, rng: np.random.Generator) -> Scene:
        """The next scene; its sounds are heard only where the clip has sound."""
        seed = int(rng.integers(2**62))
        return dub(make_scene(seed, split=self.split, height=self.side, width=self.side), rng)

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        """The media, and a turn for each caption."""
        return self.film(self.scene(rng), rng)

    def film(self, scene: Scene, rng: np.random.Generator) -> Conversation:
        """One scene as a sample; ``rng`` draws what a codec does to its pictures."""
        times_s = spread_times(scene, self.num_frames)
        frames = as_filmed(scene.render(times_s), rng)
        clip = VideoPart(source=FrameBatch(data=frames, pts_s=times_s, duration_s=scene.duration_s))
        captions = film_captions(scene)
        if self.has_speech:
            captions["video"] = f"{captions['video']} {remark(scene, rng)}"
        if not self.has_sound:
            return _captioned((clip,), {"video": captions["video"]})
        return _captioned((clip, AudioPart(source=scene.sound())), captions)


def film_captions(scene: Scene) -> dict[str, str]:
    """What is seen, what is heard, and both one after the other, as ``video``, ``audio`` and ``avs``."""
    seen, heard = short_caption(replace(scene, sounds=())), heard_caption(scene)
    return {"video": seen, "audio": heard, "avs": f"{seen} {heard}"}


def _captioned(media: tuple[Part, ...], captions: dict[str, str]) -> Conversation:
    messages: list[Message] = []
    for name, text in captions.items():
        shown = media if not messages else ()
        messages.append(Message(role="user", parts=(*shown, TextPart(text=name))))
        messages.append(Message(role="assistant", parts=(TextPart(text=text),)))
    return Conversation(messages=tuple(messages))
