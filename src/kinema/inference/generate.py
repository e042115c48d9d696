"""The decode loop: read the prompt in pieces, then write one token a step until the answer ends.

B rows, N prompt positions, D hidden size, V vocabulary.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kinema.inference.sampling import Sampler, SamplingConfig
from kinema.inference.stream import TextDecoder, TextStream
from kinema.modules.language.cache import KeyValueCache
from kinema.modules.language.decoder import Decoder


@dataclass(frozen=True)
class Step:
    """One token of one answer."""

    token: int
    logits: Tensor
    """(V,), from which it was chosen."""

    @property
    def probability(self) -> float:
        """What the model gave this token, before temperature and filters."""
        return float(self.logits.float().softmax(-1)[self.token])


@torch.inference_mode()
def prefill(
    language_model: Decoder,
    inputs_embeds: Tensor,
    position_ids: Tensor,
    cache: KeyValueCache,
    *,
    chunk: int | None = None,
) -> Tensor:
    """Read a prompt into the cache.

    Args:
        language_model: the decoder.
        inputs_embeds: (1, N, D), what comes after the positions the cache holds.
        position_ids: (1, N).
        cache: takes the keys and values.
        chunk: positions read at a time; the numbers are the same and the activations stay small. None reads
            all at once.

    Returns:
        (1, V), logits of the token after the prompt.
    """
    num_positions = inputs_embeds.shape[1]
    step = num_positions if chunk is None else chunk
    for start in range(0, num_positions, step):
        part = slice(start, start + step)
        hidden_states = language_model(inputs_embeds[:, part], position_ids[:, part], cache=cache)
    return language_model.logits(hidden_states[:, -1])


@torch.inference_mode()
def decode(
    language_model: Decoder,
    logits: Tensor,
    cache: KeyValueCache,
    positions: Tensor,
    samplers: Sequence[Sampler],
) -> Iterator[list[Step]]:
    """Write on without end; the caller stops taking.

    Args:
        language_model: the decoder.
        logits: (B, V) of the first new token.
        cache: holds the prompts of all rows.
        positions: (B,), position of the first new token of each row.
        samplers: one a row.

    Yields:
        One step a row.
    """
    while True:
        steps = [Step(sample(row), row) for sample, row in zip(samplers, logits, strict=True)]
        yield steps
        tokens = torch.tensor([[step.token] for step in steps], device=logits.device)  # (B, 1)
        embeds = language_model.embed(tokens)  # (B, 1, D)
        hidden_states = language_model(embeds, positions[:, None], cache=cache)
        logits = language_model.logits(hidden_states[:, -1])
        positions = positions + 1


class Answer:
    """One answer as it is written: its tokens, its text, how likely it was, and why it ended."""

    def __init__(self, decoder: TextDecoder, config: SamplingConfig, eos_ids: Collection[int]) -> None:
        self.tokens: list[int] = []
        """All tokens chosen, with the end-of-turn token if there was one."""
        self.probabilities: list[float] = []
        """What the model gave each of them."""
        self.text = ""
        self.finish_reason: str | None = None
        """``"eos"``, ``"stop"`` (a stop string) or ``"length"``; None while it is written."""
        self._config, self._eos_ids = config, eos_ids
        self._stream = TextStream(decoder, config.stop)

    @property
    def probability(self) -> float:
        """Mean probability of the tokens, 0 to 1."""
        return sum(self.probabilities) / len(self.probabilities) if self.probabilities else 0.0

    def take(self, step: Step) -> str:
        """Add a token, return the text that can be shown now; empty once the answer has ended."""
        if self.finish_reason is not None:
            return ""
        self.tokens.append(step.token)
        self.probabilities.append(step.probability)
        piece = "" if step.token in self._eos_ids else self._stream.push(step.token)
        if step.token in self._eos_ids:
            self.finish_reason = "eos"
        elif self._stream.stopped:
            self.finish_reason = "stop"
        elif len(self.tokens) == self._config.max_new_tokens:
            self.finish_reason = "length"
        if self.finish_reason is not None:
            piece += self._stream.finish()
        self.text += piece
        return piece


def write_answers(steps: Iterator[list[Step]], answers: Sequence[Answer]) -> Iterator[list[str]]:
    """Take steps until every answer has ended.

    Yields:
        The pieces of text that a step added, one an answer; those of answers that have ended are empty.
    """
    for row in steps:
        yield [answer.take(step) for answer, step in zip(answers, row, strict=True)]
        if all(answer.finish_reason is not None for answer in answers):
            return
