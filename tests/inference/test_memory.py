"""The forecast against what a process really takes; ``benchmarks/memory_forecast.py`` has more cases."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parent.parent.parent / "benchmarks/memory_forecast.py"


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak of a process from /proc")
def test_the_forecast_is_near_what_is_taken():
    command = [sys.executable, str(BENCHMARK), "--case", "nano", "32", "224", "448", "4096"]
    case = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    assert case["forecast"] == pytest.approx(case["measured"], rel=0.3)
