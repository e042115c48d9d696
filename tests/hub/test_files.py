import json
import subprocess
import sys
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file

from kinema.errors import WeightsError
from kinema.hub.files import open_checkpoint, read_json
from kinema.hub.write import write_tensors

TENSORS = {"a": torch.arange(4.0), "b": torch.ones(2, 3), "c": torch.zeros(1, dtype=torch.bfloat16)}


def test_shapes_are_known_before_a_tensor_is_read(tmp_path):
    save_file(TENSORS, tmp_path / "model.safetensors")
    files = open_checkpoint(tmp_path)
    assert files.shapes == {"a": (4,), "b": (2, 3), "c": (1,)}
    assert files.read("a").tolist() == [0, 1, 2, 3]
    assert files.read("c").dtype == torch.bfloat16


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_dtypes_are_known_by_the_names_that_torch_has_for_them(tmp_path, name):
    dtypes = [torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.uint8, torch.bool]
    tensors = {str(dtype): torch.zeros(1, dtype=dtype) for dtype in dtypes}
    (save_file if name.endswith(".safetensors") else torch.save)(tensors, tmp_path / name)
    files = open_checkpoint(tmp_path)
    assert {f"torch.{dtype}" for dtype in files.dtypes.values()} == set(files.dtypes)


def test_one_file_is_opened_as_well_as_a_folder(tmp_path):
    save_file(TENSORS, tmp_path / "step.safetensors")
    assert open_checkpoint(tmp_path / "step.safetensors").shapes.keys() == TENSORS.keys()


def test_the_only_file_of_weights_of_a_folder_may_have_any_name(tmp_path):
    torch.save({"module": TENSORS}, tmp_path / "InternVideo2-stage2_1b-224p-f4.pt")
    (tmp_path / "README.md").write_text("# stage 2")
    assert open_checkpoint(tmp_path).shapes.keys() == TENSORS.keys()
    save_file(TENSORS, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"2 files of weights, InternVideo2.*\.pt, other\.safetensors; "):
        open_checkpoint(tmp_path)


def test_shards_are_read_as_one(tmp_path):
    write_tensors(tmp_path, TENSORS.items(), max_shard_bytes=16)
    assert sorted(path.name for path in tmp_path.glob("*.safetensors")) == [
        "model-00001-of-00003.safetensors",
        "model-00002-of-00003.safetensors",
        "model-00003-of-00003.safetensors",
    ]
    files = open_checkpoint(tmp_path)
    for key, tensor in TENSORS.items():
        assert torch.equal(files.read(key), tensor), key


@pytest.mark.parametrize("level", ["module", "model"])
def test_weights_are_found_under_what_a_trainer_put_around_them(tmp_path, level):
    torch.save({level: TENSORS, "epoch": 3, "sizes": {torch.Size([2])}}, tmp_path / "weights.pth")
    files = open_checkpoint(tmp_path / "weights.pth")
    assert files.shapes == {"a": (4,), "b": (2, 3), "c": (1,)}
    assert torch.equal(files.read("b"), TENSORS["b"])


@pytest.mark.parametrize("module", ["easydict", "utils.easydict"])
def test_a_trainers_settings_are_passed_over_without_their_class(tmp_path, monkeypatch, module):
    settings = type("EasyDict", (dict,), {"__module__": module})
    for name in {module, module.split(".")[0]}:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules[module].EasyDict = settings
    record = settings(rate=0.1)
    record.rate = 0.1
    torch.save({"model": TENSORS, "config": record}, tmp_path / "weights.pt")
    monkeypatch.undo()
    assert open_checkpoint(tmp_path / "weights.pt").shapes.keys() == TENSORS.keys()


def test_a_missing_shard_is_named(tmp_path):
    write_tensors(tmp_path, TENSORS.items(), max_shard_bytes=16)
    (tmp_path / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"1 of 3 shards missing: model-00002-of-00003\.safetensors"):
        open_checkpoint(tmp_path)


