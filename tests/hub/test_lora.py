from collections.abc import Mapping

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from kinema.errors import ConfigError, WeightsError
from kinema.hub.files import TensorFiles, open_checkpoint
from kinema.hub.keymap import KeyMap, Rename
from kinema.hub.lora import LoraConfig, LoraFiles, has_lora, parse_adapter_config

WEIGHT = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])  # (out 2, in 3)
UP, DOWN = torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0, 0.0, 10.0]])  # rank 1
MERGED = torch.tensor([[3.0, 2.0, 23.0], [8.0, 5.0, 46.0]])  # alpha 2: 1 + 2 x 1 x 1, 3 + 2 x 1 x 10, ...
CONFIG = LoraConfig(rank=1, alpha=2)


@pytest.fixture
def files(tmp_path):
    """A function from tensors to an opened file of them."""
    names = iter(range(9))

    def write(tensors: Mapping[str, Tensor]) -> TensorFiles:
        path = tmp_path / f"{next(names)}.safetensors"
        save_file({key: tensor.clone() for key, tensor in tensors.items()}, path)
        return open_checkpoint(path)

    return write


def factors(target: str, adapter: str = "") -> dict[str, Tensor]:
    return {f"{target}.lora_A.{adapter}weight": DOWN, f"{target}.lora_B.{adapter}weight": UP}


@pytest.mark.parametrize(
    "tensors",
    [
        {"base_model.model.x.weight": WEIGHT, **factors("base_model.model.x", "default.")},  # peft 0.4
        {"base_model.model.x.base_layer.weight": WEIGHT, **factors("base_model.model.x", "default.")},
        {"x.weight": WEIGHT, **factors("x")},
    ],
)
def test_updates_are_added_under_old_and_new_names(files, tensors):
    merged = LoraFiles(files(tensors), config=CONFIG)
    assert dict(merged.shapes) == {"x.weight": (2, 3)}
    assert dict(merged.dtypes) == {"x.weight": "float32"}
    assert torch.equal(merged.read("x.weight"), MERGED)


def test_a_prefix_inside_a_name_is_taken_out_and_biases_stay(files):
    peft = "tower.base_model.model."
    tensors = {f"{peft}x.weight": WEIGHT, f"{peft}x.bias": UP[:, 0], "y.weight": DOWN}
    merged = LoraFiles(files(tensors | factors(f"{peft}x", "default.")), config=CONFIG)
    assert torch.equal(merged.read("tower.x.weight"), MERGED)
    assert torch.equal(merged.read("tower.x.bias"), torch.tensor([1.0, 2.0]))
    assert torch.equal(merged.read("y.weight"), DOWN)


def test_an_adapter_in_a_file_of_its_own_and_tensors_that_replace_those_of_the_base(files):
    base = files({"model.x.weight": WEIGHT, "model.connector.weight": UP})
    adapter = files(factors("base_model.model.model.x"))
    others = files({"base_model.model.model.connector.weight": 7 * UP})
    merged = LoraFiles(base, adapter, others, config=CONFIG)
    assert torch.equal(merged.read("model.x.weight"), MERGED)
    assert torch.equal(merged.read("model.connector.weight"), 7 * UP)


def test_weights_keep_their_dtype_and_the_sum_is_made_in_float32(files):
    tensors = {"x.weight": torch.full((1, 1), 256.0), "x.lora_A.weight": torch.ones(1, 1)}
    tensors["x.lora_B.weight"] = torch.full((1, 1), 0.75)
    merged = LoraFiles(files({k: v.bfloat16() for k, v in tensors.items()}), config=CONFIG)
    assert merged.read("x.weight").dtype == torch.bfloat16
    assert merged.read("x.weight").item() == 258.0  # 257.5 rounded once


class CountedReads:
    """A checkpoint that remembers what was read from it."""

    def __init__(self, tensors: Mapping[str, Tensor]):
        self.origin, self.tensors = "memory", tensors
        self.shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
        self.dtypes = {key: str(tensor.dtype).removeprefix("torch.") for key, tensor in tensors.items()}
        self.seen: list[str] = []

    def read(self, key: str) -> Tensor:
        self.seen.append(key)
        return self.tensors[key]


