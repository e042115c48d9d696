import json

import pytest
import torch
from safetensors.torch import save_file

from kinema.errors import WeightsError
from kinema.hub.files import open_checkpoint
from kinema.hub.write import new_folder, write_tensors


def test_small_checkpoints_are_one_file_without_an_index(tmp_path):
    write_tensors(tmp_path, [("a", torch.ones(2))])
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_the_index_says_where_each_key_lies_and_how_large_all_are(tmp_path):
    tensors = [(key, torch.ones(2)) for key in "abc"]
    write_tensors(tmp_path, tensors, max_shard_bytes=16)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    first, second = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    assert index == {"metadata": {"total_size": 24}, "weight_map": {"a": first, "b": first, "c": second}}


def test_rows_of_one_tensor_are_written_apart(tmp_path):
    fused = torch.arange(6.0).reshape(3, 2)
    write_tensors(tmp_path, [("q", fused[:2]), ("k", fused[2:])])
    files = open_checkpoint(tmp_path)
    assert files.read("q").tolist() == [[0, 1], [2, 3]]
    assert files.read("k").tolist() == [[4, 5]]


def test_what_two_keys_share_is_written_under_both(tmp_path):
    shared = torch.arange(6.0).reshape(3, 2)
    write_tensors(tmp_path, [("a", shared), ("b", shared), ("first row of c", shared[:1])])
    files = open_checkpoint(tmp_path)
    assert files.read("a").tolist() == files.read("b").tolist() == [[0, 1], [2, 3], [4, 5]]
    assert files.read("first row of c").tolist() == [[0, 1]]


def test_a_folder_appears_only_when_all_of_it_is_written(tmp_path):
    target = tmp_path / "runs" / "step-1"
    with new_folder(target) as folder:
        (folder / "config.json").write_text("{}")
        assert not target.exists()
    assert [path.name for path in target.iterdir()] == ["config.json"]
    assert [path.name for path in target.parent.iterdir()] == ["step-1"]


def test_nothing_is_left_of_a_folder_whose_writing_failed(tmp_path):
    def write_half(target):
        with new_folder(target) as folder:
            (folder / "config.json").write_text("{}")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_never_written_into(tmp_path):
    (tmp_path / "precious.txt").write_text("")
    with pytest.raises(WeightsError, match="not empty"), new_folder(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_weights_that_cannot_be_written_are_told_and_leave_nothing(tmp_path):
    said = r"model could not be written: .*Make room"
    with pytest.raises(WeightsError, match=said), new_folder(tmp_path / "model") as folder:
        save_file({"weight": torch.zeros(4)}, folder / "none" / "weights.safetensors")
    assert list(tmp_path.iterdir()) == []
