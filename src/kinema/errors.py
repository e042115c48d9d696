"""Every error that kinema raises on purpose.

A message says what was given, what was expected, and what to do next, in one line where it can.
The command line prints that line and leaves with ``exit_code``; a traceback is shown on ``--debug`` only.
"""


class KinemaError(Exception):
    """Something the caller can put right; the base of all errors below."""

    exit_code = 1


class ConfigError(KinemaError, ValueError):
    """A setting has a value that cannot work."""

    exit_code = 2


class InputError(KinemaError, ValueError):
    """A message, a question or a tensor is not what the model takes."""

    exit_code = 2


class TagError(InputError):
    """A text has another number of places for media than there are media."""


class MediaError(KinemaError):
    """A file cannot be read as the video, image or sound it was asked for."""

    exit_code = 3


class WeightsError(KinemaError):
    """A checkpoint is missing, incomplete, or not the layout it was taken for."""

    exit_code = 4


class OutOfBudgetError(KinemaError, MemoryError):
    """The forecast of tokens or memory is above what the device or the model allows."""

    exit_code = 5


class DataError(KinemaError):
    """A record of a data set is malformed; names the file and the record."""

    exit_code = 6


class MissingExtraError(KinemaError, ImportError):
    """An optional package is needed; names the extra that brings it."""

    exit_code = 7


class TrainingError(KinemaError):
    """A training run cannot go on; names what is kept of it, and how it goes on."""

    exit_code = 8


class StoppedError(TrainingError):
    """A training run was asked to stop, and did: what it had learned is kept."""

    def __init__(self, message: str, signal: int) -> None:
        """The exit code is that of a process which the signal ended."""
        super().__init__(message)
        self.exit_code = 128 + signal


class MediaWarning(UserWarning):
    """A file was read, but not all of it is there or it is not what it says."""


class ModelWarning(UserWarning):
    """A model is used in a way that its weights were not trained for."""
