"""How much of a device's arithmetic is used."""

import pytest
import torch
from torch import nn

from kinema.processors.inputs import ModelInputs
from kinema.training.flops import FlopMeter, peak_flops


@pytest.mark.parametrize(
    ("name", "tflops"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA GeForce RTX 4090", 165),
        ("NVIDIA RTX 6000 Ada Generation", 364),
        ("NVIDIA L40S", 362),
        ("NVIDIA L4", 121),
        ("Tesla T4", 65),
        ("AMD Instinct MI300X", 1307),
    ],
)
def test_a_device_is_known_by_the_name_that_its_driver_gives(name, tflops):
    assert peak_flops(name) == tflops * 1e12


@pytest.mark.parametrize("name", ["", "NVIDIA GeForce GTX 1080", "Radeon RX 7900 XTX"])
def test_an_unknown_device_has_no_peak(name):
    assert peak_flops(name) is None


def test_on_a_cpu_nothing_is_counted_and_nothing_known():
    meter = FlopMeter("cpu", "bfloat16")
    with meter.watching([]):
        pass
    assert meter.share_of_peak(1000.0) is None


def test_the_share_is_that_of_products_forwards_and_backwards():
    meter = FlopMeter("cpu", "bfloat16")
    meter.peak = 1e6
    ids = torch.zeros(2, 5, dtype=torch.int64)
    batch = ModelInputs(input_ids=ids, position_ids=ids)  # 10 tokens
    first, second = nn.Linear(4, 8, bias=False), nn.Linear(8, 3, bias=False)
    with meter.watching([batch]):
        second(first(torch.ones(10, 4))).sum().backward()
    # twice 32 and twice 24 a token forwards, the same for the weights, and 48 for what is between the two
    assert meter.flops_per_token == 2 * 64 + 2 * 48 + 48
    assert meter.share_of_peak(1000.0) == pytest.approx(0.272)


def test_only_the_first_batch_is_counted():
    meter = FlopMeter("cpu", "float16")
    meter.peak, meter.flops_per_token = 1e6, 7.0
    with meter.watching([]):
        torch.ones(4, 4) @ torch.ones(4, 4)
    assert meter.flops_per_token == 7.0
