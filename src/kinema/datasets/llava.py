"""Training records of LLaVA and Video-LLaVA: objects with ``image`` or ``video``, and ``conversations``.

Where the original puts a random other record in place of a broken one, we raise an error that names it.
"""

from dataclasses import dataclass
from pathlib import Path

from kinema.datasets.own import FormName, OwnRecords


@dataclass(frozen=True, kw_only=True)
class LlavaRecords(OwnRecords):
    """Records of one's own that have no other form, on this machine."""

    files: tuple[Path, ...]
    format: FormName | None = "llava"
