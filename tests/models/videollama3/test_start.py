import pytest
import torch
from safetensors.torch import load_file
from videollama3_parts import cut_into_parts

from kinema.errors import WeightsError
from kinema.models.videollama3.checkpoint import load, save
from kinema.models.videollama3.keys import Layout
from kinema.models.videollama3.start import start_videollama3


def weights_of(model, part):
    return dict(model.get_submodule(part).state_dict())


def equal(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture
def parts(official_folder, tmp_path):
    return cut_into_parts(official_folder, tmp_path / "parts")


def test_encoder_and_language_model_are_those_of_their_folders(official_folder, parts):
    whole = load(official_folder).model
    started = start_videollama3(*parts, torch.Generator().manual_seed(0)).model
    for part in ("vision_encoder", "language_model"):
        assert equal(weights_of(started, part), weights_of(whole, part))


@pytest.mark.parametrize("layout", list(Layout))
def test_the_encoder_of_a_whole_model_will_do(official_folder, parts, tmp_path, layout):
    whole = load(official_folder)
    save(whole.model, whole.processor, tmp_path / "whole", layout=layout)
    started = start_videollama3(parts[0], tmp_path / "whole", torch.Generator()).model
    assert equal(weights_of(started, "vision_encoder"), weights_of(whole.model, "vision_encoder"))


def test_the_connector_is_drawn_as_torch_draws_linear_layers(parts):
    connector = start_videollama3(*parts, torch.Generator().manual_seed(0)).model.connector
    bound = connector.fc1.in_features**-0.5
    assert bound * 0.9 < connector.fc1.weight.abs().max() <= bound
    again = start_videollama3(*parts, torch.Generator().manual_seed(1)).model.connector
    assert not torch.equal(connector.fc2.bias, again.fc2.bias)


def test_the_vocabulary_gets_the_placeholders_of_the_released_models(official_folder, parts):
    started = start_videollama3(*parts, torch.Generator()).processor.tokenizer
    released = load(official_folder).processor.tokenizer
    for token in ("<image>", "<|stream_start|>", "<|stream_end|>"):
        assert started.backend.token_to_id(token) == released.backend.token_to_id(token)


def test_what_was_started_is_saved_in_the_official_layout(official_folder, parts, tmp_path):
    started = start_videollama3(*parts, torch.Generator())
    save(started.model, started.processor, tmp_path / "saved")
    expected = load_file(official_folder / "model.safetensors").keys()
    assert load_file(tmp_path / "saved" / "model.safetensors").keys() == expected


def test_a_language_model_of_another_kind_is_refused(parts):
    _, vision = parts
    with pytest.raises(WeightsError, match="qwen2"):
        start_videollama3(vision, vision, torch.Generator())
