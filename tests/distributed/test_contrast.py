"""Contrast over two real processes, against the original's numbers and against one process."""

import pytest
import torch
from contrast_halves import contrast_halves, contrast_whole
from golden_case import GoldenCase
from processes import two_processes


@pytest.fixture(scope="module")
def case(golden_dir):
    return GoldenCase(golden_dir / "internvideo2/C_contrastive_two_processes")


@pytest.fixture(scope="module")
def halves(case, tmp_path_factory):
    return two_processes(tmp_path_factory.mktemp("halves"), contrast_halves, case.inputs)


def test_the_local_gradient_is_that_of_the_released_code(case, halves):
    for index, found in enumerate(halves):
        case.check(found["local"]["loss"], f"rank{index}.loss")
        names = {"media": "vision_proj", "text": "text_proj", "temperature": "temp"}
        for ours, theirs in names.items():
            case.check(found["local"][ours], f"rank{index}.grad.{theirs}")


def test_the_mean_of_summed_gradients_is_that_of_one_process_with_all_rows(case, halves):
    whole = contrast_whole(case.inputs, case.config["world_size"])
    for name in ("media", "text"):
        mean = torch.cat([found["sum"][name] for found in halves]) / len(halves)
        torch.testing.assert_close(mean, whole[name], atol=1e-6, rtol=1e-5)
    for found in halves:
        torch.testing.assert_close(found["sum"]["loss"], whole["loss"])
        torch.testing.assert_close(found["sum"]["temperature"], whole["temperature"])
