"""Data of one's own, in the files and forms that people have them in: ``open_records``."""

from kinema.datasets.own.forms import FormName
from kinema.datasets.own.records import OwnRecords, open_records

__all__ = ["FormName", "OwnRecords", "open_records"]
