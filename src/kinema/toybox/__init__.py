"""A procedural world of moving shapes, words and sounds whose every fact is known.

scene = make_scene(7, level=1)
frames = scene.render([0.0, 1.0, 2.0])      # uint8 (3, 112, 112, 3)
detailed_caption(scene), questions(scene, np.random.default_rng(0), 8)
write_clip(scene, "clip.mp4")
"""

from kinema.toybox.captions import caption_at, detailed_caption, short_caption
from kinema.toybox.generate import make_scene
from kinema.toybox.question import Question
from kinema.toybox.questions import KINDS, questions, questions_at
from kinema.toybox.scene import Scene, from_facts
from kinema.toybox.spans import NamedSpan, spans
from kinema.toybox.splits import HELD_OUT, SPLITS
from kinema.toybox.write import DatasetSettings, write_clip, write_dataset

__all__ = [
    "HELD_OUT",
    "KINDS",
    "SPLITS",
    "DatasetSettings",
    "NamedSpan",
    "Question",
    "Scene",
    "caption_at",
    "detailed_caption",
    "from_facts",
    "make_scene",
    "questions",
    "questions_at",
    "short_caption",
    "spans",
    "write_clip",
    "write_dataset",
]
