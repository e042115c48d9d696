"""Whether every row of a data set can be learned from: ``check_records``."""

from kinema.datasets.check.budget import Measurer, TokenBudget
from kinema.datasets.check.report import Example, Report, check_records

__all__ = ["Example", "Measurer", "Report", "TokenBudget", "check_records"]
