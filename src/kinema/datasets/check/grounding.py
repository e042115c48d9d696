"""Times and boxes that answers speak of, and whether they are in the clip or picture.

Times are seconds in the text, such as "1.0-2.0 s" or "from 3 to 4.5 seconds". Boxes are VideoLLaMA3's:
``<ref>the car</ref>[[56, 42, 390, 484]]``, left, top, right and bottom in thousandths of the picture.
"""

import re

from kinema.datasets.check.media import TOLERANCE_S, Trouble
from kinema.datasets.fault import Fault
from kinema.processors.messages import Conversation

_TIME = r"(\d+(?:\.\d+)?)"
_SPAN = re.compile(rf"{_TIME}\s*(?:s|sec|seconds)?\s*(?:-|–|to|and)\s*{_TIME}\s*(?:s|sec|seconds)\b")
_BOXES = re.compile(r"(?:</ref>|<box>)\s*\[([\d.,\s\[\]-]+)\]")
_BOX = re.compile(r"\[?([^\[\]]+)\]?")
_SIDE = 1000


def misplaced(conversation: Conversation, ends_s: list[float]) -> Trouble | None:
    """The first time or box of an answer that cannot be.

    Args:
        conversation: what is said.
        ends_s: when each video and sound of it ends; times are looked at where there is one.
    """
    for message in conversation.messages:
        if message.role != "assistant":
            continue
        trouble = _wrong_box(message.text)
        if trouble is None and len(ends_s) == 1:
            trouble = _wrong_span(message.text, ends_s[0])
        if trouble is not None:
            return trouble
    return None


def _wrong_span(text: str, end_s: float) -> Trouble | None:
    for found in _SPAN.finditer(text):
        first, last = map(float, found.groups())
        if last < first or last > end_s + TOLERANCE_S:
            complaint = f"an answer speaks of {found[0]!r}, but the clip ends at {end_s:.3f} s."
            return Trouble(Fault.OUTSIDE, complaint)
    return None


def _wrong_box(text: str) -> Trouble | None:
    for found in _BOXES.finditer(text):
        for box in _BOX.findall(found[1]):
            numbers = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", box)]
            if not numbers:
                continue
            if len(numbers) != 4 or not (0 <= numbers[0] < numbers[2] <= _SIDE):
                return _no_box(box)
            if not 0 <= numbers[1] < numbers[3] <= _SIDE:
                return _no_box(box)
    return None


def _no_box(box: str) -> Trouble:
    return Trouble(
        Fault.OUTSIDE,
        f"[{box}] is no box: left, top, right and bottom are thousandths of the picture, 0 to {_SIDE}.",
    )
