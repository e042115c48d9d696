"""Samples that cannot be read: left out, counted by reason, named in a file, and too many of them refused."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from kinema.errors import DataError, InputError, MediaError, OutOfBudgetError
from kinema.training.watched import ProcessDiedError, TookTooLongError

FILE_NAME = "bad_samples.jsonl"

MIN_SEEN = 100
"""Samples that a share is taken of at least, so that the first bad one does not stop a run."""

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
    by_reason: Counter[str] = field(default_factory=Counter)

    @property
    def num_bad(self) -> int:
        """Of all reasons."""
        return self.by_reason.total()

    def add(self, step: int, num_seen: int, bad: Sequence[BadSample]) -> None:
        """Count a step's samples and write the bad ones down.

        Raises:
            DataError: if they are more than the share that is allowed, of ``MIN_SEEN`` samples at least.
        """
        self.num_seen += num_seen
        self.by_reason.update(sample.reason for sample in bad)
        if not bad:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps({"stage": self.stage, "step": step + 1, **asdict(sample)}) for sample in bad]
        with self.path.open("a", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in lines))
        if self.num_bad > self.max_share * max(self.num_seen, MIN_SEEN):
            counts = ", ".join(f"{reason} {count}" for reason, count in self.by_reason.most_common())
            names = ", ".join(bad[-1].media) or f"sample {bad[-1].index}"
            last = bad[-1].error.removeprefix(f"{names}: ").removesuffix(".")
            raise DataError(
                f"stage {self.stage}: {self.num_bad} of the {self.num_seen} samples seen are bad ({counts}), "
                f"and max_bad_share is {self.max_share:g}. The last is {names}: {last}. All are in "
                f"{self.path}; mend or remove them, or raise max_bad_share."
            )