def test_a_weight_and_its_factors_are_read_when_it_is_asked_for_and_no_sooner():
    source = CountedReads({"x.weight": WEIGHT, "y.weight": WEIGHT, **factors("x"), **factors("y")})
    merged = LoraFiles(source, config=CONFIG)
    assert source.seen == []
    merged.read("x.weight")
    assert sorted(source.seen) == ["x.lora_A.weight", "x.lora_B.weight", "x.weight"]


def test_a_key_map_reads_merged_weights_strictly(files):
    source = files({"x.weight": WEIGHT, "left_over": UP, **factors("x")})
    keymap = KeyMap("test", (Rename("x.weight", "ours"),))
    with pytest.raises(WeightsError, match="1 key without a rule: left_over"):
        keymap.load(LoraFiles(source, config=CONFIG), {"ours": (2, 3)})


@pytest.mark.parametrize(("kept", "lacks"), [("A", "lora_B"), ("B", "lora_A")])
def test_a_factor_without_its_partner_is_named(files, kept, lacks):
    factor = f"x.lora_{kept}.default.weight"
    tensors = {"x.weight": WEIGHT, factor: factors("x", "default.")[factor]}
    with pytest.raises(WeightsError, match=rf"{factor} has no {lacks}"):
        LoraFiles(files(tensors), config=CONFIG)


def test_a_factor_without_a_weight_is_named(files):
    with pytest.raises(WeightsError, match=r"y\.lora_A\.weight belongs to y\.weight, which is not there"):
        LoraFiles(files({"x.weight": WEIGHT, **factors("y")}), config=CONFIG)


def test_factors_of_another_rank_than_stated_are_refused(files):
    source = files({"x.weight": WEIGHT, **factors("x")})
    with pytest.raises(WeightsError, match="of rank 2; they do not belong together"):
        LoraFiles(source, config=LoraConfig(rank=2, alpha=2))


def test_factors_of_another_width_are_refused(files):
    with pytest.raises(WeightsError, match=r"x\.weight is \(3, 2\)"):
        LoraFiles(files({"x.weight": WEIGHT.T.contiguous(), **factors("x")}), config=CONFIG)


def test_two_adapters_of_one_weight_are_refused(files):
    tensors = {"x.weight": WEIGHT, **factors("x", "default."), **factors("x", "other.")}
    with pytest.raises(WeightsError, match="update the same weight"):
        LoraFiles(files(tensors), config=CONFIG)


def test_two_keys_of_one_name_are_refused(files):
    tensors = {"x.weight": WEIGHT, "x.base_layer.weight": WEIGHT + 1, **factors("x")}
    with pytest.raises(WeightsError, match=r"are both x\.weight"):
        LoraFiles(files(tensors), config=CONFIG)


def test_factors_are_recognised():
    assert has_lora(["a.weight", "b.lora_A.default.weight"])
    assert not has_lora(["a.weight", "lora_head.weight"])


def test_the_scale_is_alpha_over_rank():
    assert LoraConfig(rank=64, alpha=16).scaling == 0.25
    adapter = {"peft_type": "LORA", "r": 128, "lora_alpha": 256, "use_dora": False, "rank_pattern": {}}
    assert parse_adapter_config(adapter) == LoraConfig(rank=128, alpha=256)


def test_a_rank_of_zero_is_refused():
    with pytest.raises(ConfigError, match="must be 1 or more"):
        LoraConfig(rank=0, alpha=16)


@pytest.mark.parametrize(
    "change", [{"peft_type": "LOHA"}, {"use_rslora": True}, {"rank_pattern": {"x": 2}}, {"r": None}]
)
def test_adapters_that_are_added_in_another_way_are_refused(change):
    adapter = {"peft_type": "LORA", "r": 8, "lora_alpha": 16} | change
    with pytest.raises(WeightsError, match=r"asks for|has no r"):
        parse_adapter_config(adapter)
