"""Where the lines of a run go: its log, a person's terminal, trackers, and the picture of its losses."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kinema.distributed.world import rank, wait_for_all
from kinema.errors import MissingExtraError
from kinema.training.bad_samples import FILE_NAME as BAD_SAMPLES
from kinema.training.checkpoint import Progress
from kinema.training.display import display
from kinema.training.json_lines import JsonLines, forget_unkept, read_lines
from kinema.training.plot import plot_losses
from kinema.training.run import RunConfig
from kinema.training.stage import Stage
from kinema.training.step_log import Outlet
from kinema.training.trackers import tracker

logger = logging.getLogger(__name__)

LOG, PICTURE = "log.jsonl", "loss.png"
_PICTURE_EVERY_S = 60.0


@dataclass(kw_only=True)
class Report:
    """What one process of a run tells; the others tell nothing."""

    out_dir: Path
    outlets: Sequence[Outlet] = ()
    drawn: float = field(default=0.0, init=False)

    def draw(self, *, is_last: bool = False) -> None:
        """Draw the losses so far, if the last picture is a minute old or it is the last one of a stage."""
        if not self.outlets or (time.monotonic() - self.drawn < _PICTURE_EVERY_S and not is_last):
            return
        self.drawn = time.monotonic()
        lines = read_lines(self.out_dir / LOG)
        if len(lines) < 2:
            return
        try:
            plot_losses(lines, self.out_dir / PICTURE)
        except MissingExtraError as error:
            logger.info("no picture of the losses: %s", error)
        except OSError as error:
            logger.warning("no picture of the losses, and the run goes on: %s", error)


@contextmanager
def reporting(run: RunConfig, stages: Sequence[Stage], progress: Progress) -> Iterator[Report]:
    """The outlets of a run, in its first process, closed in the end.

    Raises:
        MissingExtraError: in every process, if a tracker is not installed.
    """
    trackers = [tracker(name, run) for name in run.trackers]
    if rank() == 0:
        for name in (LOG, BAD_SAMPLES):
            forget_unkept(run.out_dir / name, stages, progress)
    wait_for_all()  # every process writes down its bad samples
    if rank() > 0:
        yield Report(out_dir=run.out_dir)
        return
    outlets = [JsonLines(run.out_dir / LOG), display(), *trackers]
    try:
        yield Report(out_dir=run.out_dir, outlets=outlets)
    finally:
        for outlet in outlets:
            outlet.close()
