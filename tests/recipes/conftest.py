import pytest

from kinema.recipes.nano_internvideo2_parts import train_nano_parts
from kinema.recipes.nano_languagebind import NanoRun


@pytest.fixture(scope="session")
def internvideo2_run(tmp_path_factory) -> NanoRun:
    """A run of the nano InternVideo2 of a step each. All tests of it share its folder, so that none trains
    what another has: teachers, words and ears in ``parts``, the models of its seed in ``seed0``."""
    run = NanoRun(out_dir=tmp_path_factory.mktemp("nano_internvideo2"), scale=0.001)
    train_nano_parts(run)
    return run
