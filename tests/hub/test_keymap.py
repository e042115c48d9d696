from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from kinema.errors import WeightsError
from kinema.hub.files import TensorFiles, open_checkpoint
from kinema.hub.keymap import Fuse, Ignore, KeyMap, Rename, Reorder, Reshape, Split, Tied, Unsqueeze

LAYOUT = KeyMap(
    "toy",
    (
        Rename("block.*.norm.weight", "layers.*.norm.weight"),
        Fuse(("block.*.q", "block.*.k"), "layers.*.qk", rows=(2, 1)),
        Reshape("patch.weight", "patch.weight", their_columns=(2, 2)),
        Unsqueeze("table", "table", num_ones=2),
        Split("up_and_gate", ("up", "gate")),
        Ignore("old.*", reason="a test"),
        Tied("copy", same_as="patch.weight"),
    ),
)
SHAPES = {
    "layers.0.norm.weight": (3,),
    "layers.0.qk": (3, 1),
    "patch.weight": (2, 4),
    "table": (3,),
    "up": (1, 1),
    "gate": (2, 1),
}


def their_tensors() -> dict[str, torch.Tensor]:
    return {
        "block.0.norm.weight": torch.tensor([1.0, 2.0, 3.0]),
        "block.0.q": torch.tensor([[1.0], [2.0]]),
        "block.0.k": torch.tensor([[3.0]]),
        "patch.weight": torch.arange(8.0).reshape(2, 2, 2),
        "table": torch.tensor([[[4.0, 5.0, 6.0]]]),
        "up_and_gate": torch.tensor([[7.0], [8.0], [9.0]]),
    }


def files_of(folder: Path, tensors: dict[str, torch.Tensor]) -> TensorFiles:
    save_file(tensors, folder / "model.safetensors")
    return open_checkpoint(folder)


def test_rows_are_fused_split_and_reshaped_in_order(tmp_path):
    state = LAYOUT.load(files_of(tmp_path, their_tensors()), SHAPES)
    assert state["layers.0.norm.weight"].tolist() == [1, 2, 3]
    assert state["layers.0.qk"].tolist() == [[1], [2], [3]]
    assert state["patch.weight"].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert state["table"].tolist() == [4, 5, 6]
    assert state["up"].tolist() == [[7]]
    assert state["gate"].tolist() == [[8], [9]]


def test_what_was_loaded_is_exported_as_it_was(tmp_path):
    theirs = their_tensors()
    exported = dict(LAYOUT.export(LAYOUT.load(files_of(tmp_path, theirs), SHAPES)))
    assert exported.keys() == theirs.keys()
    for key, tensor in theirs.items():
        assert torch.equal(exported[key], tensor), key


def test_rows_come_in_another_order_and_go_back_into_it(tmp_path):
    heads = Reorder("groups", "heads", blocks=(slice(0, 2), slice(4, 5), slice(2, 4), slice(5, 6)))
    layout, theirs = KeyMap("toy", (heads,)), {"groups": torch.tensor([1, 2, 5, 3, 4, 6])}
    state = layout.load(files_of(tmp_path, theirs), {"heads": (6,)})
    assert state["heads"].tolist() == [1, 2, 3, 4, 5, 6]
    assert dict(layout.export(state))["groups"].tolist() == [1, 2, 5, 3, 4, 6]
    with pytest.raises(WeightsError, match="heads has 7 rows, but its rule orders 6"):
        layout.inventory({"heads": (7,)})


def test_a_star_stands_for_one_part_of_a_name_only():
    twelve = {"layers.12.norm.weight": (3,)}
    assert LAYOUT.inventory(twelve).keys() == {"block.12.norm.weight"}
    with pytest.raises(WeightsError, match=r"no rule for 1 parameter of the model: layers\.1\.2\."):
        LAYOUT.inventory({"layers.1.2.norm.weight": (3,)})


def test_a_cast_changes_the_dtype_of_every_tensor(tmp_path):
    state = LAYOUT.load(files_of(tmp_path, their_tensors()), SHAPES, dtype=torch.bfloat16)
    assert {tensor.dtype for tensor in state.values()} == {torch.bfloat16}


