import pytest
from command_line import run
from safetensors.torch import load_file

from kinema.models.registry import named_models


def test_models_lists_what_is_known_to_load():
    printed, listed = run("models").stdout, run("models", "--json").document["models"]
    assert [model["name"] for model in listed] == [model.name for model in named_models()]
    for model in listed:
        assert model["name"] in printed
        assert model["bf16_bytes"] == 2 * model["num_parameters"]
    assert "3.92 GB" in printed


def test_convert_writes_another_layout_and_back(model_folder, tmp_path):
    there = run("convert", model_folder, tmp_path / "there", "--layout", "transformers", "--json")
    assert there.exit_code == 0
    assert there.document["layout"] == "transformers"
    assert there.document["size_bytes"]["model.safetensors"] > 1_000_000
    back = run("convert", tmp_path / "there", tmp_path / "back", "--layout", "official")
    assert "model.safetensors" in back.stdout
    ours, theirs = (load_file(path / "model.safetensors") for path in (model_folder, tmp_path / "back"))
    assert ours.keys() == theirs.keys()
    assert all(ours[key].equal(theirs[key]) for key in ours)


def test_convert_casts(model_folder, tmp_path):
    run("convert", model_folder, tmp_path / "half", "--layout", "official", "--dtype", "bfloat16")
    tensors = load_file(tmp_path / "half" / "model.safetensors")
    assert {str(tensor.dtype) for tensor in tensors.values()} == {"torch.bfloat16"}


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (["nowhere", "OUT", "--layout", "official"], 4, "neither a folder nor a hub id"),
        (["MODEL", "MODEL", "--layout", "official"], 4, "MODEL"),
        (["MODEL", "OUT", "--layout", "other"], 2, "other"),
    ],
)
def test_convert_refuses(arguments, exit_code, said, model_folder, tmp_path):
    places = {"MODEL": str(model_folder), "OUT": str(tmp_path / "out")}
    outcome = run("convert", *(places.get(argument, argument) for argument in arguments))
    assert outcome.exit_code == exit_code
    assert places.get(said, said) in outcome.stderr
