"""Sound of the toybox alone, with what is heard in words: as it sounds, or told for who cannot hear."""

from dataclasses import dataclass, replace

import numpy as np

from kinema.datasets.toybox import talk
from kinema.processors.messages import AudioPart, Conversation, Part, TextPart
from kinema.toybox import Scene, make_scene
from kinema.toybox.ask_media import ask_whether_heard
from kinema.toybox.sounding import dub, heard_caption

HEARD_PROMPT = "Describe the sound."
"""What ``heard_caption`` is the answer to."""


@dataclass(frozen=True, kw_only=True)
class ToyboxSounds:
    """The sound track of a film, silent or with up to ``most_sounds`` sounds, and talk about it."""

    is_told: bool = False
    """Whether the sounds are named, in order, in place of being heard: from this a language model learns to
    speak of what it will be given by ears."""
    level: int = 1
    """Of the film: 4 to 8 s, or 8 to 30 s."""
    most_sounds: int = 4
    """A film of level 1 has room for at least four."""
    split: str = "train"

    def scene(self, rng: np.random.Generator) -> Scene:
        """The next scene."""
        scene = make_scene(int(rng.integers(2**62)), level=self.level, split=self.split)
        num_sounds = int(rng.integers(self.most_sounds + 1))
        return dub(scene, rng, num_sounds) if num_sounds else replace(scene, sounds=())

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        """A caption, and whether a sound is heard that is, and one that is not; in any order."""
        scene = self.scene(rng)
        turns = [(question.text, question.answer) for question in ask_whether_heard(scene, rng)]
        turns.append((HEARD_PROMPT, heard_caption(scene)))
        return talk((self._part(scene),), [turns[place] for place in rng.permutation(len(turns))])

    def _part(self, scene: Scene) -> Part:
        if self.is_told:
            return TextPart(text=" ".join(sound.name for sound in scene.sounds) + "\n")
        return AudioPart(source=scene.sound())
