"""Choose the next token from its logits: greedy, or drawn at a temperature from the likeliest.

The rules and their order are those of transformers 5.x (``generation/logits_process.py``): repetition
penalty, temperature, top-k, top-p. V vocabulary.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from kinema.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How an answer is drawn, and where it ends besides the model's own end-of-turn token."""

    max_new_tokens: int = 512
    """Longest answer in tokens."""
    temperature: float = 0.0
    """0 takes the likeliest token each time; higher is more varied."""
    top_k: int | None = None
    """Draw from the k likeliest only; None for all."""
    top_p: float = 1.0
    """Draw from the likeliest that together have this probability."""
    repetition_penalty: float = 1.0
    """Divides the logits of what was written already, where they are positive, and multiplies the others."""
    penalise_prompt: bool = False
    """Whether the prompt counts as written. The official code penalises new tokens only, because it passes
    embeddings and has no ids of the prompt; transformers' own class counts the prompt."""
    stop: tuple[str, ...] = ()
    """The answer ends before the first of these strings."""
    seed: int = 0
    """Of the random numbers of this answer; no other randomness touches it."""

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ConfigError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}.")
        if self.temperature < 0:
            raise ConfigError(f"temperature must be 0 (greedy) or above, got {self.temperature}.")
        if self.top_k is not None and self.top_k < 1:
            raise ConfigError(f"top_k must be at least 1, or None for all tokens, got {self.top_k}.")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p must be above 0 and at most 1, got {self.top_p}.")
        if self.repetition_penalty <= 0:
            raise ConfigError(f"repetition_penalty must be above 0, got {self.repetition_penalty}.")
        if isinstance(self.stop, str) or "" in self.stop:
            raise ConfigError(f"stop must be a tuple of strings that are not empty, got {self.stop!r}.")


class Sampler:
    """Draws the tokens of one answer."""

    def __init__(
        self, config: SamplingConfig, *, prompt_ids: Iterable[int] = (), device: torch.device | str = "cpu"
    ) -> None:
        self.config = config
        self._generator = torch.Generator(device=device).manual_seed(config.seed)
        self._written = set(prompt_ids) if config.penalise_prompt else set()

    def __call__(self, logits: Tensor) -> int:
        """The next token from logits (V,)."""
        token = self._choose(logits.float())
        self._written.add(token)
        return token

    def _choose(self, logits: Tensor) -> int:
        config = self.config
        if config.repetition_penalty != 1.0 and self._written:
            logits = penalise(logits, sorted(self._written), config.repetition_penalty)
        if config.temperature == 0:
            return int(logits.argmax())
        logits = logits / config.temperature
        if config.top_k is not None:
            logits = keep_top_k(logits, config.top_k)
        if config.top_p < 1:
            logits = keep_top_p(logits, config.top_p)
        return int(torch.multinomial(logits.softmax(-1), 1, generator=self._generator))


def penalise(logits: Tensor, tokens: Iterable[int], penalty: float) -> Tensor:
    """Make tokens less likely (arXiv 1909.05858): positive logits are divided, negative ones multiplied.

    Args:
        logits: (V,).
        tokens: ids that were written already, each once.
        penalty: 1 changes nothing.

    Returns:
        (V,), a new tensor.
    """
    index = torch.tensor(list(tokens), device=logits.device)
    chosen = logits[index]
    return logits.index_copy(0, index, torch.where(chosen < 0, chosen * penalty, chosen / penalty))


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Minus infinity for all but the k largest of (V,); those equal to the k-th stay too."""
    smallest = logits.topk(min(k, len(logits))).values[-1]
    return logits.masked_fill(logits < smallest, -torch.inf)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Minus infinity for all of (V,) but the likeliest that together reach p (arXiv 1904.09751)."""
    ascending, order = logits.sort()
    dropped = ascending.softmax(-1).cumsum(-1) <= 1 - p
    dropped[-1] = False
    return logits.masked_fill(torch.zeros_like(dropped).scatter(0, order, dropped), -torch.inf)
