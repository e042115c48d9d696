"""Conversations in other people's formats, read and written without loss.

What a format cannot say is refused when it is written; what would be lost is refused when it is read.
"""

from kinema.processors.dialects.huggingface import from_huggingface, to_huggingface
from kinema.processors.dialects.openai import from_openai, to_openai
from kinema.processors.dialects.sharegpt import from_sharegpt, to_sharegpt

__all__ = [
    "from_huggingface",
    "from_openai",
    "from_sharegpt",
    "to_huggingface",
    "to_openai",
    "to_sharegpt",
]
