"""Scores of the toybox benchmark, from stored predictions."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from kinema.evaluation.predictions import Prediction
from kinema.inference.spans import parse_spans

SPAN_KIND = "when"
"""The kind whose answers are spans of time."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What one condition reached."""

    num_questions: int
    accuracy: float
    """Share of answers that equal the truth."""
    by_kind: dict[str, float]
    counts: dict[str, int]
    span_iou: float | None
    """Mean overlap of the spans with the true ones, 0 for an answer that is no span; None without spans."""


def score(predictions: Iterable[Prediction]) -> dict[str, Scores]:
    """Scores of each condition, in the order in which they first occur."""
    conditions: dict[str, list[Prediction]] = defaultdict(list)
    for prediction in predictions:
        conditions[prediction.condition].append(prediction)
    return {name: _score(rows) for name, rows in conditions.items()}


def _score(rows: list[Prediction]) -> Scores:
    hits: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        hits[row.kind].append(_plain(row.answer) == _plain(row.truth))
    overlaps = [span_overlap(row.answer, row.truth) for row in rows if row.kind == SPAN_KIND]
    return Scores(
        num_questions=len(rows),
        accuracy=sum(map(sum, hits.values())) / len(rows),
        by_kind={kind: sum(found) / len(found) for kind, found in hits.items()},
        counts={kind: len(found) for kind, found in hits.items()},
        span_iou=sum(overlaps) / len(overlaps) if overlaps else None,
    )


def span_overlap(answer: str, truth: str) -> float:
    """Intersection over union of two spans in words; 0 where the answer is none."""
    given, true = _first_span(answer), _first_span(truth)
    if true is None:
        raise ValueError(f"the true answer {truth!r} is no span.")
    if given is None:
        return 0.0
    shared = min(given[1], true[1]) - max(given[0], true[0])
    return max(0.0, shared) / (max(given[1], true[1]) - min(given[0], true[0]))


def _first_span(text: str) -> tuple[float, float] | None:
    spans = parse_spans(text, score=1.0, start_s=0.0, end_s=math.inf)
    return (spans[0].start_s, spans[0].end_s) if spans else None


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).rstrip(".")
