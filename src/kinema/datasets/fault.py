"""What can be wrong with a row of data."""

from enum import StrEnum

from kinema.errors import DataError


class Fault(StrEnum):
    """Why a row cannot be learned from; the value is what tables call it."""

    BROKEN = "broken"
    """Not JSON, not UTF-8, or not as many cells as columns."""
    MALFORMED = "malformed"
    """Of no known form, or with fields that are missing or of the wrong kind."""
    TAGS = "tags"
    """More or fewer tags than media."""
    NO_ANSWER = "no answer"
    """An answer without words, or none at all."""
    MISSING = "missing"
    """A file that is not there."""
    UNREADABLE = "unreadable"
    """A file that cannot be decoded, or not to its end."""
    OUTSIDE = "outside"
    """A time or a box that is not in the clip or picture."""
    REFUSED = "refused"
    """Something that the model does not take."""
    TOO_LONG = "too long"
    """More tokens than the model reads."""
    DUPLICATE = "duplicate"
    """The same media and words as an earlier row."""
    TIMED_OUT = "timed out"
    """Not read within the time it was given, or the process that read it died."""


class RowError(DataError):
    """A row that cannot be used, and why."""

    def __init__(self, where: str, complaint: str, fault: Fault) -> None:
        super().__init__(where, complaint, fault)  # all of it, or it could not be sent between processes
        self.where, self.complaint, self.fault = where, complaint, fault

    def __str__(self) -> str:
        return f"{self.where}: {self.complaint}"
