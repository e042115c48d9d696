"""One case of a golden set: its numbers, and how near to them a result must come."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor


class GoldenCase:
    """Reads ``case.json`` and the tensors beside it; see the README of the set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.details: dict[str, Any] = json.loads((folder / "case.json").read_text())
        self.config: dict[str, Any] = self.details["config"]
        self.inputs = load_file(folder / "inputs.safetensors")
        self.outputs = load_file(folder / "outputs.safetensors")

    def weights(self, name: str = "weights") -> dict[str, Tensor]:
        """All tensors of ``name.safetensors``."""
        return load_file(self.folder / f"{name}.safetensors")

    def check(self, actual: Tensor, name: str) -> None:
        """Compare with the output of that name: integers exactly, floats within the accuracy of the case."""
        expected = self.outputs[name]
        if expected.dtype.is_floating_point:
            atol = self.details["float32_accuracy"][name]["atol"]
            torch.testing.assert_close(
                actual, expected, atol=atol, rtol=0, msg=lambda text: f"{name}: {text}"
            )
        else:
            assert torch.equal(actual, expected), name
