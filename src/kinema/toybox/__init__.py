"""A procedural world of moving shapes, words and sounds whose every fact is known."""

from kinema.toybox.captions import caption_at, detailed_caption, short_caption
from kinema.toybox.generate import make_scene
from kinema.toybox.question import Question
from kinema.toybox.questions import KINDS, questions, questions_at
from kinema.toybox.scene import Scene, from_facts
from kinema.toybox.splits import HELD_OUT, SPLITS

__all__ = [
    "HELD_OUT",
    "KINDS",
    "SPLITS",
    "Question",
    "Scene",
    "caption_at",
    "detailed_caption",
    "from_facts",
    "make_scene",
    "questions",
    "questions_at",
    "short_caption",
]
