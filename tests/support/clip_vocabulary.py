"""A CLIP vocabulary small enough to be made in a test: every byte, some words, start and end."""

import json
from pathlib import Path

from tokenizers import Tokenizer, pre_tokenizers

from kinema.hub.tokenizer import load_tokenizer

MERGES = ("c a", "ca t</w>", "d o", "do g</w>", "b a", "ba r", "bar k", "bark s</w>", "t h", "th e</w>")


def write_vocabulary(folder: Path) -> Path:
    """Write ``vocab.json`` and ``merges.txt`` into a folder; the end token has the largest id."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [merge.replace(" ", "") for merge in MERGES]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *words, "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *MERGES]))
    return folder


def small_tokenizer(folder: Path) -> Tokenizer:
    """That vocabulary as a tokenizer; the files go into ``folder``."""
    return load_tokenizer(write_vocabulary(folder))
