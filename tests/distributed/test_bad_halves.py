"""Two real processes, some of whose samples are bad, against one."""

import json

import pytest
import torch
from bad_halves import train_halves, train_letters, train_pairs
from processes import two_processes


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    folder = tmp_path_factory.mktemp("halves")
    return folder, two_processes(folder, train_halves, folder)


def test_a_process_whose_samples_are_all_bad_leaves_the_step_to_the_other(halves, tmp_path):
    alone = train_letters(tmp_path, frozenset({6, 7}))
    for found in halves[1]:
        for name, value in alone.items():
            torch.testing.assert_close(found["letters"][name], value, atol=1e-5, rtol=1e-5, msg=name)


def test_processes_with_different_numbers_of_pairs_compare_all_of_them(halves, tmp_path):
    alone = train_pairs(tmp_path, frozenset({6}))
    for found in halves[1]:
        for name, value in alone.items():
            torch.testing.assert_close(found["pairs"][name], value, atol=1e-5, rtol=1e-5, msg=name)


def test_no_process_takes_a_step_of_comparisons_in_which_one_has_none(halves, tmp_path):
    alone = train_pairs(tmp_path, frozenset({4, 5, 6, 7}))
    for found in halves[1]:
        for name, value in alone.items():
            torch.testing.assert_close(found["lost pairs"][name], value, atol=1e-5, rtol=1e-5, msg=name)


def test_bad_samples_of_all_processes_are_in_the_log_and_in_the_file(halves):
    folder = halves[0] / "letters"
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["bad_samples"] for line in lines] == [0, 2, 2]
    bad = [json.loads(line) for line in (folder / "bad_samples.jsonl").read_text().splitlines()]
    assert [line["index"] for line in bad] == [6, 7]
