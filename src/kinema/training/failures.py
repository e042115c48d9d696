"""What ends a run from outside, told as what it is, with what is kept of the run."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kinema.distributed.world import rank, world_size
from kinema.errors import DataError, TrainingError
from kinema.training.checkpoint import Checkpoints

_LOST_WORKER = re.compile(r"DataLoader worker \(pid.*?\) (is killed by signal: \w+|exited unexpectedly)")
_LOST_PEER = re.compile(
    r"by peer|Connection (closed|refused|reset)|Broken pipe|gloo|NCCL|Timed out", re.IGNORECASE
)


@contextmanager
def explained(checkpoints: Checkpoints) -> Iterator[None]:
    """Turn what happens within to other processes, to the disk and to the data into a ``TrainingError``.

    Other errors go through: they are told already, or are ours.
    """
    try:
        yield
    except DataError as error:
        raise TrainingError(f"{str(error).removesuffix('.')}; {checkpoints.how_to_go_on()}") from error
    except RuntimeError as error:
        if lost := _LOST_WORKER.search(str(error)):
            raise _lost_worker(lost[1], checkpoints) from error
        if world_size() > 1 and _LOST_PEER.search(str(error)):
            reason = " ".join(str(error).split())
            raise TrainingError(
                f"process {rank()} of {world_size()} lost another one ({reason[:160]}), whose own message, "
                f"if it had time for one, says why; {checkpoints.how_to_go_on()}"
            ) from error
        raise
    except (ConnectionError, EOFError) as error:  # it was just handing over a batch
        raise _lost_worker("has ended", checkpoints) from error
    except OSError as error:
        if not _is_of_run(error, checkpoints):
            raise
        raise TrainingError(
            f"{error.filename}: {error.strerror}. Put that right, then {checkpoints.how_to_go_on()}"
        ) from error


def _lost_worker(how: str, checkpoints: Checkpoints) -> TrainingError:
    return TrainingError(
        f"a process that reads samples ahead {how}. Mostly there was no memory left for it: lower "
        f"num_workers, or what a sample may take; {checkpoints.how_to_go_on()}"
    )


def _is_of_run(error: OSError, checkpoints: Checkpoints) -> bool:
    """Whether it is the folder of the run that cannot be written."""
    out_dir = checkpoints.folder.parent
    return isinstance(error.filename, str) and Path(error.filename).is_relative_to(out_dir)
