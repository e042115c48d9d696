"""Captions as the text encoder of InternVideo2 was trained on them (OpenGVLab/InternVideo, ``pre_text``)."""

import re

_DROPPED = re.compile(r"[,.'!?\"()*#:;~]")
_SPACES = re.compile(r"\s{2,}")


def clean_caption(text: str, *, max_words: int | None = None) -> str:
    """Lower case, most punctuation left out, hyphens and slashes as blanks, runs of blanks as one.

    Args:
        text: a caption.
        max_words: words that are kept; None for all.
    """
    plain = _DROPPED.sub("", text.lower()).replace("-", " ").replace("/", " ").replace("<person>", "person")
    plain = _SPACES.sub(" ", plain).rstrip("\n").strip(" ")
    return plain if max_words is None else " ".join(plain.split(" ")[:max_words])
