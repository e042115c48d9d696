import pytest
import torch
from golden_case import GoldenCase
from golden_stage2 import beats_config
from safetensors.torch import save_file

from kinema.errors import ConfigError, InputError, WeightsError
from kinema.hub.files import open_checkpoint
from kinema.hub.keymap import KeyMap
from kinema.models.beats_keys import beats_rules
from kinema.modules.audio.beats import BEATs, BEATsConfig, distance_buckets, token_padding
from kinema.processors.beats_features import BEATsFeaturesConfig, normalised_fbank


def keymap_of(config):
    return KeyMap("BEATs", beats_rules(config, theirs="", ours=""))


@pytest.fixture(scope="module")
def case(golden_dir):
    return GoldenCase(golden_dir / "internvideo2/D_beats_encoder")


@pytest.fixture(scope="module")
def encoder(case):
    config = beats_config(case.config["beats"])
    with torch.device("meta"):
        encoder = BEATs(config)
    keymap_of(config).load_into(encoder, open_checkpoint(case.folder / "weights.safetensors"))
    return encoder.eval()


@torch.no_grad()
@pytest.mark.parametrize("name", ["fbank", "fbank_short"])
def test_patches_and_features_equal_the_original(case, encoder, name):
    features = case.inputs[name]
    patches = encoder.embed(features)
    case.check(patches, f"{name}.patch_tokens")
    case.check(encoder.patch_projection(patches), f"{name}.encoder_input")
    case.check(encoder(features), f"{name}.features")


@torch.no_grad()
def test_every_hidden_state_equals_the_original(case, encoder):
    states = list(encoder.hidden_states(case.inputs["fbank_short"]))
    assert f"fbank_short.hidden.{len(states)}" not in case.outputs
    for index, state in enumerate(states):
        case.check(state, f"fbank_short.hidden.{index}")


@torch.no_grad()
def test_the_route_from_a_padded_waveform_through_128_bins_equals_the_original(case, encoder):
    config = BEATsFeaturesConfig(num_mel_bins=128)
    bank = torch.stack([normalised_fbank(wave, config) for wave in case.inputs["waveform"]])
    case.check(bank, "mel128.fbank")
    num_tokens = encoder.embed(bank).shape[1]
    padding = token_padding(case.inputs["waveform_padding_mask"], bank.shape[1], num_tokens)
    case.check(padding, "mel128.token_padding_mask")
    case.check(encoder(bank, padding), "mel128.features_with_padding_mask")


def test_distances_are_sorted_as_in_the_original(case):
    content, stored = case.config["beats"], case.details["relative_position_bucket"]
    first = stored["relative_position_from"]
    distances = torch.arange(first, first + len(stored["bucket"]))
    buckets = distance_buckets(distances, content["num_buckets"], content["max_distance"])
    assert buckets.tolist() == stored["bucket"]


def test_the_published_encoder_has_its_size_and_its_tensors():
    with torch.device("meta"):
        encoder = BEATs(BEATsConfig())
    shapes = {name: tuple(tensor.shape) for name, tensor in encoder.state_dict().items()}
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 90_311_792
    keymap = keymap_of(BEATsConfig())
    num_copies = 11  # of the table of distances, which the file holds once a layer
    assert len(keymap.inventory(shapes)) + num_copies == 250


def test_ten_seconds_are_248_tokens():
    with torch.device("meta"):
        patches = BEATs(BEATsConfig()).embed(torch.empty(1, 998, 64))
    assert patches.shape == (1, 248, 512)


def test_weights_are_saved_as_they_were(case, encoder):
    written = dict(keymap_of(encoder.config).export(encoder.state_dict()))
    original = case.weights()
    assert written.keys() == original.keys()
    assert all(torch.equal(written[key], original[key]) for key in original)


def test_tables_of_distances_that_differ_between_layers_are_refused(case, encoder, tmp_path):
    table = "encoder.layers.{}.self_attn.relative_attention_bias.weight"
    weights = case.weights()
    save_file(weights | {table.format(1): weights[table.format(0)] + 1}, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match="differs from"):
        keymap_of(encoder.config).load_into(BEATs(encoder.config), open_checkpoint(tmp_path))


def test_what_is_padding_does_not_change_the_rest(encoder):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(1, 64, 32, generator=generator)
    padding = torch.tensor([[False] * 4 + [True] * 4])
    louder = features.clone()
    louder[:, 32:] += 1
    with torch.no_grad():
        first, second = (encoder(bank, padding)[:, :4] for bank in (features, louder))
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize("shape", [(1, 15, 64), (1, 998, 15), (998, 64), (1, 0, 64)])
def test_what_has_no_whole_patch_is_refused(encoder, shape):
    with pytest.raises(InputError, match="at least 16 each"):
        encoder(torch.zeros(shape))


def test_sizes_that_do_not_divide_are_refused():
    with pytest.raises(ConfigError, match="multiple of num_heads"):
        BEATsConfig(hidden_size=770)
