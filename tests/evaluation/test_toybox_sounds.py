import pytest

from kinema.evaluation.toybox_sounds import ask_films, caption_films, score_heard
from kinema.media.audio import read_audio


class Deaf:
    """Says one thing, whatever it is played."""

    def __init__(self, words="A bell is heard."):
        self.words = words
        self.played: list[float | None] = []

    def ask(self, media, question):
        self.played.append(None if media is None else float(abs(read_audio(media).data).max()))
        return self.words


def test_sounds_are_counted_as_often_as_they_are_named():
    scores = score_heard(
        ["A bell, then a bell is heard.", "Nothing is heard."],
        ["A bell, then a hiss is heard.", "A drum is heard."],
    )
    assert scores.exact == 0.0
    assert (scores.precision, scores.recall) == (1 / 2, 1 / 3)
    assert scores.f1 == pytest.approx(0.4)


def test_the_true_captions_are_right_and_nothing_said_scores_nothing():
    true = ["A bell is heard.", "Nothing is heard."]
    assert (score_heard(true, true).exact, score_heard(true, true).f1) == (1.0, 1.0)
    assert score_heard(["", ""], true).f1 == 0.0


def test_films_are_played_from_files_and_blindly_nothing_is():
    listener = Deaf()
    said, true = caption_films(listener, num_films=4)
    _, same = caption_films(listener, num_films=4, hears=False)
    assert true == same
    assert said == ["A bell is heard."] * 4
    loud = [loudest > 0.1 for loudest in listener.played[:4]]
    assert loud == [caption != "Nothing is heard." for caption in true]
    assert set(listener.played[4:]) == {None}


def test_half_of_the_sounds_that_are_asked_for_are_heard():
    assert ask_films(Deaf("yes"), num_films=4) == ask_films(Deaf("no"), num_films=4, hears=False) == 0.5