def test_a_missing_key_fails_by_name(tmp_path):
    theirs = their_tensors()
    del theirs["block.0.k"]
    with pytest.raises(WeightsError, match=r"1 key missing: block\.0\.k\."):
        LAYOUT.load(files_of(tmp_path, theirs), SHAPES)


def test_a_key_without_a_rule_fails_by_name(tmp_path):
    theirs = their_tensors() | {"block.1.q": torch.zeros(2, 1)}
    with pytest.raises(WeightsError, match=r"1 key without a rule: block\.1\.q\."):
        LAYOUT.load(files_of(tmp_path, theirs), SHAPES)


def test_another_shape_fails_with_what_was_found_and_what_was_expected(tmp_path):
    theirs = their_tensors() | {"block.0.q": torch.zeros(4, 1)}
    with pytest.raises(WeightsError, match=r"block\.0\.q is \(4, 1\), expected \(2, 1\)"):
        LAYOUT.load(files_of(tmp_path, theirs), SHAPES)


def test_a_long_list_of_keys_is_cut_to_what_one_can_read(tmp_path):
    theirs = their_tensors() | {f"extra.{i}": torch.zeros(1) for i in range(9)}
    with pytest.raises(WeightsError, match=r"9 keys without a rule: .* and 3 more\."):
        LAYOUT.load(files_of(tmp_path, theirs), SHAPES)


def test_an_ignored_key_is_neither_loaded_nor_missed(tmp_path):
    theirs = their_tensors() | {"old.head": torch.zeros(5)}
    assert LAYOUT.load(files_of(tmp_path, theirs), SHAPES).keys() == SHAPES.keys()


def test_a_tied_copy_must_equal_what_it_is_tied_to(tmp_path):
    theirs = their_tensors()
    theirs["copy"] = theirs["patch.weight"].clone()
    assert LAYOUT.load(files_of(tmp_path, theirs), SHAPES).keys() == SHAPES.keys()
    theirs["copy"][0, 0, 0] = 1.0
    with pytest.raises(WeightsError, match=r"copy differs from patch\.weight"):
        LAYOUT.load(files_of(tmp_path, theirs), SHAPES)


def test_tensors_of_two_dtypes_are_fused_only_when_one_is_named(tmp_path):
    theirs = their_tensors()
    theirs["block.0.k"] = theirs["block.0.k"].half()
    with pytest.raises(WeightsError, match=r"block\.0\.k is torch\.float16, fused with torch\.float32"):
        LAYOUT.load(files_of(tmp_path, theirs), SHAPES)
    assert LAYOUT.load(files_of(tmp_path, theirs), SHAPES, dtype=torch.float32)["layers.0.qk"].tolist() == [
        [1],
        [2],
        [3],
    ]


def test_a_fused_rule_that_does_not_cover_our_rows_is_refused():
    with pytest.raises(WeightsError, match=r"layers\.0\.qk has 5 rows, but its rule fuses \(2, 1\)"):
        LAYOUT.inventory({"layers.0.qk": (5, 1)})


def test_two_rules_for_one_key_are_refused():
    doubled = KeyMap("doubled", (Rename("a", "x"), Rename("a", "y")))
    with pytest.raises(WeightsError, match="two rules claim a"):
        doubled.inventory({"x": (1,), "y": (1,)})


def test_a_scalar_is_carried_over(tmp_path):
    scale = KeyMap("scale", (Rename("logit_scale", "temperature"),))
    state = scale.load(files_of(tmp_path, {"logit_scale": torch.tensor(4.6)}), {"temperature": ()})
    assert state["temperature"].item() == pytest.approx(4.6)


def test_a_copy_is_written_where_files_of_the_layout_hold_it():
    state = {"embed.weight": torch.ones(2, 3)}
    rules = (
        Rename("wte", "embed.weight"),
        Tied("head", same_as="wte", is_written=True),
        Tied("old", same_as="wte"),
    )
    written = dict(KeyMap("test", rules).export(state))
    assert list(written) == ["wte", "head"]
    assert torch.equal(written["head"], torch.ones(2, 3))
