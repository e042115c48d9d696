"""A vocabulary of word pieces small enough to be made in a test."""

from pathlib import Path

from tokenizers import Tokenizer

from kinema.hub.tokenizer import load_tokenizer

PIECES = (
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "a",
    "cat",
    "dog",
    "bark",
    "##s",
    "the",
    "[",
    "]",
    "mask",
)


def small_tokenizer(folder: Path) -> Tokenizer:
    """That vocabulary as a tokenizer; ``vocab.txt`` goes into ``folder``."""
    (folder / "vocab.txt").write_text("\n".join(PIECES))
    return load_tokenizer(folder)
