"""Two real processes on the CPU against one."""

import json

import pytest
import torch
from pair_towers import NUM_PAIRS, learn, learn_together, train_pairs
from processes import two_processes

from kinema.distributed.gather import gather_rows
from kinema.distributed.world import joined_world, rank, wait_for_all, world_size


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    folder = tmp_path_factory.mktemp("together")
    return folder, two_processes(folder, learn_together, folder)


def test_each_process_knows_its_number(together):
    assert [found["world"]["ranks"].tolist() for found in together[1]] == [[0, 2], [1, 2]]


def test_loss_and_gradients_of_two_processes_are_those_of_one(together):
    alone = learn(range(NUM_PAIRS))
    for found in together[1]:
        for name, value in alone.items():
            torch.testing.assert_close(found["learned"][name], value, msg=name)


def test_a_run_of_two_processes_ends_where_a_run_of_one_does(together, tmp_path):
    alone = train_pairs(tmp_path)
    for found in together[1]:
        for name, value in alone.items():
            torch.testing.assert_close(found["trained"][name], value, msg=name)


def test_only_one_process_writes(together):
    lines = [json.loads(line) for line in (together[0] / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6]


def test_alone_nothing_is_exchanged():
    rows = torch.ones(2, 3)
    with joined_world("cpu"):
        wait_for_all()
        assert gather_rows(rows) is rows
        assert (rank(), world_size()) == (0, 1)
