import shutil

import pytest
import torch

import kinema
from kinema.errors import WeightsError
from kinema.inference.outline import plan_unloaded


@pytest.mark.parametrize("options", [{}, {"max_new_tokens": 7}, {"max_tokens": 12}])
def test_the_forecast_is_that_of_the_loaded_model(checkpoint, clip, options):
    loaded = kinema.load(checkpoint, device="cpu").plan(clip, "What?", **options)
    unloaded = plan_unloaded(checkpoint, clip, "What?", device="cpu", **options)
    ours, theirs = unloaded.to_dict(), loaded.to_dict()
    del ours["free_bytes"], theirs["free_bytes"]
    assert ours == theirs


def test_weights_need_not_be_there(checkpoint, clip, tmp_path):
    folder = shutil.copytree(checkpoint, tmp_path / "settings")
    (folder / "model.safetensors").unlink()
    whole, without = (plan_unloaded(where, clip, "What?", device="cpu") for where in (checkpoint, folder))
    assert without.memory == whole.memory
    assert without.memory.weights > 0


def test_the_dtype_counts(checkpoint, clip):
    single, half = (
        plan_unloaded(checkpoint, clip, "?", device="cpu", dtype=d) for d in ("float32", torch.half)
    )
    assert half.dtype == "float16"
    assert half.memory.weights * 2 == single.memory.weights
    assert half.memory.cache * 2 == single.memory.cache


def test_without_a_question_a_description_is_planned(checkpoint, clip):
    described = plan_unloaded(checkpoint, clip, "Describe the video in detail.", device="cpu")
    assert plan_unloaded(checkpoint, clip, device="cpu").prompt_tokens == described.prompt_tokens


def test_a_model_that_is_not_there_is_told(clip, tmp_path):
    with pytest.raises(WeightsError, match="it holds nothing"):
        plan_unloaded(tmp_path, clip)
