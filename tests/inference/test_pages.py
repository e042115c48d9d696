import copy
import sys

import pytest
import torch
from torch import nn

from kinema.inference.pages import on_huge_pages


def tied_model(dtype=torch.float32) -> nn.Sequential:
    """An odd number of weights, and two layers that share theirs."""
    model = nn.Sequential(nn.Embedding(7, 5), nn.Linear(5, 3), nn.Linear(5, 7, bias=False)).to(dtype)
    model[2].weight = model[0].weight
    return model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_that_are_moved_are_the_same_and_shared_ones_stay_shared(dtype):
    model = tied_model(dtype)
    before = copy.deepcopy(model.state_dict())
    assert on_huge_pages(model) is model
    assert model[2].weight is model[0].weight
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.skipif(sys.platform != "linux", reason="huge pages are asked for on Linux only")
def test_weights_lie_in_one_block_and_begin_at_cache_lines():
    model = on_huge_pages(tied_model())
    starts = [weight.data_ptr() for weight in model.parameters()]
    assert [start - starts[0] for start in starts] == [0, 192, 256]  # 140 bytes and 60, to lines of 64
    assert all(start % 64 == 0 for start in starts)


def test_weights_that_were_moved_can_be_trained():
    model = on_huge_pages(nn.Linear(2, 1, bias=False))
    model(torch.ones(1, 2)).sum().backward()
    before = model.weight.detach().clone()
    torch.optim.SGD(model.parameters(), lr=1.0).step()
    assert torch.equal(model.weight, before - 1)


def test_a_model_without_memory_is_left_alone():
    model = nn.Linear(2, 1, device="meta")
    assert on_huge_pages(model).weight.is_meta
