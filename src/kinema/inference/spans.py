"""Seconds out of an answer: where in the video something happens.

Models write spans as plain text, in several forms. The rule is the one that VideoLLaMA3 was evaluated with
on Charades-STA (DAMO-NLP-SG/VideoLLaMA3 commit 05cee23): pairs written "a - b" or "a to b", else the numbers
in order, two by two, the first left out if they are odd in number. Clock times (1:05) and a span written
"a and b" are read too; that is ours.
"""

import re
from dataclasses import dataclass

_NUMBER = r"(?:\d+:)?\d+:\d\d(?:\.\d+)?|\d+(?:\.\d+)?"
_UNIT = r"\s*(?:s|sec|secs|seconds?)?\b"
_PAIR = re.compile(rf"({_NUMBER}){_UNIT}\s*(?:-|–|—|to|and|until)\s*({_NUMBER})", re.IGNORECASE)
_SINGLE = re.compile(_NUMBER)


@dataclass(frozen=True)
class Span:
    """A stretch of a video."""

    start_s: float
    end_s: float
    score: float
    """Mean probability of the tokens of the answer, 0 to 1; all spans of one answer share it."""


def parse_spans(text: str, *, score: float, start_s: float, end_s: float) -> list[Span]:
    """Read the spans of an answer.

    Args:
        text: such as ``"1.5-4.5 s"`` or ``"From 0:03 to 0:07."``.
        score: of the answer.
        start_s: first moment that was shown; spans are clipped to it.
        end_s: last moment that was shown, likewise.

    Returns:
        In the order of the text. Spans wholly outside of what was shown are left out; one written backwards
        is turned.
    """
    numbers = [_seconds(number) for pair in _PAIR.findall(text) for number in pair]
    if not numbers:
        numbers = [_seconds(number) for number in _SINGLE.findall(text)]
        numbers = numbers[len(numbers) % 2 :]
    spans = []
    for first, second in zip(numbers[::2], numbers[1::2], strict=True):
        low, high = max(min(first, second), start_s), min(max(first, second), end_s)
        if low <= high:
            spans.append(Span(low, high, score))
    return spans


def _seconds(number: str) -> float:
    total = 0.0
    for field in number.split(":"):
        total = 60 * total + float(field)
    return total
