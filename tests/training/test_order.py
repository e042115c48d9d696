import pytest

from kinema.errors import ConfigError
from kinema.training.order import ByModalityLength, Counted, OneKind, Repeated, Shuffled

VISUAL, TEXT = (10, 11, 12, 13, 30, 31, 32, 33, 5), (-4, -5, -6, -7, -8)


def test_counted_goes_on_without_end():
    assert list(Counted().batch(2, 3)) == [6, 7, 8]


def test_shuffled_shows_every_sample_once_a_round_and_then_anew():
    order = Shuffled(10)
    first = [sample for step in range(5) for sample in order.batch(step, 4)][:10]
    second = [sample for step in range(5) for sample in order.batch(step, 4)][10:]
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert order.batch(1, 4) == Shuffled(10).batch(1, 4)
    assert order.batch(1, 4) != Shuffled(10, seed=7).batch(1, 4)


@pytest.mark.parametrize(
    "order", [Shuffled(99), OneKind((50, 49)), ByModalityLength((1,) * 99, 1), Repeated(Shuffled(99), 2)]
)
def test_another_seed_is_another_order_of_the_same_kind(order):
    again, another = order.with_seed(42), order.with_seed(7)
    assert again == order
    assert type(another) is type(order)
    assert list(another.batch(0, 8)) != list(order.batch(0, 8))


def test_shuffled_may_count_rounds_so_that_a_sample_comes_back_under_another_number():
    counted, plain = Shuffled(10, counts_rounds=True), Shuffled(10)
    assert [number % 10 for number in counted.batch(1, 7)] == plain.batch(1, 7)
    assert counted.batch(0, 10) == plain.batch(0, 10)
    assert sorted(counted.batch(2, 10)) == list(range(20, 30))


def test_batches_are_of_one_modality_but_for_the_last_of_what_is_left():
    order = ByModalityLength(VISUAL + TEXT, num_chunks=2)
    batches = [order.batch(step, 4) for step in range(3)]
    kinds = [{sample < len(VISUAL) for sample in batch} for batch in batches]
    assert sorted(kinds, key=str) == [{False}, {True}, {True}]
    assert len({sample for batch in batches for sample in batch}) == 12


def test_what_is_left_of_both_modalities_makes_a_mixed_batch():
    order = ByModalityLength(VISUAL[:6] + TEXT[:2], num_chunks=1)
    batches = [order.batch(step, 4) for step in range(2)]
    assert {sample < 6 for sample in batches[0]} == {True}
    assert {sample < 6 for sample in batches[1]} == {True, False}
    assert sorted(batches[0] + batches[1]) == list(range(8))


def test_the_chunks_of_a_batch_are_of_like_length():
    order = ByModalityLength((1, 2, 3, 4, 5, 6, 7, 8), num_chunks=2)
    batch = order.batch(0, 8)
    sums = [sum(sample + 1 for sample in batch[:4]), sum(sample + 1 for sample in batch[4:])]
    assert sums == [18, 18]  # dealt from the longest down: 8 5 4 1 and 7 6 3 2


def test_the_next_round_is_shuffled_anew_and_a_step_always_has_the_same():
    order = ByModalityLength(tuple(range(1, 33)), num_chunks=1)
    first, second = ([order.batch(step, 8) for step in range(start, start + 4)] for start in (0, 4))
    for batches in (first, second):
        assert sorted(sample for batch in batches for sample in batch) == list(range(32))
    assert first != second
    assert first[2] == order.batch(2, 8)


def test_lengths_that_make_no_batches_are_refused():
    with pytest.raises(ConfigError, match="a length other than 0"):
        ByModalityLength((3, 0), num_chunks=1)
    with pytest.raises(ConfigError, match="must be a multiple of 3 chunks"):
        ByModalityLength((1, 2, 3, 4), num_chunks=3).batch(0, 4)
    with pytest.raises(ConfigError, match="at most the 2 samples"):
        ByModalityLength((1, 2), num_chunks=1).batch(0, 4)
    with pytest.raises(ConfigError, match="needs samples"):
        Shuffled(0)


def test_every_batch_is_of_one_kind_and_a_round_goes_through_all_of_them():
    order = OneKind((6, 4))
    batches = [sorted(order.batch(step, 2)) for step in range(5)]
    kinds = [{number < 6 for number in batch} for batch in batches]
    assert all(len(kind) == 1 for kind in kinds)
    assert sorted(number for batch in batches for number in batch) == list(range(10))


def test_the_next_round_has_the_same_samples_in_other_batches():
    order = OneKind((6, 4))
    rounds = [[tuple(order.batch(step, 2)) for step in range(first, first + 5)] for first in (0, 5)]
    assert rounds[0] != rounds[1]
    assert sorted(n for batch in rounds[1] for n in batch) == list(range(10))


def test_kinds_that_fill_no_batch_are_refused():
    with pytest.raises(ConfigError, match="fill no batch of 8"):
        OneKind((6, 4)).batch(0, 8)
