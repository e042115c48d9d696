import pytest

from kinema.inference.spans import Span, parse_spans


def seconds(text: str, end_s: float = 100.0) -> list[tuple[float, float]]:
    return [(span.start_s, span.end_s) for span in parse_spans(text, score=1.0, start_s=0.0, end_s=end_s)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.5-4.5 s", [(1.5, 4.5)]),
        ("1.5 s - 4.5 s", [(1.5, 4.5)]),
        ("From 1.5 to 4.5.", [(1.5, 4.5)]),
        ("It starts at 2 seconds to 7 seconds, and again 9 – 11.", [(2, 7), (9, 11)]),
        ("between 3s and 5s", [(3, 5)]),
        ("0:03 to 1:05", [(3, 65)]),
        ("1:00:00.5 - 1:00:01", []),
        ("at 2.5, ending at 4", [(2.5, 4)]),
        ("In 3 scenes: 10, then 20", [(10, 20)]),
        ("4.5-1.5", [(1.5, 4.5)]),
        ("never", []),
        ("7 s", []),
    ],
)
def test_an_answer_is_read_as_spans(text, expected):
    assert seconds(text) == expected


def test_spans_are_clipped_to_what_was_shown():
    assert seconds("5-20, 30-40", end_s=10.0) == [(5, 10)]


def test_a_span_carries_the_score_of_its_answer():
    assert parse_spans("1-2", score=0.5, start_s=0.0, end_s=9.0) == [Span(1.0, 2.0, 0.5)]
