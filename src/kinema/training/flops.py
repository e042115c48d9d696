"""How much of a device's arithmetic a training uses: model FLOPs utilisation (MFU, arXiv 2204.02311)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch.utils.flop_counter import FlopCounterMode

from kinema.training.feed import Batch
from kinema.training.precision import Precision

PEAK_TFLOPS = {
    "B200": 2250,
    "H200": 989,
    "H100 PCIe": 756,
    "H100 NVL": 835,
    "H100": 989,
    "H800": 989,
    "H20": 148,
    "A100": 312,
    "A800": 312,
    "L40S": 362,
    "L40": 181,
    "L4": 121,
    "A40": 150,
    "A10G": 70,
    "A10": 125,
    "RTX A6000": 155,
    "RTX 6000 Ada": 364,
    "RTX 5090": 210,
    "RTX 4090": 165,
    "RTX 3090": 71,
    "V100": 125,
    "T4": 65,
    "MI300X": 1307,
    "MI250X": 383,
}
"""Dense products in 16 bits with sums in 32, in 10^12 operations a second, as the vendors' data sheets have
them, by words of the name that the driver gives; of two that fit, the first counts."""


def peak_flops(device_name: str) -> float | None:
    """Operations a second that a GPU could do in 16 bits; None for one that is not in the table."""
    words = device_name.replace("-", " ").split()
    for name, tflops in PEAK_TFLOPS.items():
        if all(word in words for word in name.split()):
            return tflops * 1e12
    return None


class FlopMeter:
    """Counts the operations of a stage's first batch, and takes others in proportion to their tokens.

    Products and attention are counted as they are dispatched, forwards and backwards, those that activation
    checkpointing does again among them.
    """

    def __init__(self, device: str, precision: Precision) -> None:
        name = torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else ""
        self.peak = peak_flops(name) if precision != "float32" else None
        self.flops_per_token: float | None = None

    @contextmanager
    def watching(self, parts: Sequence[Batch]) -> Iterator[None]:
        """Count what happens within, if the device is known and it is the first batch."""
        if self.peak is None or self.flops_per_token is not None or not parts:
            yield
            return
        with FlopCounterMode(display=False) as counter:
            yield
        tokens = sum(inputs.input_ids.numel() for inputs in parts)
        self.flops_per_token = counter.get_total_flops() / tokens

    def share_of_peak(self, tokens_per_s: float) -> float | None:
        """MFU of this device at so many tokens a second of its own; None where it is not known."""
        if self.peak is None or self.flops_per_token is None:
            return None
        return self.flops_per_token * tokens_per_s / self.peak
