import pytest
import torch

from kinema.errors import OutOfBudgetError
from kinema.inference.cache import BatchCache, GrowingCache, StaticCache, cache_bytes
from kinema.modules.language.decoder import DecoderConfig

CONFIG = DecoderConfig(
    vocab_size=4,
    hidden_size=2,
    intermediate_size=2,
    num_layers=2,
    num_heads=1,
    num_kv_heads=1,
    head_dim=1,
    max_positions=64,
)


def new(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers)[None, None, :, None]


def read(cache, *numbers: float) -> list[float]:
    """Append numbers to both layers, return all keys of the last."""
    for layer in range(2):
        keys, _ = cache.update(layer, new(*numbers), new(*numbers))
    return keys[0, 0, :, 0].tolist()


@pytest.mark.parametrize(
    "cache", [StaticCache(CONFIG, 4), GrowingCache(CONFIG, 1)], ids=["static", "growing"]
)
def test_a_cache_returns_all_it_was_given_and_can_forget_the_end(cache):
    assert read(cache, 1, 2) == [1, 2]
    assert read(cache, 3) == [1, 2, 3]
    cache.truncate_to(1)
    assert cache.length == 1
    assert read(cache, 4) == [1, 4]


def test_the_length_does_not_change_in_the_middle_of_a_forward_pass():
    cache = StaticCache(CONFIG, 4)
    cache.update(0, new(1), new(1))
    assert cache.length == 0
    cache.update(1, new(1), new(1))
    assert cache.length == 1


def test_a_static_cache_refuses_more_than_it_has_room_for():
    with pytest.raises(OutOfBudgetError, match="2 positions was asked to hold 3"):
        read(StaticCache(CONFIG, 2), 1, 2, 3)


def test_truncating_to_more_than_is_held_is_refused():
    with pytest.raises(ValueError, match="0 positions to 1"):
        StaticCache(CONFIG, 2).truncate_to(1)


def test_a_growing_cache_doubles():
    cache = GrowingCache(CONFIG, 2)
    sizes = []
    for number in range(9):
        read(cache, number)
        sizes.append(cache.capacity)
    assert sizes == [2, 2, 4, 4, 8, 8, 8, 8, 16]


def test_a_fork_goes_its_own_way():
    cache = GrowingCache(CONFIG)
    read(cache, 1, 2)
    fork = cache.fork()
    assert read(fork, 3) == [1, 2, 3]
    assert read(cache, 4) == [1, 2, 4]


def test_the_size_counts_keys_and_values_of_every_layer():
    assert StaticCache(CONFIG, 4).size_bytes == 2 * 2 * 4 * 4
    assert cache_bytes(CONFIG, 4, torch.float32) == 2 * 2 * 4 * 4
    assert cache_bytes(CONFIG, 4, torch.bfloat16) == 2 * 2 * 4 * 2


def test_rows_of_a_batch_end_together_and_hide_what_stands_before_them():
    cache = BatchCache(CONFIG, [1, 3], room=2)
    read(cache.row(0), 5)
    read(cache.row(1), 1, 2, 3)
    assert cache.length == 3
    assert cache.row_mask.tolist() == [[False, False, True, True], [True, True, True, True]]
    for layer in range(2):
        keys, _ = cache.update(layer, torch.tensor([7.0, 8.0])[:, None, None, None], torch.zeros(2, 1, 1, 1))
    assert keys[:, 0, :, 0].tolist() == [[0, 0, 5, 7], [1, 2, 3, 8]]


def test_rows_of_one_length_need_no_mask():
    assert BatchCache(CONFIG, [3, 3], room=1).row_mask is None
