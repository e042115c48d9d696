"""The object users hold: a model and its processor, asked about media.

model = kinema.load("DAMO-NLP-SG/VideoLLaMA3-2B")
model.ask("clip.mp4", "What happens after the dog barks?")
"""

from collections.abc import Collection, Iterator, Sequence
from copy import copy
from typing import Any, Literal, Unpack, overload

from kinema.errors import InputError
from kinema.inference.generate import Answer
from kinema.inference.plan import Plan, check_plan, make_plan
from kinema.inference.profile import DomainGuard, Profile
from kinema.inference.protocols import Network, Processor
from kinema.inference.request import (
    AskOptions,
    Media,
    Request,
    build_request,
    build_sampling,
    media_parts,
    shown_range,
    system_messages,
)
from kinema.inference.runner import Runner, RunSettings
from kinema.inference.sampling import SamplingConfig
from kinema.inference.session import Session
from kinema.inference.spans import Span, parse_spans
from kinema.inference.usage import Usage
from kinema.processors.messages import Conversation, Message, TextPart


class VideoLanguageModel:
    """Answers questions about video, images and text. Made by ``kinema.load``."""

    def __init__(
        self,
        network: Network,
        processor: Processor,
        *,
        eos_ids: Collection[int],
        sampling: SamplingConfig | None = None,
        settings: RunSettings | None = None,
        profile: Profile | None = None,
    ) -> None:
        """Put together what belongs together.

        Args:
            network: in evaluation mode, on its device.
            processor: of that network.
            eos_ids: tokens that end an answer.
            sampling: how answers are drawn where a call does not say.
            settings: how much is worked on at a time; None for what suits the device.
            profile: how the checkpoint wants to be asked, and what it knows.
        """
        self.sampling = sampling or SamplingConfig()
        self.profile = profile or Profile()
        self.last_usage = Usage()
        """What the last call took; complete once its text has been read to the end."""
        device = network.language_model.embed_tokens.weight.device
        self._runner = Runner(network, processor, eos_ids, settings or RunSettings.for_device(device))
        self._guard = DomainGuard(self.profile)

    @property
    def network(self) -> Network:
        """The model."""
        return self._runner.network

    @property
    def processor(self) -> Processor:
        """What turns conversations into its inputs."""
        return self._runner.processor

    def with_settings(self, **changes: Any) -> "VideoLanguageModel":
        """The same model, its weights shared, with some settings of its processor changed.

        Args:
            **changes: fields of the processor's config, such as ``pruning=NoPruning()``.
        """
        changed = copy(self)
        changed._runner = self._runner.with_settings(**changes)
        return changed

    @overload
    def ask(
        self,
        media: Media,
        question: str | None = None,
        *,
        stream: Literal[False] = False,
        **options: Unpack[AskOptions],
    ) -> str: ...
    @overload
    def ask(
        self,
        media: Media,
        question: str | None = None,
        *,
        stream: Literal[True],
        **options: Unpack[AskOptions],
    ) -> Iterator[str]: ...
    def ask(
        self,
        media: Media,
        question: str | None = None,
        *,
        stream: bool = False,
        **options: Unpack[AskOptions],
    ) -> str | Iterator[str]:
        """Ask a question.

        Args:
            media: a video, image or sound, as path, URL, bytes or open file; decoded frames or sound; several
                of these in a list; a whole conversation, which the question continues; or None for text.
            question: what is asked; None only where a conversation ends with the question.
            stream: return an iterator of pieces of text, as they are written, instead of the whole. Media are
                read before it is returned.
            **options: which frames, how large, and how the answer is drawn, see ``AskOptions``.

        Raises:
            InputError: if there is nothing to ask, or the model does not take what is given.
            MediaError: if a file cannot be read.
            OutOfBudgetError: if a forecast says that it will not fit, with the settings that make it fit.
        """
        _, pieces = self._start(build_request(media, question, options, self.sampling))
        return pieces if stream else "".join(pieces)

    def caption(self, media: Media, **options: Unpack[AskOptions]) -> str:
        """Describe media, asked in the words that the model was trained with."""
        return self.ask(media, self.profile.caption_prompt, **options)

    def chat(self, conversation: Conversation, **options: Unpack[AskOptions]) -> str:
        """The next turn of a conversation that ends with the user's."""
        return self.ask(conversation, **options)

    def ask_batch(
        self, questions: Sequence[tuple[Media, str] | Conversation], **options: Unpack[AskOptions]
    ) -> list[str]:
        """Answer several questions together, each as it would be answered alone.

        Prompts are read one by one; the answers are written together, which takes hardly longer than one.
        """
        if not questions:
            raise InputError("a batch needs at least one question.")
        pairs = [(one, None) if isinstance(one, Conversation) else one for one in questions]
        requests = [build_request(media, question, options, self.sampling) for media, question in pairs]
        answers, rows = self._start_batch(requests)
        for _ in rows:
            pass
        return [answer.text for answer in answers]

    def session(self, media: Media = None, **options: Unpack[AskOptions]) -> Session:
        """Talk about media, which are encoded and read once.

        Use it in a ``with``, which gives the memory of its cache back at the end. Options of how answers are
        drawn hold for all questions that do not say otherwise.
        """
        if isinstance(media, Conversation):
            raise InputError("a session begins with media; ask a whole conversation with chat.")
        parts, system = media_parts(media, options), system_messages(options)
        sampling = build_sampling(options, self.sampling, AskOptions)
        first = Message(role="user", parts=(*parts, TextPart(text="")))
        request = Request(Conversation(messages=(*system, first)), sampling, options.get("max_tokens"))
        runner = self._checked([request])
        return Session(runner, parts, sampling, opening=system, on_usage=self._set_usage)

    def locate(self, media: Media, text: str, **options: Unpack[AskOptions]) -> list[Span]:
        """When something happens in a video.

        Args:
            media: one video.
            text: what to look for, such as ``"the dog barks"``.
            **options: see ``AskOptions``.

        Returns:
            The spans that the model wrote, in its order, clipped to the part of the video that was asked
            about. Their score is the mean probability of the tokens of the answer.
        """
        question = self.profile.locate_prompt.format(text=text)
        request = build_request(media, question, options, self.sampling)
        start_s, end_s = shown_range(request.conversation)
        answer, pieces = self._start(request)
        written = "".join(pieces)
        return parse_spans(written, score=answer.probability, start_s=start_s, end_s=end_s)

    def plan(self, media: Media, question: str | None = None, **options: Unpack[AskOptions]) -> Plan:
        """Forecast tokens and memory of ``ask`` with the same arguments; print it, or take ``to_dict()``."""
        request = build_request(media, question or "", options, self.sampling)
        runner = self._runner.with_limits(max_tokens=request.max_tokens)
        return make_plan(runner, [request.conversation], request.sampling)

    def _start(self, request: Request) -> tuple[Answer, Iterator[str]]:
        """Read a prompt; the answer fills as its pieces are taken."""
        (answer,), rows = self._start_batch([request])
        return answer, (piece for (piece,) in rows if piece)

    def _start_batch(self, requests: Sequence[Request]) -> tuple[list[Answer], Iterator[list[str]]]:
        runner = self._checked(requests)
        usage = self.last_usage = Usage()
        conversations = [request.conversation for request in requests]
        return runner.answer(conversations, requests[0].sampling, usage)

    def _checked(self, requests: Sequence[Request]) -> Runner:
        """What will do the work, once it is known to fit and the user knows what the model does not."""
        conversations = [request.conversation for request in requests]
        messages = [message for conversation in conversations for message in conversation.messages]
        self._guard.check(part for message in messages for part in message.parts)
        runner = self._runner.with_limits(max_tokens=requests[0].max_tokens)
        check_plan(runner, conversations, requests[0].sampling)
        return runner

    def _set_usage(self, usage: Usage) -> None:
        self.last_usage = usage
