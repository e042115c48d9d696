"""One line of a comparison: the same work done by both sides, compared first and then timed in turns."""

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kinema.toybox import make_scene, write_clip

REAL_CLIP = Path(__file__).parent.parent.parent / "shared/media/room_640x360_24fps_audio.mp4"

Clock = Callable[[], float]
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "processor": time.process_time}
"""Seconds that pass, and seconds that the threads of this process work: the latter count for little beside
other jobs, and mean something with one thread only."""

Run = Callable[[], tuple[float, Any]]
"""Does the work once: seconds taken, and what came out."""


@dataclass(frozen=True)
class Contest:
    """One line of the table."""

    name: str
    ours: Run
    theirs: dict[str, Run]
    """By the name of the way taken."""
    atol: float
    work: int | None = None
    """Tokens that a run makes, where the line gives tokens a second; else it gives seconds."""

    def check(self) -> None:
        """Raise if some way gives something else."""
        _, expected = self.ours()
        for run in self.theirs.values():
            torch.testing.assert_close(run()[1], expected, atol=self.atol, rtol=0.0)

    def race(self, repeats: int) -> tuple[float, float, str]:
        """Median seconds of ours and of the fastest of theirs, and its name."""
        ours: list[float] = []
        theirs: dict[str, list[float]] = {way: [] for way in self.theirs}
        for _ in range(repeats):
            ours.append(self.ours()[0])
            for way, run in self.theirs.items():
                theirs[way].append(run()[0])
        fastest = min(theirs, key=lambda way: statistics.median(theirs[way]))
        return statistics.median(ours), statistics.median(theirs[fastest]), fastest


def timed(work: Callable[[], Any], clock: Clock) -> Run:
    """A run of all of ``work``, without gradients."""

    def run() -> tuple[float, Any]:
        with torch.inference_mode():
            start = clock()
            result = work()
            return clock() - start, result

    return run


def print_contests(contests: Iterable[Contest], repeats: int) -> None:
    """One Markdown row a contest."""
    print("| | ours | transformers | times as fast | theirs is |\n|---|---|---|---|---|")
    for contest in contests:
        contest.check()
        our_s, their_s, way = contest.race(repeats)
        shown = [
            f"{contest.work / s:.1f} tokens/s" if contest.work else f"{s:.3f} s" for s in (our_s, their_s)
        ]
        print(f"| {contest.name} | {shown[0]} | {shown[1]} | {their_s / our_s:.2f} | {way} |", flush=True)


@contextmanager
def clip() -> Iterator[Path]:
    """The real clip, or where there is none a film of the toybox, for as long as the context lasts."""
    if REAL_CLIP.exists():
        yield REAL_CLIP
        return
    with tempfile.TemporaryDirectory() as folder:
        write_clip(make_scene(0, level=2, height=360, width=640), Path(folder) / "toybox.mp4")
        yield Path(folder) / "toybox.mp4"


def machine() -> str:
    """What the figures were measured on."""
    import transformers

    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next(line for line in lines if line.startswith("model name")).split(": ")[1]
    return (
        f"{cpu}, {torch.backends.cpu.get_cpu_capability()}, {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} thread(s); Python {platform.python_version()}, "
        f"torch {torch.__version__}, transformers {transformers.__version__}"
    )
