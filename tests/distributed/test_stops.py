"""Two processes that are stopped, go on, or lose one another."""

import re

import pytest
import torch
from letters import LetterModel, LetterProcessor, letter_run, letter_stage
from letters_together import begin_apart, lose_the_second, stop_and_go_on
from processes import free_port, two_processes

from kinema.training.checkpoint import Checkpoints, Progress
from kinema.training.loop import train


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    model = LetterModel()
    train(model, LetterProcessor(), [letter_stage()], letter_run(tmp_path_factory.mktemp("alone")))
    return model.state_dict()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("together")


@pytest.fixture(scope="module")
def together(folder):
    return two_processes(folder, stop_and_go_on, folder)


@pytest.mark.parametrize("way", ["whole", "sharded"])
def test_a_signal_to_one_stops_both_and_they_go_on_as_if_it_had_not_been(way, together, alone):
    for found in together:
        assert re.match(r"stopped by SIGTERM after step 8 .*step00000008\.$", found[f"{way}, said"])
        for name, value in alone.items():
            torch.testing.assert_close(found[way][name], value, atol=1e-5, rtol=0, msg=name)


def test_what_two_processes_shared_one_goes_on_with(folder, together, alone):
    written = sorted((folder / "left/checkpoints/stage0-step00000008").glob("*.safetensors"))
    assert len(written) == 2
    model = LetterModel()
    train(model, LetterProcessor(), [letter_stage()], letter_run(folder / "left"))
    for name, value in alone.items():
        torch.testing.assert_close(model.state_dict()[name], value, atol=1e-5, rtol=0, msg=name)


def test_one_that_is_killed_ends_the_other_with_a_message(tmp_path):
    said = lose_the_second(tmp_path, free_port())
    assert re.match(r"process 0 of 2 lost another one .*goes on from .*stage0-step00000005\.$", said)
    assert Checkpoints(tmp_path / "run", keep=2).progress().step == 5


def test_one_that_is_killed_before_it_trains_ends_the_other_with_a_message(tmp_path):
    said = lose_the_second(tmp_path, free_port(), before_it_trains=True)
    assert re.match(
        r"process 0 of 2 lost another one .*; there is no checkpoint yet, so it begins anew\.$", said
    )


def test_processes_that_do_not_share_a_folder_are_told(tmp_path):
    Checkpoints(tmp_path / "0", keep=1).save(LetterModel(), None, Progress(step=5))
    first, second = (found["said"] for found in two_processes(tmp_path, begin_apart, tmp_path))
    because = "and others find another one. The folder with the checkpoints must be shared"
    assert first.startswith(f"process 0 of 2 finds stage 0, step 5 in {tmp_path / '0'}, {because}")
    assert second.startswith(f"process 1 of 2 finds stage 0, step 0 in {tmp_path / '1'}, {because}")
