"""Peak memory of a process of its own, beyond what it held when its work began. Linux only."""

import argparse
import gc
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

Work = Callable[[str, str, int, Path], Callable[[], None]]
"""From a side, ``ours`` or ``theirs``, a job, a number of frames and a folder to what is to be measured; what
only prepares it is done before."""


def run_memory(work: Work, print_all: Callable[[], None]) -> None:
    """The program of a comparison: in the child, measure; else print.

    Args:
        work: what the children do.
        print_all: prints the table by way of ``print_peaks``.
    """
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    child = parser.parse_args().child
    if child is None:
        print_all()
        return
    side, job, num_frames, folder = child
    if side == "theirs":
        import transformers  # noqa: F401
    print(_measured(work(side, job, int(num_frames), Path(folder))))


def print_peaks(script: str, jobs: Iterable[tuple[str, int, str]], folder: Path) -> None:
    """One Markdown row a job: its name, a number of frames, and what to call it."""
    print("\n| peak memory | ours | transformers | theirs / ours |\n|---|---|---|---|")
    for job, num_frames, name in jobs:
        ours, theirs = (_peak_of_child(script, side, job, num_frames, folder) for side in ("ours", "theirs"))
        print(f"| {name} | {ours / 1e6:.0f} MB | {theirs / 1e6:.0f} MB | {theirs / ours:.2f} |", flush=True)


def _peak_of_child(script: str, side: str, job: str, num_frames: int, folder: Path) -> int:
    command = [sys.executable, script, "--child", side, job, str(num_frames), str(folder)]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def _measured(work: Callable[[], None]) -> int:
    gc.collect()
    before = _status_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    with torch.inference_mode():
        work()
    return _status_bytes("VmHWM") - before


def _status_bytes(field: str) -> int:
    """A line of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))
