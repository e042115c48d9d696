import json

import pytest
import torch
from numbered_clips import sound_file, tone
from safetensors.torch import save_file
from small_captioner import captioner_config, small_captioner, small_captioner_processor

from kinema.datasets.wavcaps import WavCapsFile, WavCapsRecords
from kinema.errors import WeightsError
from kinema.models.decoder_json import decoder_fields
from kinema.models.internvideo2.captioner_keys import captioner_keymap
from kinema.models.internvideo2.captioner_start import assemble_captioner
from kinema.recipes.internvideo2_audio_captioner import audio_captioner
from kinema.training.loop import train
from kinema.training.run import RunConfig


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wavcaps")
    records = [{"id": str(index), "caption": "a cat runs", "duration": 1.0} for index in range(3)]
    (folder / "records.json").write_text(json.dumps({"num_captions_per_audio": 1, "data": records}))
    for index in range(3):
        (folder / f"{index}.flac").write_bytes(sound_file("flac", "flac", tone(0.5)))
    file = WavCapsFile(records=folder / "records.json", audio_dir=folder)
    return WavCapsRecords(files=(file,), prompt="what is heard")


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """A file of BEATs and a folder of Mistral, as they are published."""
    folder, config, model = tmp_path_factory.mktemp("parts"), captioner_config(), small_captioner()
    names = dict(captioner_keymap(config).export(model.state_dict()))
    ears = {key.removeprefix("audio_encoder."): value for key, value in names.items() if "audio" in key}
    words = {key.removeprefix("lm."): value for key, value in names.items() if key.startswith("lm.")}
    torch.save(ears, folder / "audio_6b.pth")
    (folder / "mistral").mkdir()
    save_file(words, folder / "mistral" / "model.safetensors")
    content = decoder_fields(config.language) | {"model_type": "mistral", "sliding_window": None}
    (folder / "mistral" / "config.json").write_text(json.dumps(content))
    return folder / "audio_6b.pth", folder / "mistral"


def start(parts, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return assemble_captioner(*parts, generator, bridge=captioner_config().bridge)


def test_a_run_starts_from_published_ears_and_words_and_a_bridge_of_chance(parts):
    model, published = start(parts), small_captioner()
    assert model.config == captioner_config()
    for part in ("audio_encoder", "language_model"):
        for name, value in getattr(published, part).state_dict().items():
            assert torch.equal(getattr(model, part).state_dict()[name], value), name
    assert torch.equal(start(parts).connector.queries, model.connector.queries)
    assert 0.01 < model.up_projection.weight.std().item() < 0.03
    assert not model.up_projection.bias.any()
    assert (model.connector.norm.weight == 1).all()
    assert not torch.equal(start(parts, seed=1).connector.queries, model.connector.queries)


def test_ears_that_are_not_whole_are_refused_by_name(parts, tmp_path):
    weights = torch.load(parts[0], weights_only=True)
    del weights["post_extract_proj.bias"]
    torch.save(weights, tmp_path / "beats.pt")
    with pytest.raises(WeightsError, match=r"missing: post_extract_proj\.bias"):
        start((tmp_path / "beats.pt", parts[1]))


def test_the_qformer_alone_learns_on_wavcaps(data, parts, tmp_path):
    (stage,) = audio_captioner(data)
    assert set(stage.learning_rates) == {"connector", "up_projection"}
    assert (stage.num_steps, stage.batch_size) == (1, 256)
    model = start(parts)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    small = type(stage)(**{**vars(stage), "batch_size": 2})
    train(model, small_captioner_processor(), [small], RunConfig(out_dir=tmp_path, num_workers=0))
    after = model.state_dict()
    changed = {name.split(".")[0] for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed == {"connector", "up_projection"}
