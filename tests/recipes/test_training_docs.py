"""Commands in docs/training.md have only options that there are, and its records can be read."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import typer

from kinema.cli.main import app as kinema_app
from kinema.datasets.fault import Fault
from kinema.datasets.llava import LlavaRecords
from kinema.datasets.own import open_records
from kinema.datasets.vidal import VidalRecords
from kinema.errors import DataError
from kinema.recipes import nano_languagebind, nano_video_llava
from kinema.recipes.carry_out import SAMPLE_TIMEOUT_S
from kinema.recipes.registry import recipe_names
from kinema.training.bad_samples import REASONS
from kinema.training.run import RunConfig

TEXT = (Path(__file__).parent.parent.parent / "docs/training.md").read_text(encoding="utf-8")
RECIPES = {
    "nano_languagebind": nano_languagebind,
    "nano_video_llava": nano_video_llava,
}


def commands() -> list[tuple[str, set[str]]]:
    """Recipe and options of each command."""
    joined = re.sub(r"\\\n\s*", "", TEXT)
    found = re.findall(r"^    python -m kinema\.recipes\.(\w+) (.*)$", joined, re.MULTILINE)
    return [(recipe, set(re.findall(r"--[a-z-]+", rest))) for recipe, rest in found]


@pytest.mark.parametrize(("recipe", "options"), commands())
def test_commands_have_only_options_that_there_are(recipe, options):
    app = typer.Typer()
    app.command()(RECIPES[recipe]._main)
    known = {name for parameter in typer.main.get_command(app).params for name in parameter.opts}
    assert options <= known


def test_what_becomes_of_bad_samples_is_told_as_it_is():
    assert all(reason in TEXT for reason in REASONS.values())
    assert f"may take {SAMPLE_TIMEOUT_S:g} s" in TEXT
    assert f"`run.max_bad_share`, {RunConfig(out_dir=Path()).max_bad_share:.0%}".replace("%", " %") in TEXT


def train_commands() -> list[tuple[str, set[str]]]:
    """Recipe and options of each ``kinema train``."""
    joined = re.sub(r"\\\n\s*", "", TEXT)
    found = re.findall(r"^    kinema train (\S+) ?(.*)$", joined, re.MULTILINE)
    return [(recipe, set(re.findall(r"--[a-z-]+", rest))) for recipe, rest in found]


@pytest.mark.parametrize(("recipe", "options"), train_commands())
def test_kinema_train_has_these_recipes_and_options(recipe, options):
    command = typer.main.get_command(kinema_app).commands["train"]
    assert options <= {name for parameter in command.params for name in parameter.opts}
    assert recipe in recipe_names() or recipe.endswith("run.yaml")


def test_there_are_commands_of_each_recipe():
    assert {recipe for recipe, _ in commands()} == set(RECIPES)


def data_commands() -> list[tuple[str, set[str]]]:
    """Command and options of each ``kinema data``."""
    found = re.findall(r"^    kinema data (\S+) (.*)$", TEXT, re.MULTILINE)
    return [(command, set(re.findall(r"--[a-z-]+", rest))) for command, rest in found]


@pytest.mark.parametrize(("name", "options"), data_commands())
def test_kinema_data_has_these_commands_and_options(name, options):
    command = typer.main.get_command(kinema_app).commands["data"].commands[name]
    assert options <= {name for parameter in command.params for name in parameter.opts}


def test_its_forms_say_the_same(tmp_path):
    (lines,) = re.findall(r"```jsonl\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "talk.jsonl").write_text(lines)
    data = open_records(tmp_path / "talk.jsonl")
    first = data.sample(0, np.random.default_rng(0))
    assert first.messages[1].text == "A dog runs."
    assert len(data) == 5
    assert all(data.sample(index, np.random.default_rng(0)) == first for index in range(1, 5))


def test_its_reasons_are_those_there_are():
    (table,) = re.findall(r"\| reason \|.*?\n\n", TEXT, re.DOTALL)
    named = {
        reason
        for row in re.findall(r"^\| ([a-z ·]+) \| ", table, re.MULTILINE)[1:]
        for reason in row.split(" · ")
    }
    assert named == set(Fault)


def test_its_records_are_read(tmp_path):
    llava, vidal = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "talk.json").write_text(llava)
    talk = LlavaRecords(files=(tmp_path / "talk.json",), media_dir=tmp_path)
    shown = [len(talk.sample(index, np.random.default_rng(0)).messages) for index in range(len(talk))]
    assert shown == [2, 4, 2]
    assert [length > 0 for length in talk.modality_lengths()] == [True, True, False]
    (tmp_path / "pairs.json").write_text(vidal)
    pairs = VidalRecords(files=(tmp_path / "pairs.json",), media_dir=tmp_path, modality="video")
    with pytest.raises(DataError, match=r"there is no .*films/a1\.mp4"):
        pairs.sample(0, np.random.default_rng(0))
    (name,) = json.loads(vidal)
    (tmp_path / "films").mkdir()
    (tmp_path / f"films/{name}.mp4").touch()
    assert pairs.sample(0, np.random.default_rng(0)).messages[1].text == "A dog runs into the sea."
