import pytest

from kinema.datasets.check.grounding import misplaced
from kinema.processors.messages import Conversation, Message, TextPart


def answered(text):
    return Conversation(messages=(Message(role="assistant", parts=(TextPart(text=text),)),))


@pytest.mark.parametrize(
    "text",
    [
        "1.0-2.0 s",
        "At 1.0 -2.0 s.",
        "From 3 to 6.4 seconds.",
        "It lasts 12 minutes; hold it for 20 to 30 seconds, and every 40 - 50 s.",
        "Room 70 to 80, then 10 - 20 metres.",
        "<ref>a dog</ref>[[0, 0, 1000, 1000], [56,42,390,484]]",
        "<box>[1, 2, 3, 4]</box> and [[9, 9, 1, 1]] that is no box",
    ],
)
def test_what_is_in_the_clip_and_in_the_picture_is_well(text):
    assert misplaced(answered(text), [6.0]) is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("1.0-7.0 s", "an answer speaks of '1.0-7.0 s', but the clip ends at 6.000 s."),
        ("Between 5 and 4 seconds.", "an answer speaks of '5 and 4 seconds'"),
        ("-1.0-2.0 s", "an answer speaks of '-1.0-2.0 s'"),
        ("From -1 to 2 seconds.", "an answer speaks of '-1 to 2 seconds'"),
        ("Twice: 1s - 2s, 3s to 120s", "'3s to 120s'"),
        ("<ref>a dog</ref>[[0, 0, 1000, 1001]]", "[0, 0, 1000, 1001] is no box"),
        ("<ref>a dog</ref>[[1, 2, 3, 4], [9, 2, 3, 4]]", "[9, 2, 3, 4] is no box"),
        ("<box>[1, 2, 3]</box>", "[1, 2, 3] is no box"),
        ("<ref>a dog</ref>[[-1, 2, 3, 4]]", "[-1, 2, 3, 4] is no box"),
    ],
)
def test_what_is_outside_is_told(text, complaint):
    assert complaint in misplaced(answered(text), [6.0]).complaint


def test_times_are_those_of_the_only_clip_there_is():
    for ends_s in ([], [6.0, 9.0]):
        assert misplaced(answered("1.0-70.0 s"), ends_s) is None
