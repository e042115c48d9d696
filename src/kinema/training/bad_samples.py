"""Samples that cannot be read: left out, counted by reason, named in a file, and too many of them refused."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from kinema.errors import DataError, InputError, MediaError, OutOfBudgetError
from kinema.training.json_lines import append_lines
from kinema.training.watched import ProcessDiedError, TookTooLongError

FILE_NAME = "bad_samples.jsonl"

MIN_SEEN = 100
"""Samples that a share is taken of at least, so that the first bad one does not stop a run."""

MAX_IN_A_ROW = 100
"""Bad samples one after the other that end a run whatever their share, such as when its data vanish late."""

REASONS: dict[type[Exception], str] = {
    TookTooLongError: "timed out",
    ProcessDiedError: "process died",
    MediaError: "unreadable media",
    DataError: "malformed record",
    InputError: "not what the model takes",
    OutOfBudgetError: "too long",
    OSError: "unreadable file",
}
"""What makes a sample bad; any other error is one of the recipe or of the code, and ends the run."""

BAD: tuple[type[Exception], ...] = tuple(REASONS)
"""For an except clause."""


@dataclass(frozen=True, kw_only=True)
class BadSample:
    """One sample that was left out."""

    index: int
    """Its number, as the stage's order has it."""
    media: tuple[str, ...]
    """Files that it names, if it came so far."""
    reason: str
    error: str

    @classmethod
    def of(cls, error: Exception, index: int, media: tuple[str, ...]) -> "BadSample":
        """A sample and what became of it."""
        reason = next(reason for kind, reason in REASONS.items() if isinstance(error, kind))
        return cls(index=index, media=media, reason=reason, error=str(error))


@dataclass
class BadSamples:
    """How many samples of a stage were bad, since this process began with it, in this process alone."""

    path: Path
    """Gets a line for each of them; processes of one run write to the same file."""
    stage: str
    max_share: float
    num_seen: int = 0
    num_in_a_row: int = 0
    """Bad ones since the last good one."""
    by_reason: Counter[str] = field(default_factory=Counter)

    @property
    def num_bad(self) -> int:
        """Of all reasons."""
        return self.by_reason.total()

    def add(self, step: int, samples: Sequence[BadSample | None]) -> None:
        """Count a step's samples and write the bad ones down.

        Args:
            step: its number, from 0.
            samples: in the order of the batch; None for a good one.

        Raises:
            DataError: if they are more than the share that is allowed, of ``MIN_SEEN`` samples at least, or
                ``MAX_IN_A_ROW`` follow each other.
            OSError: if the file cannot be written; names it.
        """
        bad = [sample for sample in samples if sample is not None]
        self.num_seen += len(samples)
        self.by_reason.update(sample.reason for sample in bad)
        if bad:
            lines = [{"stage": self.stage, "step": step + 1, **asdict(sample)} for sample in bad]
            append_lines(self.path, lines)
        if self.num_bad > self.max_share * max(self.num_seen, MIN_SEEN):
            counts = ", ".join(f"{reason} {count}" for reason, count in self.by_reason.most_common())
            raise self._too_many(
                f"{self.num_bad} of the {self.num_seen} samples seen are bad ({counts}), and max_bad_share "
                f"is {self.max_share:g}",
                bad[-1],
                "mend or remove them, or raise max_bad_share.",
            )
        for sample in samples:
            self.num_in_a_row = 0 if sample is None else self.num_in_a_row + 1
            if sample is not None and self.num_in_a_row == MAX_IN_A_ROW:
                raise self._too_many(
                    f"{MAX_IN_A_ROW} samples in a row are bad",
                    sample,
                    "see whether the data are there.",
                )

    def _too_many(self, what: str, last: BadSample, advice: str) -> DataError:
        names = ", ".join(last.media) or f"sample {last.index}"
        error = last.error.removeprefix(f"{names}: ").removesuffix(".")
        return DataError(
            f"stage {self.stage}: {what}. The last is {names}: {error}. All are in {self.path}: {advice}"
        )
