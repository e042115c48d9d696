"""A run of two real processes against the same run of one: whole models, sharded ones, batches in parts."""

import pytest
import torch
from processes import two_processes
from shared_captions import UPDATES, train_captions, train_in_each_way

EXACT = ["whole", "in parts", "sharded", "sharded, in parts", "sharded, recomputed"]


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    return two_processes(tmp_path_factory.mktemp("together"), train_in_each_way)


@pytest.fixture(scope="module")
def alone():
    return train_captions()


@pytest.mark.parametrize("way", EXACT)
def test_the_loss_curve_is_that_of_one_process(way, together, alone):
    for found in together:
        torch.testing.assert_close(found[way]["losses"], alone["losses"], atol=1e-5, rtol=0)
    assert alone["losses"][-1] < 0.7 * alone["losses"][0]


@pytest.mark.parametrize("way", EXACT)
def test_the_weights_are_those_of_one_process_and_whole_at_the_end(way, together, alone):
    for found in together:
        for name, value in alone.items():
            torch.testing.assert_close(found[way][name], value, atol=1e-4, rtol=0, msg=name)


def test_sharded_updates_learn_as_whole_ones_do(together):
    alone = train_captions(adapter=UPDATES)
    assert any(".lora_A." in name for name in alone)
    for found in together:
        for name, value in alone.items():
            torch.testing.assert_close(found["sharded, updates"][name], value, atol=1e-4, rtol=0, msg=name)


def test_shards_learn_in_bfloat16_and_are_held_in_float32(together, alone):
    for found in together:
        learned = found["sharded, bfloat16"]
        torch.testing.assert_close(learned["losses"], alone["losses"], atol=0.1, rtol=0)
        assert {value.dtype for value in learned.values()} == {torch.float32}


def test_in_float16_the_first_steps_may_overflow_and_the_others_learn(together):
    one, other = (found["sharded, float16"]["losses"] for found in together)
    assert torch.equal(one, other)
    assert one[-1] < one[0]
