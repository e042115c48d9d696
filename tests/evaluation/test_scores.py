import pytest

from kinema.errors import DataError
from kinema.evaluation.predictions import Prediction, read_predictions, write_predictions
from kinema.evaluation.scores import score, span_overlap


def said(answer: str, truth: str, kind: str = "colour", condition: str = "test") -> Prediction:
    return Prediction(condition=condition, clip="clip 1", kind=kind, question="?", truth=truth, answer=answer)


def test_an_answer_counts_but_for_case_spaces_and_a_full_stop():
    scores = score([said(" Red.", "red"), said("blue", "red"), said("red circle", "red"), said("red", "red")])
    assert scores["test"].accuracy == 0.5
    assert scores["test"].num_questions == 4


def test_kinds_and_conditions_are_scored_apart():
    rows = [said("red", "red"), said("2", "1", kind="count"), said("1", "1", kind="count", condition="blind")]
    scores = score(rows)
    assert scores["test"].by_kind == {"colour": 1.0, "count": 0.0}
    assert scores["test"].counts == {"colour": 1, "count": 1}
    assert scores["blind"].by_kind == {"count": 1.0}
    assert scores["blind"].span_iou is None


@pytest.mark.parametrize(
    ("answer", "overlap"),
    [("1.0-3.0 s", 1.0), ("2.0-4.0 s", 1 / 3), ("4.0-5.0 s", 0.0), ("red", 0.0), ("2.0-3.0 s", 0.5)],
)
def test_spans_are_compared_by_overlap(answer: str, overlap: float):
    assert span_overlap(answer, "1.0-3.0 s") == pytest.approx(overlap)
    assert score([said(answer, "1.0-3.0 s", kind="when")])["test"].span_iou == pytest.approx(overlap)


def test_stored_predictions_come_back_and_a_broken_line_is_named(tmp_path):
    path = tmp_path / "predictions.jsonl"
    rows = [said("red", "red"), said("1.0-2.0 s", "1.0-3.0 s", kind="when")]
    write_predictions(path, rows)
    assert list(read_predictions(path)) == rows
    path.write_text(path.read_text() + '{"answer": "red"}\n')
    with pytest.raises(DataError, match="line 3"):
        list(read_predictions(path))
