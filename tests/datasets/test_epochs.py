from collections import Counter

import numpy as np
import pytest
from counted_words import CountedWords, word

from kinema.datasets.epochs import by_epochs
from kinema.datasets.mixture import mixture
from kinema.errors import ConfigError
from kinema.training.order import Shuffled


def seen(data) -> Counter[str]:
    return Counter(word(data, index) for index in range(len(data)))


def test_each_source_is_seen_for_its_own_epochs():
    counts = seen(by_epochs((CountedWords("photo", 10), 1), (CountedWords("film", 3), 2)))
    assert counts == {f"photo{i}": 1 for i in range(10)} | {f"film{i}": 2 for i in range(3)}


def test_half_an_epoch_is_a_random_half():
    data = by_epochs((CountedWords("film", 10), 1.5))
    counts = sorted(seen(data).values())
    assert counts == [1] * 5 + [2] * 5
    twice = {name for name, count in seen(data).items() if count == 2}
    assert twice != {f"film{i}" for i in range(5)}
    other = by_epochs((CountedWords("film", 10), 1.5), seed=1)
    assert twice != {name for name, count in seen(other).items() if count == 2}


def test_steps_of_a_shuffled_order_see_every_sample_and_mix_sources():
    data = by_epochs((CountedWords("photo", 12), 1), (CountedWords("film", 6), 2))
    order = Shuffled(len(data))
    batches = [[word(data, index) for index in order.batch(step, 6)] for step in range(len(data) // 6)]
    assert Counter(name for batch in batches for name in batch) == seen(data)
    kinds = [{name.rstrip("0123456789") for name in batch} for batch in batches]
    assert {"photo", "film"} in kinds


def test_shares_are_read_off_the_weights():
    data = by_epochs((CountedWords("photo", 10), 1), (CountedWords("film", 3), 2))
    assert [weight for _, weight in data.parts] == [10, 6]
    assert len(data) == 16


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(ConfigError, match=r"0\.01 epochs of 10 samples"):
        by_epochs((CountedWords("photo", 10), 0.01))
    with pytest.raises(ConfigError, match="whole numbers of samples"):
        type(by_epochs((CountedWords("photo", 10), 1)))(parts=((CountedWords("photo", 10), 0.5),))


def test_it_is_the_same_sample_whichever_way_it_is_come_by():
    data = by_epochs((CountedWords("photo", 10), 3))
    assert word(data, 25) == data.sample(25, np.random.default_rng(1)).messages[0].text
    assert word(mixture((data, 1.0)), 25) == word(data, 25)
