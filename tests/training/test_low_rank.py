import pytest
import torch
from torch import nn

from kinema.errors import ConfigError
from kinema.hub.lora import LoraConfig
from kinema.modules.encoder import SelfAttention
from kinema.training.low_rank import add_low_rank, merge_low_rank, merged_tensors
from kinema.training.optimizer import OptimizerConfig, build_optimizer

TARGETS = {"*.qkv": 3, "*.out": 1}
CONFIG = LoraConfig(rank=2, alpha=8)


def adapted(dropout: float = 0.0) -> nn.ModuleList:
    torch.manual_seed(0)
    model = nn.ModuleList([SelfAttention(8, 2), SelfAttention(8, 2)])
    add_low_rank(model, TARGETS, CONFIG, dropout=dropout, generator=torch.Generator().manual_seed(0))
    return model


def test_updates_start_at_zero():
    torch.manual_seed(0)
    plain = nn.ModuleList([SelfAttention(8, 2), SelfAttention(8, 2)])
    x = torch.randn(1, 3, 8)
    assert torch.equal(plain[0](x), adapted()[0](x))


def test_query_key_and_value_have_an_update_each():
    low_rank = adapted()[0].qkv.low_rank
    assert low_rank.down.shape == (3, 2, 8)
    assert low_rank.up.shape == (24, 2)
    low_rank.up.data[8:16] = 1.0  # of the key
    changed = low_rank.update().abs().sum(1) > 0
    assert changed.tolist() == [False] * 8 + [True] * 8 + [False] * 8


def test_parts_may_have_different_sizes():
    layer = nn.ModuleList([nn.Linear(4, 8, bias=False)])
    generator = torch.Generator().manual_seed(0)
    add_low_rank(layer, {"0": (4, 2, 2)}, CONFIG, generator=generator)
    low_rank = layer[0].low_rank
    assert low_rank.down.shape == (3, 2, 4)
    low_rank.up.data[4:6] = 1.0
    changed = low_rank.update().abs().sum(1) > 0
    assert changed.tolist() == [False] * 4 + [True] * 2 + [False] * 2
    x = torch.randn(3, 4)
    torch.testing.assert_close(low_rank(x), x @ low_rank.update().T)


def test_an_update_is_alpha_over_r_times_the_product_of_its_factors():
    low_rank = adapted()[0].out.low_rank
    low_rank.down.data.fill_(1.0)
    low_rank.up.data.fill_(1.0)
    assert torch.equal(low_rank.update(), torch.full((8, 8), 4.0 * 2))


def test_only_updates_learn_and_merging_them_changes_no_output():
    model = adapted()
    optimizer = build_optimizer(model, {"*.qkv.low_rank": 0.1, "*.out.low_rank": 0.1}, OptimizerConfig())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x = torch.randn(2, 3, 8)
    for _ in range(3):
        model[1](model[0](x)).square().mean().backward()
        optimizer.step(1.0)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if ".low_rank." in name}
    learned = model[1](model[0](x))
    merged = merged_tensors(model)
    assert merge_low_rank(model) == 4
    assert merged.keys() == model.state_dict().keys()
    assert all(torch.equal(merged[name], value) for name, value in model.state_dict().items())
    assert not any("low_rank" in name for name in model.state_dict())
    torch.testing.assert_close(model[1](model[0](x)), learned)


def test_inputs_are_dropped_in_training_only():
    model = adapted(dropout=0.5)
    model[0].out.low_rank.up.data.fill_(1.0)
    x = torch.randn(1, 3, 8)
    assert not torch.equal(model[0](x), model[0](x))
    model.eval()
    assert torch.equal(model[0](x), model[0](x))


def test_what_is_no_linear_layer_is_refused():
    with pytest.raises(ConfigError, match="must name linear layers; it names nothing"):
        add_low_rank(nn.ModuleList(), {"qkv": 3}, CONFIG, generator=torch.Generator())
    with pytest.raises(ConfigError, match="must name linear layers"):
        add_low_rank(adapted(), {"*": 1}, CONFIG, generator=torch.Generator())
    with pytest.raises(ConfigError, match="not 3 equal parts"):
        add_low_rank(nn.ModuleList([SelfAttention(8, 2)]), {"*.out": 3}, CONFIG, generator=torch.Generator())
    one = nn.ModuleList([SelfAttention(8, 2)])
    with pytest.raises(ConfigError, match=r"parts of \(4, 2\) outputs are not all of 8"):
        add_low_rank(one, {"*.out": (4, 2)}, CONFIG, generator=torch.Generator())
