"""A checkpoint folder of the golden model, as each code would have saved it."""

import json
import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def full_model(golden_dir) -> Path:
    return golden_dir / "videollama3" / "full_model"


def checkpoint_folder(golden: Path, target: Path, form: str) -> Path:
    """Weights, config and tokenizer of one layout; ``form`` is "official" or "transformers"."""
    target.mkdir()
    shutil.copyfile(golden / "full_model" / f"weights_{form}.safetensors", target / "model.safetensors")
    shutil.copyfile(golden / "full_model" / f"config_{form}.json", target / "config.json")
    for file in (golden / "tokenizer").iterdir():
        shutil.copyfile(file, target / file.name)
    special = json.loads((golden / "full_model" / "cases.json").read_text())["special_ids"]
    generation = {"eos_token_id": special["<|im_end|>"], "repetition_penalty": 1.1}
    (target / "generation_config.json").write_text(json.dumps(generation))
    return target


@pytest.fixture(scope="session")
def official_folder(golden_dir, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("official")
    return checkpoint_folder(golden_dir / "videollama3", root / "model", "official")


@pytest.fixture(scope="session")
def transformers_folder(golden_dir, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("transformers")
    return checkpoint_folder(golden_dir / "videollama3", root / "model", "transformers")
