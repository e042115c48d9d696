"""Training samples drawn from the toybox: texts, pictures and videos, each with several turns of talk."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinema.media.frames import FrameBatch
from kinema.media.rules import linspace_truncated
from kinema.processors.messages import Conversation, ImagePart, Message, Part, TextPart, VideoPart
from kinema.toybox import Scene, make_scene, questions, questions_at
from kinema.toybox.captions import (
    DETAILED_PROMPT,
    IMAGE_PROMPT,
    SHORT_PROMPT,
    caption_at,
    detailed_caption,
    short_caption,
)
from kinema.toybox.crowds import draw_crowd

FILM_FPS = 24.0
"""Frames a second of the films that ``write_clip`` makes."""

CELL = 28
"""Pixels of two patches a side: sizes that are multiples of it are never resized."""


@dataclass(frozen=True, kw_only=True)
class ToyboxText:
    """A caption in words and questions about it: what a language model knows before it sees."""

    level: int = 1
    num_questions: int = 16
    caption_share: float = 0.0
    """Share of samples in which a caption is asked for as well: what aligning a connector by captions needs
    the language model to know."""
    split: str = "train"

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        """The detailed caption in the first turn, then questions."""
        scene = make_scene(_seed(rng), level=self.level, split=self.split)
        turns = [(question.text, question.answer) for question in questions(scene, rng, self.num_questions)]
        if self.caption_share and rng.random() < self.caption_share:  # 0 draws what it always drew
            turns.insert(_place(rng, len(turns)), _captioned(scene, rng))
        return talk((TextPart(text=detailed_caption(scene) + "\n"),), turns)


@dataclass(frozen=True, kw_only=True)
class ToyboxImages:
    """Still pictures of the toybox."""

    level: int = 1
    num_questions: int = 8
    caption_share: float = 0.5
    """Share of samples in which the caption is asked for as well."""
    crowd_share: float = 0.0
    """Share of pictures of many toys, which teach to find the one that is meant."""
    split: str = "train"
    side: int | None = None
    """Height and width in pixels; None draws them."""

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        """One frame at a whole second."""
        height, width = (self.side, self.side) if self.side is not None else draw_size(rng, num_frames=1)
        if rng.random() < self.crowd_share:
            scene, time_s = draw_crowd(rng, height, width), 0.0
        else:
            scene = make_scene(_seed(rng), level=self.level, split=self.split, height=height, width=width)
            time_s = float(rng.integers(int(scene.duration_s)))
        turns = [(q.text, q.answer) for q in questions_at(scene, time_s, rng, self.num_questions)]
        if rng.random() < self.caption_share:
            turns.insert(_place(rng, len(turns)), (IMAGE_PROMPT, caption_at(scene, time_s)))
        return talk((ImagePart(source=as_filmed(scene.render([time_s]), rng)[0]),), turns)


@dataclass(frozen=True, kw_only=True)
class ToyboxVideos:
    """Videos of the toybox."""

    level: int = 1
    num_questions: int = 12
    caption_share: float = 0.5
    split: str = "train"
    num_frames: int | None = None
    """Frames spread from the first to the last of the film; None for one frame a second."""
    side: int | None = None
    """Height and width in pixels; None draws them."""

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        """A clip, with questions of every kind and now and then a caption."""
        scene = make_scene(_seed(rng), level=self.level, split=self.split)
        times_s = np.arange(scene.duration_s)
        if self.num_frames is not None:
            times_s = spread_times(scene, self.num_frames)
        height, width = (
            draw_size(rng, num_frames=len(times_s)) if self.side is None else (self.side, self.side)
        )
        scene = scene.resized(height, width)
        turns = [(question.text, question.answer) for question in questions(scene, rng, self.num_questions)]
        if rng.random() < self.caption_share:
            turns.insert(_place(rng, len(turns)), _captioned(scene, rng))
        frames = as_filmed(scene.render(times_s), rng)
        video = FrameBatch(data=frames, pts_s=times_s.astype(np.float64), duration_s=scene.duration_s)
        return talk((VideoPart(source=video),), turns)


def spread_times(scene: Scene, num_frames: int) -> NDArray[np.float64]:
    """Times of the frames that Video-LLaVA and LanguageBind pick from a film, first and last among them."""
    times_s = np.array(scene.frame_times(FILM_FPS), dtype=np.float64)
    return times_s[linspace_truncated(len(times_s), num_frames)]


def talk(media: tuple[Part, ...], turns: list[tuple[str, str]]) -> Conversation:
    """A conversation whose first question follows the media."""
    messages = []
    for index, (question, answer) in enumerate(turns):
        parts: tuple[Part, ...] = (TextPart(text=question),)
        messages.append(Message(role="user", parts=media + parts if index == 0 else parts))
        messages.append(Message(role="assistant", parts=(TextPart(text=answer),)))
    return Conversation(messages=tuple(messages))


def draw_size(rng: np.random.Generator, *, num_frames: int, max_tokens: int = 160) -> tuple[int, int]:
    """Height and width of a sample: half of them 112 x 112, the rest any shape that fits ``max_tokens``."""
    if rng.random() < 0.5:
        return 4 * CELL, 4 * CELL
    longest = max(3, min(7, max_tokens // (3 * num_frames)))
    rows = int(rng.integers(3, longest + 1))
    columns = int(rng.integers(3, max(3, min(longest, max_tokens // (rows * num_frames))) + 1))
    if rng.random() < 0.2:  # sizes between the multiples, which the processor resizes
        return rows * CELL + int(rng.integers(-9, 10)), columns * CELL + int(rng.integers(-9, 10))
    return rows * CELL, columns * CELL


def _captioned(scene: Scene, rng: np.random.Generator) -> tuple[str, str]:
    if rng.random() < 0.5:
        return SHORT_PROMPT, short_caption(scene)
    return DETAILED_PROMPT, detailed_caption(scene)


def _place(rng: np.random.Generator, num_turns: int) -> int:
    """Captions come first or last, so that some answers can be read off them and others cannot."""
    return 0 if rng.random() < 0.3 else num_turns


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**62))


def as_filmed(frames: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """What a codec does to a picture, in half of the samples: colour at half size, and a little noise."""
    if rng.random() < 0.5:
        return frames
    height, width = (side // 2 * 2 for side in frames.shape[1:3])
    frames = frames[:, :height, :width]
    luma = frames.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    chroma = frames - luma[..., None]
    halved = chroma.reshape(len(frames), height // 2, 2, width // 2, 2, 3).mean((2, 4))
    chroma = halved.repeat(2, axis=1).repeat(2, axis=2)
    noise = rng.normal(0.0, rng.uniform(0.2, 2.0), luma.shape).astype(np.float32)
    return np.clip(np.rint(luma[..., None] + chroma + noise[..., None]), 0, 255).astype(np.uint8)
