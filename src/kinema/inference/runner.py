"""From conversations to answers: encode, read, write; one road for a question, a batch and a session.

B rows, N prompt positions, D hidden size, V vocabulary.
"""

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kinema.errors import ConfigError
from kinema.inference.cache import BatchCache, StaticCache
from kinema.inference.generate import Answer, decode, prefill, write_answers
from kinema.inference.protocols import Network, Processor
from kinema.inference.sampling import Sampler, SamplingConfig
from kinema.inference.usage import Usage, synchronize
from kinema.processors.inputs import ModelInputs, Visual
from kinema.processors.messages import Conversation
from kinema.processors.visuals import VisualItem


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How much is worked on at a time. The answers are the same; memory is not."""

    max_patches: int = 4096
    """Patches that the vision encoder takes at a time; a larger frame is taken whole."""
    prefill_chunk: int = 2048
    """Positions of a prompt that the language model reads at a time."""

    def __post_init__(self) -> None:
        if min(self.max_patches, self.prefill_chunk) < 1:
            raise ConfigError(
                f"max_patches and prefill_chunk must be at least 1, got {self.max_patches} "
                f"and {self.prefill_chunk}."
            )

    @classmethod
    def for_device(cls, device: torch.device) -> "RunSettings":
        """What suits a device: a CPU is fastest, and needs least memory, with parts that fit its caches."""
        return cls(max_patches=1024) if device.type == "cpu" else cls()


@dataclass(frozen=True)
class Prompt:
    """A conversation as tokens."""

    ids: list[int]
    is_visual: list[bool]


class Runner:
    """A network and its processor at work on one device."""

    def __init__(
        self,
        network: Network,
        processor: Processor,
        eos_ids: Collection[int],
        settings: RunSettings,
        *,
        device: torch.device | None = None,
    ) -> None:
        """``device`` is where the work would be, for a network without weights; None for where they are."""
        self.network, self.processor, self.settings = network, processor, settings
        self.eos_ids = frozenset(eos_ids)
        weight = network.language_model.embed_tokens.weight
        self.device, self.dtype = device or weight.device, weight.dtype

    @property
    def weight_bytes(self) -> int:
        """Memory of the parameters, those shared by two parts once."""
        return sum(parameter.nbytes for parameter in self.network.parameters())

    def with_limits(self, *, max_tokens: int | None = None) -> "Runner":
        """The same with another limit of visual tokens in a conversation; None keeps it."""
        if max_tokens is None:
            return self
        return self._with_processor(self.processor.with_limits(max_tokens=max_tokens))

    def with_settings(self, **changes: Any) -> "Runner":
        """The same with some settings of the processor changed."""
        return self._with_processor(self.processor.with_settings(**changes))

    def _with_processor(self, processor: Processor) -> "Runner":
        return Runner(self.network, processor, self.eos_ids, self.settings, device=self.device)

    def tokenize(
        self, conversation: Conversation, items: Sequence[VisualItem], *, answer: bool = True
    ) -> Prompt:
        """The prompt, with the opening of the answer unless ``answer`` is False."""
        turns = self.processor.tokenize(conversation, items, add_generation_prompt=answer)
        ids = [token for turn in turns for token in turn.ids]
        return Prompt(ids, [flag for turn in turns for flag in turn.is_visual])

    @torch.inference_mode()
    def embed(
        self, conversation: Conversation, usage: Usage, *, answer: bool = True
    ) -> tuple[Prompt, Tensor]:
        """Read media, encode them, and embed the prompt.

        Returns:
            The prompt and its embeddings (1, N, D); pixels are let go.
        """
        with usage.timed("media", self.device):
            visuals = self.processor.encode(conversation)
            items = visuals.items if visuals else ()
            prompt = self.tokenize(conversation, items, answer=answer)
        usage.add_items(items)
        with usage.timed("vision", self.device):
            embeds = self._embed(prompt, visuals.inputs if visuals else None)
        return prompt, embeds

    @torch.inference_mode()
    def embed_text(self, ids: Sequence[int]) -> Tensor:
        """(N,) -> (1, N, D)."""
        return self.network.language_model.embed(torch.tensor([ids], device=self.device))

    def read(self, embeds: Tensor, cache: StaticCache, usage: Usage) -> Tensor:
        """Append a prompt's embeddings (1, N, D) to the cache; returns (1, V), logits of the next token."""
        start, stop = cache.length, cache.length + embeds.shape[1]
        with usage.timed("prefill", self.device):
            positions = torch.arange(start, stop, device=self.device)[None]
            logits = prefill(
                self.network.language_model, embeds, positions, cache, chunk=self.settings.prefill_chunk
            )
        usage.prefilled_tokens += stop - start
        return logits

    def answer(
        self, conversations: Sequence[Conversation], sampling: SamplingConfig, usage: Usage
    ) -> tuple[list[Answer], Iterator[list[str]]]:
        """Read conversations, then write their answers together as the iterator is read."""
        opened = [self.embed(conversation, usage) for conversation in conversations]
        prompts = [prompt for prompt, _ in opened]
        cache = BatchCache(
            self.network.language_model.config,
            [len(prompt.ids) for prompt in prompts],
            room=sampling.max_new_tokens,
            device=self.device,
            dtype=self.dtype,
        )
        usage.prompt_tokens = sum(len(prompt.ids) for prompt in prompts)
        usage.cache_bytes = cache.size_bytes
        rows = [self.read(embeds, cache.row(index), usage) for index, (_, embeds) in enumerate(opened)]
        return self.write(torch.cat(rows), cache, prompts, sampling, usage)

    def write(
        self,
        logits: Tensor,
        cache: StaticCache,
        prompts: Sequence[Prompt],
        sampling: SamplingConfig,
        usage: Usage,
    ) -> tuple[list[Answer], Iterator[list[str]]]:
        """Answers that fill as the iterator of their new pieces of text is read.

        Args:
            logits: (B, V) of the first token.
            cache: holds the prompts.
            prompts: one a row.
            sampling: how to choose.
            usage: counts tokens and time.
        """
        positions = torch.tensor([len(prompt.ids) for prompt in prompts], device=self.device)
        samplers = [Sampler(sampling, prompt_ids=prompt.ids, device=self.device) for prompt in prompts]
        answers = [Answer(self.processor.tokenizer, sampling, self.eos_ids) for _ in prompts]
        steps = decode(self.network.language_model, logits, cache, positions, samplers)
        return answers, self._counted(write_answers(steps, answers), answers, usage)

    def _counted(
        self, pieces: Iterator[list[str]], answers: Sequence[Answer], usage: Usage
    ) -> Iterator[list[str]]:
        """Count time while the model works, not while the reader of the pieces does."""
        while True:
            start = time.perf_counter()
            row = next(pieces, None)
            synchronize(self.device)
            usage.add_seconds("decode", time.perf_counter() - start)
            if row is None:
                return
            usage.new_tokens = sum(len(answer.tokens) for answer in answers)
            yield row

    def _embed(self, prompt: Prompt, visual: Visual | None) -> Tensor:
        inputs = ModelInputs(
            input_ids=torch.tensor([prompt.ids]),
            position_ids=torch.arange(len(prompt.ids))[None],
            visual=visual,
            visual_mask=torch.tensor([prompt.is_visual]),
        )
        return self.network.embed(inputs.to(self.device, self.dtype), max_patches=self.settings.max_patches)
