"""A question with its true answer, and how toys are named in it."""

from dataclasses import dataclass

import numpy as np

from kinema.toybox.world import Toy

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


def full_name(toy: Toy, toys: tuple[Toy, ...]) -> str | None:
    """``red circle``, by its first colour; None if another toy is ever seen as one."""
    pair = (toy.shape, toy.colour)
    return None if any(pair in other.pairs for other in _others(toy, toys)) else f"{toy.colour} {toy.shape}"


def name_without_colour(toy: Toy, toys: tuple[Toy, ...]) -> str | None:
    """``circle``, or ``large circle`` where there are several; None if that does not tell it apart."""
    rivals = [other for other in _others(toy, toys) if other.shape == toy.shape]
    return _told_apart(toy, rivals, toy.shape)


def name_without_shape(toy: Toy, toys: tuple[Toy, ...]) -> str | None:
    """``red object``, ``large red object`` where there are several; None if that does not tell it apart."""
    rivals = [other for other in _others(toy, toys) if toy.colour in {colour for _, colour in other.pairs}]
    return _told_apart(toy, rivals, f"{toy.colour} object")


def _told_apart(toy: Toy, rivals: list[Toy], name: str) -> str | None:
    if not rivals:
        return name
    return None if any(other.size == toy.size for other in rivals) else f"{toy.size} {name}"


def _others(toy: Toy, toys: tuple[Toy, ...]) -> list[Toy]:
    return [other for other in toys if other is not toy]
