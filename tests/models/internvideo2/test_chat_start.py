import pytest
import torch
from small_chat import BRIDGE, write_eyes, write_mistral

from kinema.errors import ConfigError, WeightsError
from kinema.models.decoder_checkpoint import load_decoder
from kinema.models.internvideo2.chat_start import assemble_chat
from kinema.models.internvideo2.vision_checkpoint import load_tower


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    root = tmp_path_factory.mktemp("parts")
    return write_eyes(root / "eyes"), write_mistral(root / "mistral")


def start(eyes, language, seed=0, bridge=BRIDGE):
    return assemble_chat(eyes, language, torch.Generator().manual_seed(seed), bridge=bridge)


def test_a_run_starts_from_published_eyes_and_words_and_a_bridge_of_chance(parts):
    model, eyes, words = start(*parts), load_tower(parts[0]).encoder, load_decoder(parts[1], "mistral")
    assert (model.config.vision.num_frames, eyes.config.num_frames) == (8, 4)
    assert not any(parameter.is_meta for parameter in model.parameters())
    for name in model.vision_encoder.state_dict().keys() - {"positions.video"}:
        assert torch.equal(model.vision_encoder.state_dict()[name], eyes.state_dict()[name]), name
    for name, value in model.language_model.state_dict().items():
        assert torch.equal(value, words.state_dict()[name]), name
    assert torch.equal(start(*parts).connector.queries, model.connector.queries)
    assert not torch.equal(start(*parts, seed=1).connector.queries, model.connector.queries)
    assert 0.01 < model.up_projection.weight.std().item() < 0.03
    assert (model.vision_norm.weight == 1).all()


def test_it_reads_what_leaves_the_last_layer_but_one(parts):
    model, eyes = start(*parts), load_tower(parts[0]).encoder
    assert len(model.vision_encoder.layers) == len(eyes.layers) - 1
    clip = torch.randn(1, 8, 3, 28, 28)
    assert torch.equal(model.vision_encoder(clip), eyes.encode(clip, layer=-2))


def test_parts_that_do_not_fit_are_refused(parts, tmp_path):
    wide = type(BRIDGE)(**{**vars(BRIDGE), "memory_size": 32})
    with pytest.raises(ConfigError, match="memory_size must be 16, got 32"):
        start(*parts, bridge=wide)
    with pytest.raises(WeightsError):
        start(parts[1], parts[0])
