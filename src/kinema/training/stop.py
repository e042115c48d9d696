"""A stop that is asked for, by Ctrl-C or by the SIGTERM of a scheduler: the step under way is finished."""

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether somebody has asked for a stop, and by which signal."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    @property
    def is_made(self) -> bool:
        """Whether the run is to end after the step under way."""
        return self.signal is not None


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Within, the first signal is a request; the second ends the process as it would have without us.

    Signals reach the main thread only; in another one no request is ever made.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) or signal.SIG_DFL for number in _SIGNALS}

    def ask(number: int, frame: FrameType | None) -> None:
        request.signal = signal.Signals(number)
        _restore(before)

    for number in _SIGNALS:
        signal.signal(number, ask)
    try:
        yield request
    finally:
        _restore(before)


def outlive_a_stop(worker: int) -> None:
    """Let a process that prepares batches leave a stop to the one that trains; signals often reach both.

    A second SIGTERM ends it, which is how the loader ends one that hangs.

    Args:
        worker: its number, on which nothing depends; this is a ``worker_init_fn``.
    """

    def let_the_next_pass(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, let_the_next_pass)


def _restore(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
