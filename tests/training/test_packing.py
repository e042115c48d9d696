import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kinema.errors import ConfigError, InputError
from kinema.processors.collate import Sample
from kinema.training.packing import Packing, first_fit_decreasing


def sample(visual: str, labels: list[int] | None = None) -> Sample:
    """A token a letter, ``v`` for a placeholder, labelled where nothing else is said."""
    mask = torch.tensor([letter == "v" for letter in visual])
    ids = torch.arange(len(visual))
    return Sample(
        input_ids=ids,
        visual_mask=mask,
        labels=ids if labels is None else torch.tensor(labels),
        visual=Features(int(mask.sum())) if mask.any() else None,
    )


class Features:
    def __init__(self, num_tokens: int) -> None:
        self.num_tokens = num_tokens


def test_the_longest_go_first_each_into_the_first_row_with_room():
    assert first_fit_decreasing([2, 5, 3, 4, 1], 6) == [[1, 4], [3, 0], [2]]


def test_equal_lengths_keep_their_order():
    assert first_fit_decreasing([3, 3, 3], 6) == [[0, 1], [2]]


@given(lengths=st.lists(st.integers(1, 20), max_size=30))
def test_everything_is_packed_once_and_no_row_is_too_long(lengths):
    rows = first_fit_decreasing(lengths, 20)
    assert sorted(place for row in rows for place in row) == list(range(len(lengths)))
    assert all(sum(lengths[place] for place in row) <= 20 for row in rows)
    assert len(rows) <= 2 * sum(lengths) / 20 + 1


def test_rows_hold_samples():
    short, long = sample("tt"), sample("tttt")
    assert Packing(max_tokens=6).rows([short, long]) == [[long, short]]


def test_what_fits_is_left_alone():
    whole = sample("tvvt")
    assert Packing(max_tokens=4).fit(whole) is whole


def test_a_long_sample_loses_text_at_its_end():
    cut = Packing(max_tokens=4).fit(sample("tvvttt"))
    assert cut.is_cut
    assert cut.input_ids.tolist() == cut.labels.tolist() == [0, 1, 2, 3]
    assert cut.visual_mask.tolist() == [False, True, True, False]


@pytest.mark.parametrize("shown", ["tvvvvt", "ttttvt", "tvttvt"])
def test_a_cut_never_goes_through_what_is_seen_nor_before_it(shown):
    with pytest.raises(InputError, match="a sample of 6 tokens does not fit a pack of 4 without a cut"):
        Packing(max_tokens=4).fit(sample(shown))


def test_a_sample_without_a_label_before_the_cut_is_bad():
    with pytest.raises(InputError, match="has no label among its first 2"):
        Packing(max_tokens=2).fit(sample("tttt", labels=[-100, -100, 2, 3]))


def test_a_row_holds_at_least_a_token():
    with pytest.raises(ConfigError, match="got 0"):
        Packing(max_tokens=0)
