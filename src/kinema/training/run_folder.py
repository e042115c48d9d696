"""The folder of a run: one run at a time writes there, and all its processes see the same."""

import errno
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TextIO

from kinema.distributed.gather import is_same_for_all, largest_of_all
from kinema.distributed.world import rank, world_size
from kinema.errors import TrainingError
from kinema.training.checkpoint import Progress
from kinema.training.run import RunConfig

logger = logging.getLogger(__name__)

LOCK = "run.lock"


@contextmanager
def only_run(run: RunConfig) -> Iterator[None]:
    """Within, no other run begins in the folder of this one.

    The first process locks a file there. It is the lock of that process alone (POSIX ``lockf``): processes
    that it forks to read samples do not hold it, and the system frees it however the process ends. The file
    stays, and means nothing by itself. Windows has no such locks, some network file systems have none either:
    there nothing keeps a second run out.

    All processes call it together.

    Raises:
        TrainingError: in every process, if another run writes there.
        OSError: if the folder cannot be written.
    """
    with _opened(run.out_dir / LOCK) if rank() == 0 else nullcontext() as file:
        is_taken = file is not None and not _lock(file)
        if largest_of_all(int(is_taken), run.device):
            raise TrainingError(
                f"another run is writing in {run.out_dir}. Wait for it or end it, and the same command goes "
                "on from its last checkpoint; or give this run a folder of its own."
            )
        yield


def expect_shared(run: RunConfig, progress: Progress) -> None:
    """Make sure that all processes, which call it together, have found the run at the same place.

    Raises:
        TrainingError: in every process, if they have not: machines write in folders of their own.
    """
    if not is_same_for_all((progress.stage, progress.step), run.device):
        raise TrainingError(
            f"process {rank()} of {world_size()} finds stage {progress.stage}, step {progress.step} in "
            f"{run.out_dir}, and others find another one. The folder with the checkpoints must be shared: "
            "put it where all machines see it."
        )


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    with file:
        yield file


def _lock(file: TextIO) -> bool:
    """Whether the file is now ours, or cannot be anybody's."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return False
        logger.warning("%s cannot be locked (%s): see that no second run begins", file.name, error.strerror)
    return True
