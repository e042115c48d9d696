"""Several questions about one video, which is encoded and read once."""

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Literal, Self, Unpack, overload

from torch import Tensor

from kinema.inference.cache import GrowingCache
from kinema.inference.generate import Answer
from kinema.inference.request import SamplingOptions, build_sampling
from kinema.inference.runner import Prompt, Runner
from kinema.inference.sampling import SamplingConfig
from kinema.inference.usage import Usage
from kinema.processors.messages import Conversation, Message, Part, TextPart


class Session:
    """A talk about media that stay in the model's cache; made by ``VideoLanguageModel.session``.

    A question is read in the light of the earlier ones and their answers, word for word as one conversation.
    Only what is new is read: the time to the first token does not grow with the video.
    """

    def __init__(
        self,
        runner: Runner,
        media: tuple[Part, ...],
        sampling: SamplingConfig,
        *,
        opening: tuple[Message, ...] = (),
        on_usage: Callable[[Usage], None] = lambda usage: None,
    ) -> None:
        """Encode and read media.

        Args:
            runner: does the work.
            media: the parts that the first question will follow.
            sampling: how answers are drawn where a question does not say.
            opening: turns before the first question's, such as the system's.
            on_usage: told what each step took.
        """
        self.sampling = sampling
        self.last_usage = Usage()
        """Of the last question; of the media before the first."""
        self._runner, self._media, self._on_usage = runner, media, on_usage
        self._opening = self._messages = opening
        self._cache = GrowingCache(
            runner.network.language_model.config, device=runner.device, dtype=runner.dtype
        )
        self._pending: tuple[Answer, Usage] | None = None  # being written, not yet part of what was said
        self._held = self._read_media()
        self._num_media_tokens = len(self._held)

    @overload
    def ask(
        self, question: str, *, stream: Literal[False] = False, **options: Unpack[SamplingOptions]
    ) -> str: ...
    @overload
    def ask(
        self, question: str, *, stream: Literal[True], **options: Unpack[SamplingOptions]
    ) -> Iterator[str]: ...
    def ask(
        self, question: str, *, stream: bool = False, **options: Unpack[SamplingOptions]
    ) -> str | Iterator[str]:
        """Ask about the media, or about what was said.

        Args:
            question: what is asked.
            stream: return an iterator of pieces of text instead of the whole. The next question cuts off a
                stream that was not read to its end; what came of it counts as said.
            **options: how this answer is drawn.
        """
        self._settle()
        config = build_sampling(options, self.sampling, SamplingOptions)
        usage = self._new_usage()
        self._messages = (*self._messages, self._question(question))
        prompt = self._runner.tokenize(Conversation(messages=self._messages), usage.items)
        usage.prompt_tokens = len(prompt.ids)
        logits = self._read(prompt, usage)
        (answer,), rows = self._runner.write(logits, self._cache, [prompt], config, usage)
        self._pending = (answer, usage)
        pieces = self._pieces(answer, rows)
        return pieces if stream else "".join(pieces)

    def forget(self) -> None:
        """Forget what was said, keep the media."""
        self._settle()
        self._messages = self._opening

    def fork(self) -> "Session":
        """A session that knows what this one knows and goes its own way from here."""
        self._settle()
        copy = object.__new__(Session)
        copy.__dict__.update(self.__dict__)
        copy._cache, copy._held = self._cache.fork(), list(self._held)
        return copy

    @property
    def messages(self) -> tuple[Message, ...]:
        """What was said so far; an answer that is still being written is not in it."""
        return self._messages

    def close(self) -> None:
        """Give the cache's memory back."""
        self._settle()
        del self._cache

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _question(self, question: str) -> Message:
        is_first = len(self._messages) == len(self._opening)
        media = self._media if is_first else ()
        return Message(role="user", parts=(*media, TextPart(text=question)))

    def _read_media(self) -> list[int]:
        """Read up to the last visual token: what comes after it depends on the question."""
        if not self._media:
            return []
        usage = self.last_usage
        conversation = Conversation(messages=(*self._opening, Message(role="user", parts=self._media)))
        prompt, embeds = self._runner.embed(conversation, usage, answer=False)
        stop = len(prompt.ids) - prompt.is_visual[::-1].index(True)
        self._runner.read(embeds[:, :stop], self._cache, usage)
        usage.prompt_tokens = stop
        self._finish_usage(usage)
        return prompt.ids[:stop]

    def _read(self, prompt: Prompt, usage: Usage) -> Tensor:
        """Read what the cache does not hold yet; at least the last token, whose logits are wanted."""
        common = _common_length(self._held, prompt.ids[:-1])
        assert common >= self._num_media_tokens, "the media are the beginning of every prompt"
        self._cache.truncate_to(common)
        self._held = self._held[:common]
        logits = self._runner.read(self._runner.embed_text(prompt.ids[common:]), self._cache, usage)
        self._held += prompt.ids[common:]
        return logits

    def _pieces(self, answer: Answer, rows: Iterator[list[str]]) -> Iterator[str]:
        while self._pending is not None and self._pending[0] is answer:
            row = next(rows, None)
            if row is None:
                self._settle()
            elif row[0]:
                yield row[0]

    def _settle(self) -> None:
        """Make the answer that was being written part of what was said, as far as it came."""
        if self._pending is None:
            return
        (answer, usage), self._pending = self._pending, None
        text = TextPart(text=answer.text)
        self._messages = (*self._messages, Message(role="assistant", parts=(text,)))
        self._held += answer.tokens[: self._cache.length - len(self._held)]  # the last one was not read
        self._finish_usage(usage)

    def _new_usage(self) -> Usage:
        """Counts of a question: the media are part of its prompt, but were encoded before."""
        before = self.last_usage
        return Usage(items=before.items, visual_tokens=before.visual_tokens, kept_tokens=before.kept_tokens)

    def _finish_usage(self, usage: Usage) -> None:
        usage.cache_bytes = self._cache.size_bytes
        self.last_usage = usage
        self._on_usage(usage)


def _common_length(one: list[int], other: list[int]) -> int:
    """How many tokens two prompts begin with alike."""
    pairs = zip(one, other, strict=False)
    return next((index for index, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
