"""What a model said, stored before it is scored, so that a score can be computed again without the model."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from kinema.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One question, its true answer, and what the model answered."""

    condition: str
    """Under which the question was asked, such as ``blind``."""
    clip: str
    """What the question is about, in words that find it again."""
    kind: str
    question: str
    truth: str
    answer: str


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write one JSON line a prediction, as they come."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for prediction in predictions:
            file.write(json.dumps(asdict(prediction)) + "\n")


def read_predictions(path: Path) -> Iterator[Prediction]:
    """Read what ``write_predictions`` wrote.

    Raises:
        DataError: if a line is not a prediction; names the file and the line.
    """
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield Prediction(**json.loads(line))
            except (json.JSONDecodeError, TypeError) as error:
                raise DataError(f"{path}, line {number}: not a prediction: {error}") from error
