import pytest
import torch
from torch import nn

from kinema.errors import ConfigError
from kinema.training.optimizer import OptimizerConfig, build_optimizer


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.ModuleDict(
        {"connector": nn.Linear(2, 3), "language_model": nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 4))}
    )


def test_a_part_that_is_not_named_is_frozen_and_stays_as_it_was():
    parts = model()
    before = parts["language_model"][1].weight.detach().clone()
    optimizer = build_optimizer(parts, {"connector": 1e-1}, OptimizerConfig())
    parts["language_model"][1](parts["connector"](torch.ones(1, 2))).sum().backward()
    optimizer.step(1.0)
    assert torch.equal(parts["language_model"][1].weight, before)
    assert parts["language_model"][1].weight.grad is None


def test_each_part_has_its_rate_and_vectors_do_not_decay():
    config = OptimizerConfig(weight_decay=0.1)
    optimizer = build_optimizer(model(), {"connector": 1e-3, "language_model": 1e-5}, config)
    optimizer.step(0.5)
    groups = [(group["lr"], group["weight_decay"]) for group in optimizer.groups()]
    assert groups == [(5e-4, 0.1), (5e-4, 0.0), (5e-6, 0.1), (5e-6, 0.1), (5e-6, 0.0)]


def test_matrices_that_are_named_do_not_decay():
    config = OptimizerConfig(weight_decay=0.1, undecayed=("language_model.0",))
    groups = list(build_optimizer(model(), {"language_model": 1e-3}, config).groups())
    decays = {tuple(p.shape): group["weight_decay"] for group in groups for p in group["params"]}
    assert decays == {(5, 3): 0.0, (4, 3): 0.1, (4,): 0.0}
    with pytest.raises(ConfigError, match="no part named positions"):
        build_optimizer(model(), {"connector": 1e-3}, OptimizerConfig(undecayed=("positions",)))


def test_muon_moves_hidden_matrices_and_adamw_the_embeddings_and_biases():
    optimizer = build_optimizer(
        model(), {"connector": 1e-3, "language_model": 1e-3}, OptimizerConfig(rule="muon")
    )
    shapes = {
        type(rule).__name__: [tuple(p.shape) for group in rule.param_groups for p in group["params"]]
        for rule in optimizer.optimizers
    }
    assert shapes == {"AdamW": [(3,), (5, 3), (4,)], "Muon": [(3, 2), (4, 3)]}


def test_gradients_are_clipped_to_the_stated_norm():
    parts = model()
    optimizer = build_optimizer(parts, {"connector": 1e-3}, OptimizerConfig(max_grad_norm=0.5))
    (100 * parts["connector"](torch.ones(1, 2)).sum()).backward()
    assert optimizer.step(1.0) == pytest.approx(300.0)  # nine gradients of 100


def test_an_unknown_part_is_named():
    with pytest.raises(ConfigError, match=r"projector.*connector, language_model"):
        build_optimizer(model(), {"projector": 1e-3}, OptimizerConfig())


def test_a_part_of_a_part_is_named_by_its_path():
    whole = nn.Module()
    whole.tower = nn.Module()
    whole.tower.layers = nn.ModuleList(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)) for _ in range(12))
    whole.tower.scale = nn.Parameter(torch.tensor(1.0))
    build_optimizer(whole, {"tower.layers.*.1": 1e-3, "tower.scale": 1e-2}, OptimizerConfig())
    learning = {name for name, parameter in whole.named_parameters() if parameter.requires_grad}
    expected = {f"tower.layers.{index}.1.{kind}" for index in range(12) for kind in ("weight", "bias")}
    assert learning == expected | {"tower.scale"}


def test_a_path_names_whole_steps_only():
    with pytest.raises(ConfigError, match="no part named connect;"):
        build_optimizer(model(), {"connect": 1e-3}, OptimizerConfig())


def test_two_parts_that_share_a_parameter_are_refused():
    with pytest.raises(ConfigError, match=r"connector and connector\.\* share a parameter"):
        build_optimizer(model(), {"connector": 1e-3, "connector.*": 1e-4}, OptimizerConfig())


class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        self.class_token = nn.Parameter(torch.zeros(2))
        self.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
        self.final_norm = nn.LayerNorm(2)


def test_rates_fall_from_layer_to_layer_towards_the_input():
    model = nn.ModuleDict({"encoder": Stack(), "head": nn.Linear(2, 2)})
    config = OptimizerConfig(layer_decay={"encoder": 0.5})
    optimizer = build_optimizer(model, {"encoder": 1.0, "head": 1.0}, config)
    rates = {some: group["peak_lr"] for group in optimizer.groups() for some in group["params"]}
    found = {name: rates[some] for name, some in model.named_parameters()}
    assert found["head.weight"] == found["encoder.final_norm.weight"] == 1.0
    assert [found[f"encoder.layers.{number}.weight"] for number in range(3)] == [0.125, 0.25, 0.5]
    assert found["encoder.class_token"] == 0.0625


@pytest.mark.parametrize(
    ("part", "message"),
    [("head", "head has no layers of its own"), ("encoder", "names encoder, for which there is no rate")],
)
def test_what_is_no_stack_or_does_not_learn_has_no_decay(part, message):
    model = nn.ModuleDict({"encoder": Stack(), "head": nn.Linear(2, 2)})
    with pytest.raises(ConfigError, match=message):
        build_optimizer(model, {"head": 1.0}, OptimizerConfig(layer_decay={part: 0.5}))
