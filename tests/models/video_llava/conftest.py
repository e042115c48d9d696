"""The golden Video-LLaVA, as folders and loaded."""

import json
from pathlib import Path

import golden_video_llava
import pytest
from safetensors.torch import load_file

from kinema.models.video_llava import checkpoint


@pytest.fixture(scope="session")
def golden(golden_dir) -> Path:
    return golden_dir / "video_llava"


@pytest.fixture(scope="session")
def cases(golden) -> dict:
    return json.loads((golden / "video_llava.cases.json").read_text())


@pytest.fixture(scope="session")
def tensors(golden) -> dict:
    return load_file(golden / "video_llava.cases.safetensors")


@pytest.fixture(scope="session")
def official_folder(golden, tmp_path_factory) -> Path:
    return golden_video_llava.official_folder(golden, tmp_path_factory.mktemp("official"))


@pytest.fixture(scope="session")
def transformers_folder(golden, tmp_path_factory) -> Path:
    return golden_video_llava.transformers_folder(golden, tmp_path_factory.mktemp("transformers"))


@pytest.fixture(scope="session")
def loaded(official_folder):
    return checkpoint.load(official_folder)
