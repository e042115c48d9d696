"""What low-rank updates ask of a request and of a run."""

import sys
from pathlib import Path

import pytest

from kinema.errors import ConfigError, MissingExtraError
from kinema.recipes.lora import expect_holdable
from kinema.recipes.recipe import Request
from kinema.training.run import RunConfig

RUN = RunConfig(out_dir=Path())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"base_bits": 4}, "base_bits=4 needs the updates of lora=True"),
        ({"base_bits": 8, "lora": True}, "not in 8 bits"),
    ],
)
def test_four_bits_lie_beside_updates_only(settings, message):
    with pytest.raises(ConfigError, match=message):
        Request(**settings)


def test_weights_in_four_bits_are_not_spread():
    run = RunConfig(out_dir=Path(), shard=("language_model",))
    with pytest.raises(ConfigError, match=r"run.shard is language_model.*--set run.shard=\[\]"):
        expect_holdable(Request(lora=True, base_bits=4), run)
    expect_holdable(Request(lora=True), run)


def test_what_holds_four_bits_is_asked_for_before_anything_is_read(monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)  # as if it were not installed
    with pytest.raises(MissingExtraError, match=r"pip install 'kinema\[qlora\]'"):
        expect_holdable(Request(lora=True, base_bits=4), RUN)
    expect_holdable(Request(lora=True), RUN)