def test_a_key_that_its_shard_does_not_hold_is_named(tmp_path):
    save_file(TENSORS, tmp_path / "one.safetensors")
    index = {"weight_map": {"a": "one.safetensors", "lost": "one.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(WeightsError, match=r"one\.safetensors: no tensor lost"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("kept", [0, 4, 40, -4])
def test_a_safetensors_file_that_is_cut_off_is_named(tmp_path, kept):
    path = tmp_path / "model.safetensors"
    save_file(TENSORS, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(WeightsError, match=r"model\.safetensors .* no whole safetensors file"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("with_zip", [True, False])
def test_a_pickle_of_tensors_is_read(tmp_path, with_zip):
    torch.save(TENSORS, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=with_zip)
    files = open_checkpoint(tmp_path)
    assert files.shapes["b"] == (2, 3)
    assert torch.equal(files.read("a"), TENSORS["a"])


def test_sharded_pickles_are_read_as_one(tmp_path):
    torch.save({"a": TENSORS["a"]}, tmp_path / "one.bin")
    torch.save({"b": TENSORS["b"]}, tmp_path / "two.bin")
    index = {"weight_map": {"a": "one.bin", "b": "two.bin"}}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    assert open_checkpoint(tmp_path).shapes == {"a": (4,), "b": (2, 3)}


class Stranger:
    pass


def test_a_pickle_with_anything_but_tensors_is_refused(tmp_path):
    torch.save({"a": Stranger()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"Unsupported global: .*Stranger was not an allowed .*runs code"):
        open_checkpoint(tmp_path)
    torch.save({"step": 3}, tmp_path / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="expected a dictionary of tensors"):
        open_checkpoint(tmp_path)


def test_a_pickle_that_is_cut_off_is_named(tmp_path):
    path = tmp_path / "pytorch_model.bin"
    torch.save(TENSORS, path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(WeightsError, match=r"pytorch_model\.bin: not a whole pickle"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("content", [b"version https://git-lfs.github.com/spec/v1", b"<html>", b""])
def test_what_is_no_pickle_at_all_is_told_by_how_it_begins(tmp_path, content):
    (tmp_path / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(
        WeightsError, match=rf"{len(content)} bytes\): no pickle, it begins with b'{content[:9].decode()}"
    ):
        open_checkpoint(tmp_path)


def test_safetensors_are_preferred_to_pickles(tmp_path):
    save_file({"a": TENSORS["a"]}, tmp_path / "model.safetensors")
    torch.save({"z": TENSORS["a"]}, tmp_path / "pytorch_model.bin")
    assert open_checkpoint(tmp_path).shapes.keys() == {"a"}


def test_a_folder_without_weights_says_what_it_holds(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(WeightsError, match=r"it holds notes\.txt"):
        open_checkpoint(tmp_path)
    with pytest.raises(WeightsError, match="no such file or folder"):
        open_checkpoint(tmp_path / "absent")


def test_json_that_is_absent_or_broken_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"config\.json: no such file"):
        read_json(tmp_path / "config.json")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(WeightsError, match=r"config\.json: not JSON"):
        read_json(tmp_path / "config.json")


PEAK_OF_LOADING = """
import sys
from pathlib import Path
import torch
from kinema.hub.files import open_checkpoint
from kinema.hub.keymap import KeyMap, Rename

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024

files = open_checkpoint(Path(sys.argv[1]))
before = peak()
state = KeyMap("toy", (Rename("*", "*"),)).load(files, files.shapes)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
def test_loading_holds_the_model_once_and_one_tensor(tmp_path):
    num_tensors, tensor_bytes = 12, 16 * 2**20
    save_file(
        {str(i): torch.ones(tensor_bytes // 4) for i in range(num_tensors)}, tmp_path / "model.safetensors"
    )
    command = [sys.executable, "-c", PEAK_OF_LOADING, str(tmp_path)]
    grown = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert num_tensors * tensor_bytes <= grown < (num_tensors + 2) * tensor_bytes
