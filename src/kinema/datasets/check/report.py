"""What is wrong with a data set, counted by reason."""

from bisect import insort
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kinema.datasets.check.budget import TokenBudget
from kinema.datasets.check.media import Trouble
from kinema.datasets.check.processes import verdicts
from kinema.datasets.check.row import RowCheck
from kinema.datasets.fault import Fault
from kinema.datasets.own.records import OwnRecords
from kinema.errors import ConfigError


class Example(NamedTuple):
    """A row that cannot be learned from, and why."""

    row: int
    complaint: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """What came of a check."""

    num_rows: int
    good: NDArray[np.int64]
    """Numbers of the rows that can be learned from."""
    counts: Mapping[Fault, int]
    """Rows of each fault that there is; a row has one, the first that was found."""
    examples: Mapping[Fault, tuple[Example, ...]]
    """The first rows of each."""

    @property
    def num_bad(self) -> int:
        """Rows that cannot be learned from."""
        return self.num_rows - len(self.good)


def check_records(
    records: OwnRecords,
    *,
    budget: TokenBudget | None = None,
    jobs: int = 1,
    timeout_s: float = 60.0,
    num_examples: int = 3,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Look at every row, and at all media that it names.

    Of a row 9 bytes are kept, and 16 where it begins and ends in its file.

    Args:
        records: a data set; its rows may be broken, its files must be such that rows can be found.
        budget: a model's processor and the most tokens of a sample; None for any length.
        jobs: processes.
        timeout_s: of each row; what takes longer is given up.
        num_examples: rows of each fault that are told.
        progress: called with how many rows are done, and how many there are.

    Raises:
        ConfigError: if there are no processes, or no time.
        DataError: if a file is not there, or its rows cannot be found.
    """
    if jobs < 1 or timeout_s <= 0:
        raise ConfigError(f"a check needs processes and time, got jobs={jobs} and timeout_s={timeout_s}.")
    tally = _Tally(len(records), num_examples)
    check = RowCheck(records=records, budget=budget)
    for done, verdict in enumerate(verdicts(check, len(records), jobs=jobs, timeout_s=timeout_s), start=1):
        if verdict.trouble is not None:
            tally.add(verdict.row, verdict.trouble)
        tally.digests[verdict.row] = verdict.digest
        if progress is not None:
            progress(done, len(records))
    tally.add_duplicates()
    return tally.report()


class _Tally:
    def __init__(self, num_rows: int, num_examples: int) -> None:
        self.digests = np.zeros(num_rows, np.uint64)
        self._is_bad = np.zeros(num_rows, np.bool_)
        self._counts: dict[Fault, int] = {}
        self._examples: dict[Fault, list[Example]] = {}
        self._num_examples = num_examples

    def add(self, index: int, trouble: Trouble) -> None:
        self._is_bad[index] = True
        self._counts[trouble.fault] = self._counts.get(trouble.fault, 0) + 1
        examples = self._examples.setdefault(trouble.fault, [])
        insort(examples, Example(index, trouble.complaint))
        del examples[self._num_examples :]

    def add_duplicates(self) -> None:
        """Of good rows that are the same, the first stays good."""
        good = np.flatnonzero(~self._is_bad)
        order = good[np.argsort(self.digests[good], kind="stable")]
        is_new = np.ones(len(order), np.bool_)
        is_new[1:] = self.digests[order[1:]] != self.digests[order[:-1]]
        firsts = order[np.maximum.accumulate(np.where(is_new, np.arange(len(order)), 0))]
        for index, first in zip(order[~is_new].tolist(), firsts[~is_new].tolist(), strict=True):
            self.add(index, Trouble(Fault.DUPLICATE, f"the same media and words as row {first}."))

    def report(self) -> Report:
        return Report(
            num_rows=len(self._is_bad),
            good=np.flatnonzero(~self._is_bad),
            counts={fault: self._counts[fault] for fault in Fault if fault in self._counts},
            examples={fault: tuple(self._examples[fault]) for fault in Fault if fault in self._examples},
        )
