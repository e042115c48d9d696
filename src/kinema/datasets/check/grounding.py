"""Times and boxes that answers speak of, and whether they are in the clip or picture.

Times are seconds in the text, such as "1.0-2.0 s" or "from 3 to 4.5 seconds", but not "for 20 to 30 seconds",
which says how long something takes. Boxes are VideoLLaMA3's:
``<ref>the car</ref>[[56, 42, 390, 484]]``, left, top, right and bottom in thousandths of the picture.
"""

import re

from kinema.datasets.check.media import TOLERANCE_S, Trouble
from kinema.datasets.fault import Fault
from kinema.processors.messages import Conversation

_TIME = r"((?:(?<!\S)-)?\d+(?:\.\d+)?)"
_UNIT = r"\s*(?:s|sec|seconds)"
_SPAN = re.compile(
    rf"(?<!for )(?<!every )(?<!another )(?<![\d.]){_TIME}(?:{_UNIT})?\s*(?:-|–|to|and)\s*{_TIME}{_UNIT}\b"
)
_BOXES = re.compile(r"(?:</ref>|<box>)\s*\[([\d.,\s\[\]-]+)\]")
_BOX = re.compile(r"\[?([^\[\]]+)\]?")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
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
        if first < 0 or last < first or last > end_s + TOLERANCE_S:
            complaint = f"an answer speaks of {found[0]!r}, but the clip ends at {end_s:.3f} s."
            return Trouble(Fault.OUTSIDE, complaint)
    return None


def _wrong_box(text: str) -> Trouble | None:
    for found in _BOXES.finditer(text):
        for box in _BOX.findall(found[1]):
            sides = [float(number) for number in _NUMBER.findall(box)]
            if sides and not _is_box(sides):
                return Trouble(
                    Fault.OUTSIDE,
                    f"[{box}] is no box: left, top, right and bottom are thousandths of the picture.",
                )
    return None


def _is_box(sides: list[float]) -> bool:
    if len(sides) != 4:
        return False
    left, top, right, bottom = sides
    return 0 <= left < right <= _SIDE and 0 <= top < bottom <= _SIDE
