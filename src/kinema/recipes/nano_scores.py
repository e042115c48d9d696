"""How the nano models that answer are scored: on held-out clips of the toybox, and without seeing them."""

from collections.abc import Iterator
from pathlib import Path

from kinema.evaluation.scores import score
from kinema.evaluation.toybox import CONDITIONS, predict_toybox
from kinema.inference.engine import VideoLanguageModel
from kinema.inference.load import load


def nano_score_lines(folder: Path, num_clips: int) -> Iterator[str]:
    """Exact answers of a model in a folder, a line for what it sees and one for what it guesses blind."""
    model = load(folder)
    assert isinstance(model, VideoLanguageModel)
    conditions = [condition for condition in CONDITIONS if condition.name in ("test", "blind")]
    predictions = [
        answer for condition in conditions for answer in predict_toybox(model, condition, num_clips=num_clips)
    ]
    for name, scores in score(predictions).items():
        kinds = "  ".join(f"{kind} {share:.0%}" for kind, share in sorted(scores.by_kind.items()))
        yield f"{name:6} {scores.accuracy:.1%} of {scores.num_questions} questions: {kinds}"
