import numpy as np
import pytest

from kinema.datasets.mixture import mixture
from kinema.errors import ConfigError
from kinema.processors.messages import Conversation, Message, TextPart


class Says:
    def __init__(self, word: str) -> None:
        self.word = word

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        return Conversation(messages=(Message(role="user", parts=(TextPart(text=self.word),)),))


def words(data, num: int) -> list[str]:
    return [data.sample(i, np.random.default_rng(i)).messages[0].text for i in range(num)]


def test_sources_are_drawn_in_their_shares():
    drawn = words(mixture((Says("often"), 3.0), (Says("rarely"), 1.0)), 400)
    assert 270 < drawn.count("often") < 330


def test_the_same_generator_draws_the_same_sample():
    data = mixture((Says("one"), 1.0), (Says("other"), 1.0))
    assert words(data, 20) == words(data, 20)


def test_a_mixture_needs_sources_with_weight():
    with pytest.raises(ConfigError, match="weights above 0"):
        mixture()
    with pytest.raises(ConfigError, match="weights above 0"):
        mixture((Says("never"), 0.0))
