from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import yaml

from kinema.datasets.llava import LlavaRecords
from kinema.datasets.mixture import mixture
from kinema.errors import ConfigError
from kinema.processors.clip_pixels import CLIPPixelsConfig
from kinema.recipes.settings import changed, plain, restored
from kinema.training.packing import Packing
from kinema.training.stage import Stage


@dataclass(frozen=True)
class Run:
    stage: dict[str, Stage]
    seed: int = 0
    folder: Path | None = None
    sizes: tuple[int, ...] = field(default=(1, 2))


def a_run():
    data = mixture((LlavaRecords(files=(Path("a.json"),), media_dir=Path("media")), 1.0))
    tune = Stage(
        name="tune",
        learning_rates={"connector": 1e-3, "vision_encoder.layers": 1e-4},
        data=data,
        num_steps=10,
        batch_size=4,
        processor={"pixels": CLIPPixelsConfig(), "max_length": 100},
    )
    return Run({"tune": tune})


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        (
            "stage.tune.learning_rates.connector",
            "1e-5",
            lambda run: run.stage["tune"].learning_rates["connector"],
        ),
        (
            "stage.tune.learning_rates.vision_encoder.layers",
            "0.5",
            lambda run: run.stage["tune"].learning_rates["vision_encoder.layers"],
        ),
        ("stage.tune.optimizer.weight_decay", "0.1", lambda run: run.stage["tune"].optimizer.weight_decay),
        ("stage.tune.num_steps", "7", lambda run: run.stage["tune"].num_steps),
        ("stage.tune.processor.max_length", "50", lambda run: run.stage["tune"].processor["max_length"]),
        ("seed", "3", lambda run: run.seed),
        ("sizes.1", "5", lambda run: run.sizes[1]),
    ],
)
def test_a_setting_is_changed_by_its_path(path, text, found):
    assert found(changed(a_run(), path, text)) == float(text)


def test_a_new_part_gets_a_rate():
    run = changed(a_run(), "stage.tune.learning_rates.language_model", "2e-5")
    assert run.stage["tune"].learning_rates["language_model"] == 2e-5


def test_a_setting_of_a_setting_of_the_processor_is_changed():
    run = changed(a_run(), "stage.tune.processor.pixels.image_fit", "pad")
    assert run.stage["tune"].processor["pixels"] == replace(CLIPPixelsConfig(), image_fit="pad")


def test_nothing_else_changes():
    assert changed(changed(a_run(), "seed", "5"), "seed", "0") == a_run()


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("stage.tune.num_step", "1", "did you mean num_steps"),
        ("stage.tune.num_steps", "many", "it was 10 and cannot be 'many'"),
        ("stage.tune.num_steps", "0", "at least 1"),
        ("stage.tune.optimizer", "adam", "settings of its own, rule"),
        ("stage.tune.optimizer.rule", "sgd", "'adamw' or 'muon'"),
        ("seed", "[", "not YAML"),
        ("seed.more", "1", "has no setting more"),
        ("sizes.2", "1", "there are 0, 1"),
    ],
)
def test_what_cannot_be_set_is_said(path, text, said):
    with pytest.raises(ConfigError, match=said):
        changed(a_run(), path, text)


def test_settings_come_back_from_yaml():
    run = a_run()
    assert restored(run, yaml.safe_load(yaml.safe_dump(plain(run))), "run") == run


def test_what_was_edited_in_yaml_is_changed():
    entries = plain(a_run())
    entries["stage"]["tune"]["batch_size"] = 8
    entries["stage"]["tune"]["data"]["parts"][0][0]["files"] = ["b.json", "c.json"]
    entries["folder"] = "there"
    run = restored(a_run(), entries, "run")
    assert run.stage["tune"].batch_size == 8
    source, _ = run.stage["tune"].data.parts[0]
    assert [str(file) for file in source.files] == ["b.json", "c.json"]
    assert run.folder == Path("there")


def test_packing_is_put_in_and_left_out_again():
    packed = changed(a_run(), "stage.tune.packing", "{max_tokens: 8192}")
    assert packed.stage["tune"].packing == Packing(max_tokens=8192)
    wider = changed(packed, "stage.tune.packing.max_tokens", "16384")
    assert wider.stage["tune"].packing == Packing(max_tokens=16384)
    assert changed(wider, "stage.tune.packing", "null").stage["tune"].packing is None
    assert restored(a_run(), plain(wider), "run") == wider


def test_another_kind_in_the_file_is_refused():
    entries = plain(a_run())
    entries["stage"]["tune"]["schedule"]["is"] = "Linear"
    with pytest.raises(ConfigError, match="it is a Cosine, and the file has a Linear"):
        restored(a_run(), entries, "run")


def test_an_entry_that_is_no_setting_is_refused():
    entries = plain(a_run())
    entries["stage"]["tune"]["steps"] = 8
    with pytest.raises(ConfigError, match=r"run\.stage\.tune\.steps: there is no steps"):
        restored(a_run(), entries, "run")


def test_a_long_sequence_is_told_by_its_hash():
    long, other = (Run({}, sizes=tuple(range(first, 2000))) for first in (0, 1))
    assert plain(long)["sizes"].startswith("2000 entries, ")
    assert plain(long)["sizes"] != plain(replace(other, sizes=(1, *other.sizes)))["sizes"]
    assert restored(long, plain(long), "run") == long
