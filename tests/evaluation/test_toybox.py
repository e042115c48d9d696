"""What each condition of the toybox benchmark shows and changes."""

from pathlib import Path
from typing import Any

import pytest

from kinema.errors import ConfigError
from kinema.evaluation.toybox import CONDITIONS, Condition, predict_toybox
from kinema.media.video import open_video


class Parrot:
    """A model that answers with the size of what it sees, and notes how it was set."""

    def __init__(self, settings: dict[str, Any] | None = None) -> None:
        self.settings = settings if settings is not None else {}
        self.size = "nothing"

    def with_settings(self, **changes: Any) -> "Parrot":
        self.settings.update(changes)
        return Parrot(self.settings)

    def session(self, media: Path | None) -> "Parrot":
        if media is not None:
            with open_video(media) as video:
                height, width = video.read(max_frames=1).data.shape[1:3]
            self.size = f"{height}x{width}"
        return self

    def ask(self, question: str) -> str:
        return self.size

    def forget(self) -> None: ...

    def close(self) -> None: ...


def test_clips_are_files_of_the_sizes_of_the_condition_in_turn():
    condition = Condition(name="sizes", sizes=((96, 96), (120, 214)))
    rows = list(predict_toybox(Parrot(), condition, num_clips=3, questions_per_clip=1))
    assert [row.answer for row in rows] == ["96x96", "120x214", "96x96"]


def test_who_is_blind_is_asked_the_same_and_sees_nothing():
    seeing, blind = (Condition(name="clips", sees=sees) for sees in (True, False))
    asked, asked_blindly = (
        list(predict_toybox(Parrot(), condition, num_clips=2)) for condition in (seeing, blind)
    )
    assert [row.question for row in asked] == [row.question for row in asked_blindly]
    assert {row.answer for row in asked_blindly} == {"nothing"}


def test_a_condition_changes_the_processor_for_itself_only():
    (condition,) = (condition for condition in CONDITIONS if condition.name == "no pruning")
    parrot = Parrot()
    list(predict_toybox(parrot, condition, num_clips=1, questions_per_clip=1))
    assert parrot.settings.keys() == {"pruning"}
    assert parrot.size == "nothing"


@pytest.mark.parametrize("numbers", [{"num_clips": 0}, {"questions_per_clip": 0}])
def test_nothing_to_ask_is_told(numbers):
    with pytest.raises(ConfigError, match="must be 1 or more"):
        list(predict_toybox(Parrot(), CONDITIONS[0], **numbers))
