"""The toybox benchmark: held-out clips as real files, questions of every kind, and what each condition costs.

Every question is asked alone, of the media only. Answers must be equal to the true one, but for case, spaces
and a full stop.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from kinema.errors import ConfigError
from kinema.evaluation.predictions import Prediction
from kinema.processors.pruning import NoPruning
from kinema.toybox import Question, Scene, make_scene, questions
from kinema.toybox.write import write_clip


class Talk(Protocol):
    """A session: media that were read once."""

    def ask(self, question: str) -> str:
        """The answer."""

    def forget(self) -> None:
        """Forget the questions so far, keep the media."""

    def close(self) -> None:
        """Free the cache."""


class Answerer(Protocol):
    """A model behind the front door."""

    def session(self, media: Path | None) -> Talk:
        """A talk about media, or about nothing."""

    def with_settings(self, **changes: Any) -> Self:
        """The same with settings of its processor changed."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """Which clips are drawn, and what the model sees of them."""

    name: str
    level: int = 1
    split: str = "test"
    sizes: tuple[tuple[int, int], ...] = ((112, 112),)
    """Height and width of the clips, taken in turn."""
    sees: bool = True
    processor: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the processor that are not the model's own."""


CONDITIONS = (
    Condition(name="test"),
    Condition(name="blind", sees=False),
    Condition(name="no pruning", processor={"pruning": NoPruning()}),
    Condition(name="unseen sizes", sizes=((120, 214), (200, 126), (96, 96), (180, 240), (240, 136))),
    Condition(name="unseen pairs", split="test_combinations"),
    Condition(name="level 2", level=2),
)
"""Sizes of "unseen sizes" are no multiples of a merged patch and drawn for no training sample."""


def predict_toybox(
    model: Answerer,
    condition: Condition,
    *,
    num_clips: int = 200,
    questions_per_clip: int = 12,
    seed: int = 0,
    on_clip: Callable[[int, int], None] | None = None,
) -> Iterator[Prediction]:
    """Film clips, ask about each, and yield what the model says.

    Args:
        model: what ``kinema.load`` returns, or anything with its ``session``.
        condition: one of ``CONDITIONS``, or another.
        num_clips: how many; clip i is the scene of ``seed + i``.
        questions_per_clip: asked of each at most, the kinds mixed.
        seed: of the first clip, and of the choice of questions.
        on_clip: called with clips done and clips in all.
    """
    if num_clips < 1 or questions_per_clip < 1:
        raise ConfigError(
            f"num_clips {num_clips} and questions_per_clip {questions_per_clip} must be 1 or more."
        )
    model = model.with_settings(**condition.processor)
    with tempfile.TemporaryDirectory() as folder:
        for index in range(num_clips):
            height, width = condition.sizes[index % len(condition.sizes)]
            scene = make_scene(
                seed + index, level=condition.level, split=condition.split, height=height, width=width
            )
            asked = questions(scene, np.random.default_rng([seed, index]), questions_per_clip)
            yield from _ask(model, condition, scene, asked, Path(folder) / "clip.mp4")
            if on_clip is not None:
                on_clip(index + 1, num_clips)


def _ask(
    model: Answerer, condition: Condition, scene: Scene, asked: list[Question], path: Path
) -> Iterator[Prediction]:
    clip = f"level {scene.level}, {scene.split}, seed {scene.seed}, {scene.height}x{scene.width}"
    if condition.sees:
        write_clip(scene, path)
    talk = model.session(path if condition.sees else None)
    for question in asked:
        talk.forget()
        yield Prediction(
            condition=condition.name,
            clip=clip,
            kind=question.kind,
            question=question.text,
            truth=question.answer,
            answer=talk.ask(question.text),
        )
    talk.close()
