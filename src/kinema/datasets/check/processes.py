"""Rows looked at by several processes: one that hangs is ended, and one that dies does not end the check."""

import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import torch

from kinema.datasets.check.media import Trouble
from kinema.datasets.check.row import Verdict
from kinema.datasets.fault import Fault

Check = Callable[[int], Verdict]

_ROWS_AT_ONCE = 32
"""Neighbouring rows that one process is given, as they often show the same media."""
_START_S = 120.0
"""Longest that a process may take to start, where it has to import all anew."""


def verdicts(check: Check, num_rows: int, *, jobs: int, timeout_s: float) -> Iterator[Verdict]:
    """The verdict of every row, in the order in which they come.

    Args:
        check: looks at a row; copied to the processes.
        num_rows: rows 0 to ``num_rows - 1`` are looked at.
        jobs: processes.
        timeout_s: of each row; past it the process is ended, and another goes on behind that row.
    """
    waiting = iter(
        [range(first, min(first + _ROWS_AT_ONCE, num_rows)) for first in range(0, num_rows, _ROWS_AT_ONCE)]
    )
    workers: list[_Worker] = []
    try:
        for _ in range(jobs):
            if (rows := next(waiting, None)) is not None:
                workers.append(_Worker(check, rows, timeout_s))
        while workers:
            patience_s = min(worker.deadline for worker in workers) - time.monotonic()
            ready = wait([worker.pipe for worker in workers], timeout=max(0.0, patience_s))
            for worker in list(workers):
                yield from worker.heard() if worker.pipe in ready else worker.overdue()
                if not worker.rows and not worker.give(next(waiting, None)):
                    workers.remove(worker)
    finally:
        for worker in workers:
            worker.end()


class _Worker:
    """A process and the rows that it has still to look at, the first of which it is at."""

    def __init__(self, check: Check, rows: range, timeout_s: float) -> None:
        self._check, self._timeout_s = check, timeout_s
        self.rows = rows
        self._start()

    def heard(self) -> Iterator[Verdict]:
        """What the process says, or that it died."""
        try:
            verdict = self.pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            yield self._pass_over(f"the process that read it ended with code {self._process.exitcode}.")
            return
        self.deadline = time.monotonic() + self._timeout_s
        if verdict is not None:  # the first word only says that it has started
            self.rows = self.rows[1:]
            yield verdict

    def overdue(self) -> Iterator[Verdict]:
        """That the process took too long, if it did."""
        if time.monotonic() >= self.deadline:
            yield self._pass_over(f"not read in {self._timeout_s:g} s.")

    def give(self, rows: range | None) -> bool:
        """More to do; None ends the process, and the answer is False."""
        if rows is None:
            self.end()
            return False
        self.rows = rows
        self.deadline = time.monotonic() + self._timeout_s
        self.pipe.send(rows)
        return True

    def end(self) -> None:
        """Stop the process, whatever it is at."""
        self._process.kill()
        self._process.join()
        self.pipe.close()

    def _pass_over(self, complaint: str) -> Verdict:
        index, self.rows = self.rows[0], self.rows[1:]
        self.end()
        self._start()
        return Verdict(index, Trouble(Fault.TIMED_OUT, complaint))

    def _start(self) -> None:
        self.pipe, theirs = multiprocessing.Pipe()
        self._process: BaseProcess = multiprocessing.Process(
            target=_work, args=(self._check, theirs), daemon=True
        )
        self._process.start()
        theirs.close()
        self.deadline = time.monotonic() + _START_S
        self.pipe.send(self.rows)


def _work(check: Check, pipe: Connection) -> None:
    """Look at rows until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    try:
        pipe.send(None)
        while True:
            for index in pipe.recv():
                pipe.send(check(index))
    except (EOFError, ConnectionError):
        return
