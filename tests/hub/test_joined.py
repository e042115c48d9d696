import pytest
import torch
from safetensors.torch import save_file

from kinema.errors import WeightsError
from kinema.hub.files import open_checkpoint
from kinema.hub.joined import JoinedFiles, Piece
from kinema.hub.keymap import Ignore


@pytest.fixture
def piece(tmp_path):
    """A function that writes tensors to a file and says which take part."""

    def make(name, tensors, taken, *ignored):
        save_file(tensors, tmp_path / f"{name}.safetensors")
        rules = tuple(Ignore(pattern, "a test") for pattern in ignored)
        return Piece(files=open_checkpoint(tmp_path / f"{name}.safetensors"), taken=taken, ignored=rules)

    return make


def test_parts_get_new_names_and_later_ones_take_their_place(piece):
    base = piece(
        "base", {"a": torch.zeros(2, dtype=torch.float16), "old.b": torch.zeros(1)}, {"": "vision."}, "old.*"
    )
    trained = {"vision.a": torch.ones(2), "temp": torch.ones(1)}
    change = piece("change", trained, {"vision.": "vision.", "temp": "temp"})
    joined = JoinedFiles(base, change)
    assert joined.shapes == {"vision.a": (2,), "temp": (1,)}
    assert joined.dtypes == {"vision.a": "float32", "temp": "float32"}
    assert joined.read("vision.a").tolist() == [1, 1]
    assert joined.origin.endswith("change.safetensors")


def test_what_no_rule_takes_is_named(piece):
    with pytest.raises(WeightsError, match="no rule for b; is it the file that was asked for"):
        JoinedFiles(piece("base", {"a": torch.zeros(1), "b": torch.zeros(1)}, {"a": "a"}))


def test_a_replacement_of_another_shape_is_refused(piece):
    base, change = (piece(name, {"a": torch.zeros(n)}, {"": ""}) for name, n in (("base", 1), ("change", 2)))
    with pytest.raises(WeightsError, match=r"a is \(2,\), but replaces one of \(1,\)"):
        JoinedFiles(base, change)
