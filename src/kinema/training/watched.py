"""Work in a process of its own, which is ended where it takes too long, whatever it hangs in.

A limit that is kept inside a process can only stop Python. A decoder that waits for a file in native code
does not come back to it; the process that it runs in can still be ended from outside, and another begun.
"""

import multiprocessing
import os
import pickle
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from io import BytesIO
from multiprocessing.connection import Connection
from typing import Any, Literal, NamedTuple, NoReturn

import torch
from torch import Tensor

from kinema.errors import ConfigError, KinemaError

ORPHANED_AFTER_S = 10.0
"""Seconds past its limit after which a process ends itself, because whoever watched it is gone."""

Work = Callable[[Any], Iterator[Any]]
"""Tells one thing after another about what it was asked, the result last."""


class TookTooLongError(KinemaError):
    """The work was not done in time; its process was ended."""


class ProcessDiedError(KinemaError):
    """The process of the work ended by itself, as by a fault in native code or for want of memory."""


class Watched:
    """Does work in a process that is forked when it is first asked for, and anew after one was ended."""

    def __init__(self, work: Work, timeout_s: float) -> None:
        if not hasattr(os, "fork"):
            raise ConfigError("a limit of time needs a system that forks processes; set it to None here.")
        self.work, self.timeout_s = work, timeout_s
        self._child: _Child | None = None

    def __call__(self, asked: Any) -> Iterator[Any]:
        """What the work tells; has to be read to its end.

        Raises:
            TookTooLongError: if the end has not come after ``timeout_s``.
            ProcessDiedError: if the process died.
            KinemaError, OSError: as the work raises them; anything else it raises is a ``RuntimeError``.
        """
        child = self._child = self._child or _fork(self.work, self.timeout_s)
        _send(child.pipe, asked)
        deadline = time.monotonic() + self.timeout_s
        while (heard := self._hear(child, deadline)).kind == "told":
            yield heard.value
        if heard.kind == "raised":
            raise heard.value
        if heard.kind == "failed":
            raise RuntimeError(f"in the process that reads samples:\n{heard.value}")

    def close(self) -> None:
        """End the process, if there is one."""
        if self._child is not None:
            self._end(self._child)

    def _hear(self, child: "_Child", deadline: float) -> "_Heard":
        """The next thing that the process says."""
        if not child.pipe.poll(max(0.0, deadline - time.monotonic())):
            self._end(child)
            raise TookTooLongError(f"it was not read in {self.timeout_s:g} s")
        try:
            message = child.pipe.recv_bytes()
        except (EOFError, OSError) as error:
            raise ProcessDiedError(f"the process that read it {self._end(child)}") from error
        heard = pickle.loads(message)
        assert isinstance(heard, _Heard)
        return heard

    def _end(self, child: "_Child") -> str:
        """Kill the process, and say how it ended if it had done so before."""
        self._child = None
        child.pipe.close()
        ended, status = os.waitpid(child.pid, os.WNOHANG)
        if not ended:
            os.kill(child.pid, signal.SIGKILL)
            ended, status = _wait_briefly(child.pid)
        code = os.waitstatus_to_exitcode(status)
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"left with code {code}"

    def __del__(self) -> None:
        if getattr(self, "_child", None) is not None:
            self.close()


class _Child(NamedTuple):
    pid: int
    pipe: Connection


class _Heard(NamedTuple):
    kind: Literal["told", "end", "raised", "failed"]
    value: Any = None


def _fork(work: Work, timeout_s: float) -> _Child:
    """Begin a process; ``multiprocessing`` lets the loader's own processes begin none."""
    ours, theirs = multiprocessing.Pipe()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _serve(theirs, work, timeout_s)
    theirs.close()
    return _Child(pid, ours)


def _serve(pipe: Connection, work: Work, timeout_s: float) -> NoReturn:
    """Work until nobody asks any more. What ends a process without asking it, an alarm does as well."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        torch.set_num_threads(1)
        while True:
            asked = pickle.loads(pipe.recv_bytes())
            signal.setitimer(signal.ITIMER_REAL, timeout_s + ORPHANED_AFTER_S)
            _answer(pipe, work, asked)
            signal.setitimer(signal.ITIMER_REAL, 0)
    except (EOFError, ConnectionError):
        code = 0
    finally:
        os._exit(code)


def _answer(pipe: Connection, work: Work, asked: Any) -> None:
    try:
        for value in work(asked):
            _send(pipe, _Heard("told", value))
        _send(pipe, _Heard("end"))
    except (EOFError, ConnectionError):
        raise
    except (KinemaError, OSError) as error:
        _send(pipe, _Heard("raised", error))
    except Exception:  # noqa: BLE001 whatever it is, it is told to the process that asked, which raises it
        _send(pipe, _Heard("failed", traceback.format_exc()))


def _wait_briefly(pid: int, limit_s: float = 5.0) -> tuple[int, int]:
    """Wait for a killed process; one that waits for a broken disk may take for ever, and is left to it."""
    deadline = time.monotonic() + limit_s
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended or time.monotonic() > deadline:
            return ended, status
        time.sleep(0.01)


def _send(pipe: Connection, value: Any) -> None:
    buffer = BytesIO()
    _Pickler(buffer, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
    pipe.send_bytes(buffer.getbuffer())


class _Pickler(pickle.Pickler):
    """Tensors go as arrays: torch itself would copy them thrice, and all of what a view is a view of."""

    def reducer_override(self, value: Any) -> Any:
        if type(value) is Tensor and value.device.type == "cpu" and value.dtype != torch.bfloat16:
            return torch.from_numpy, (value.detach().numpy(),)
        return NotImplemented
