from collections import Counter

import pytest
from counted_words import CountedWords, word

from kinema.datasets.dealt import dealt
from kinema.errors import ConfigError


def words(data, first: int, count: int) -> list[str]:
    return [word(data, index) for index in range(first, first + count)]


def test_every_block_has_the_exact_shares():
    data = dealt((CountedWords("photo", 1000), 3.0), (CountedWords("film", 1000), 1.0), block=8)
    for block in range(3):
        kinds = Counter(name.rstrip("0123456789") for name in words(data, 8 * block, 8))
        assert kinds == {"photo": 6, "film": 2}


def test_a_finite_source_gives_all_its_samples_before_one_comes_again():
    data = dealt((CountedWords("photo", 5), 1.0), (CountedWords("film", 7), 1.0), block=10)
    photos = [name for name in words(data, 0, 40) if name.startswith("photo")]
    rounds = [photos[first : first + 5] for first in range(0, 20, 5)]
    assert all(sorted(names) == [f"photo{i}" for i in range(5)] for names in rounds)
    assert rounds[0] != rounds[1]


def test_a_number_is_a_sample_whatever_came_before():
    data = dealt((CountedWords("photo", 5), 1.0), (CountedWords("film", 7), 2.0), block=9)
    in_order = words(data, 0, 36)
    assert [word(data, index) for index in (35, 4, 35)] == [in_order[35], in_order[4], in_order[35]]


def test_a_source_too_rare_for_a_block_is_refused():
    with pytest.raises(ConfigError, match="make the block larger"):
        dealt((CountedWords("photo", 5), 100.0), (CountedWords("film", 5), 1.0), block=10)
