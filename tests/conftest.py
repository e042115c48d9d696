"""Where tests find golden sets and other people's media."""

import os
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SHARED = TESTS.parent.parent / "shared"


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """The folder that holds one folder a golden set; KINEMA_GOLDEN points at another, such as a hold-out."""
    return Path(os.environ.get("KINEMA_GOLDEN", TESTS / "golden"))


@pytest.fixture(scope="session")
def media_dir() -> Path:
    """Real clips that are not ours to copy; tests of them skip where they are absent."""
    folder = SHARED / "media"
    if not folder.is_dir():
        pytest.skip(f"the real clips of {folder} are not on this machine")
    return folder
