import subprocess
import sys
from pathlib import Path

import pytest

from kinema.models.registry import named_models

DEMO = Path(__file__).parents[2] / "examples" / "demo.py"


@pytest.mark.skipif(named_models()[0].name != "nano", reason="nano has not been trained in this tree")
def test_the_demo_prints_times_tokens_and_three_answers_beside_the_truth(tmp_path):
    shown = subprocess.run([sys.executable, DEMO, tmp_path], capture_output=True, text=True, check=True)
    assert (tmp_path / "toybox.mp4").is_file()
    lines = shown.stdout.splitlines()
    assert "h264, 112 x 112, 168 frames, 7.0 s, 7.0 s of sound" in lines[0]
    assert [line.split()[1] for line in lines if line.startswith("  at ")] == [f"{i}.00" for i in range(7)]
    answers = [line.split(":")[1].strip() for line in lines if line.startswith("  nano:")]
    truths = [line.split(":")[1].strip() for line in lines if line.startswith("  truth:")]
    assert truths == ["blue", "down", "3.5-5.5 s"]
    assert answers == truths
