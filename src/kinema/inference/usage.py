"""What one answer took: frames, tokens and seconds."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from kinema.processors.visuals import VisualItem


@dataclass(kw_only=True)
class Usage:
    """Counts of one call; complete once its text has been read to the end.

    In a session, questions add nothing to ``encoded_tokens``, and ``prefilled_tokens`` is the question alone.
    """

    items: tuple[VisualItem, ...] = ()
    """The images and videos the answer is about: frames, their times, tokens kept of each."""
    visual_tokens: int = 0
    """Visual tokens before pruning."""
    kept_tokens: int = 0
    """Visual tokens that the language model reads."""
    prompt_tokens: int = 0
    """Tokens of the whole prompt, visual ones included."""
    encoded_tokens: int = 0
    """Visual tokens that the vision encoder made in this call."""
    prefilled_tokens: int = 0
    """Prompt tokens that the language model read in this call; the others were in its cache."""
    new_tokens: int = 0
    """Tokens written, ends of turns included."""
    cache_bytes: int = 0
    """Size of the key-value cache."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Time by part of the work: ``media`` (read, resize, tokenise), ``vision``, ``prefill``, ``decode``."""

    @property
    def tokens_per_second(self) -> float:
        """Speed of writing; 0 before anything was written."""
        decode_s = self.seconds.get("decode", 0.0)
        return self.new_tokens / decode_s if decode_s else 0.0

    @contextmanager
    def timed(self, part: str, device: torch.device) -> Iterator[None]:
        """Add the time of a block to ``seconds[part]``, with all work that it started on the device."""
        start = time.perf_counter()
        try:
            yield
        finally:
            synchronize(device)
            self.add_seconds(part, time.perf_counter() - start)

    def add_seconds(self, part: str, seconds: float) -> None:
        """Add to ``seconds[part]``."""
        self.seconds[part] = self.seconds.get(part, 0.0) + seconds

    def add_items(self, items: tuple[VisualItem, ...]) -> None:
        """Add images and videos that were encoded in this call."""
        self.items += items
        made = sum(item.num_tokens for item in items)
        self.encoded_tokens += made
        self.visual_tokens += made
        self.kept_tokens += sum(sum(item.tokens_per_frame) for item in items)


def synchronize(device: torch.device) -> None:
    """Wait until a device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
