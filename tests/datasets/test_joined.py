import numpy as np
import pytest

from kinema.datasets.joined import Joined
from kinema.errors import ConfigError
from kinema.processors.messages import Conversation, Message, TextPart


class Named:
    """Samples that say where they come from."""

    def __init__(self, name):
        self.name = name

    def sample(self, index, rng):
        text = TextPart(text=f"{self.name}{index}")
        return Conversation(messages=(Message(role="user", parts=(text,)),))


def test_numbers_go_through_one_source_after_the_other_and_begin_again():
    joined = Joined(parts=((Named("a"), 2), (Named("b"), 3)))
    rng = np.random.default_rng(0)
    said = [joined.sample(index, rng).messages[0].text for index in range(6)]
    assert said == ["a0", "a1", "b0", "b1", "b2", "a0"]
    assert joined.counts == (2, 3)


def test_a_source_without_samples_is_refused():
    with pytest.raises(ConfigError, match="need samples"):
        Joined(parts=((Named("a"), 0),))
