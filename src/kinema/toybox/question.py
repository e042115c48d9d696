"""A question with its true answer."""

from dataclasses import dataclass

import numpy as np

Span = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question about a scene."""

    kind: str
    """What it asks for: ``colour``, ``count``, ``when`` and so on."""
    text: str
    answer: str
    span: Span | None = None
    """Start and end in seconds, where the answer is a span."""


def ask(
    rng: np.random.Generator,
    kind: str,
    wordings: tuple[str, ...],
    answer: str,
    *,
    span: Span | None = None,
    **names: str,
) -> Question:
    """A question in one of its wordings, its names filled in."""
    text = wordings[rng.integers(len(wordings))].format(**names)
    return Question(kind=kind, text=text, answer=answer, span=span)
