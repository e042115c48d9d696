"""What some published checkpoints need beside their own files, because it was published apart."""

from dataclasses import dataclass
from pathlib import Path

from kinema.errors import WeightsError
from kinema.hub.download import CHECKPOINT_FILES

VOCABULARY_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "added_tokens.json",
)
"""What is fetched of a repository for its vocabulary alone."""


@dataclass(frozen=True, kw_only=True)
class MissingPart:
    """One thing that a checkpoint needs beside its own files."""

    name: str
    """What users call it, such as ``tokenizer``."""
    what: str
    """The same in words, for errors."""
    published: str
    """Where it was published: a hub id, or a file of one."""
    is_fetched: bool = False
    """Whether the published one is taken where none is given. Vocabularies are; weights must be asked
    for."""
    files: tuple[str, ...] = CHECKPOINT_FILES
    """Patterns of what is fetched."""


def vocabulary_part(what: str, published: str) -> MissingPart:
    """A vocabulary: small, and fetched unasked."""
    return MissingPart(
        name="tokenizer", what=what, published=published, is_fetched=True, files=VOCABULARY_FILES
    )


def has_vocabulary(source: Path) -> bool:
    """Whether a folder, or that of a file, holds a vocabulary."""
    return any((folder_of(source) / name).is_file() for name in _VOCABULARIES)


def check_vocabulary(folder: Path, num_tokens: int, num_rows: int, *, is_apart: bool) -> None:
    """Refuse a vocabulary that does not belong to the weights.

    Args:
        folder: where it is, for the error.
        num_tokens: of the vocabulary.
        num_rows: of the embedding that reads it.
        is_apart: whether it was published apart from the weights, so that it may be any: then but one row,
            for padding, may be left over.

    Raises:
        WeightsError: naming both numbers.
    """
    if num_tokens > num_rows or (is_apart and num_tokens < num_rows - 1):
        raise WeightsError(
            f"{folder}: the vocabulary has {num_tokens} tokens, the text encoder {num_rows}; they do not "
            "belong together."
        )


_VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")


def folder_of(source: Path) -> Path:
    """A folder itself, or that of a file."""
    return source if source.is_dir() else source.parent
