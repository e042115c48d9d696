"""Prompts of VideoChat2 and InternVideo2-Chat: media in a turn of their own, then questions and answers.

``[INST] <Video>...</Video>[/INST] [INST] question [/INST]answer</s>`` (OpenGVLab/InternVideo2-Chat-8B). Tags
around media are words; each view of an image or video has a pair of them. Those of sounds are ours: of the
audio captioner nothing was released. With InternLM2.5 turns stand between its own marks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from kinema.errors import ConfigError, InputError
from kinema.processors.chat import Control, PartTokens, Piece, Placeholders, Turn
from kinema.processors.messages import AudioPart, Conversation, ImagePart, Message, TextPart, VideoPart

_BEGIN = Control("<s>")

Pieces = tuple[Piece, ...]


@dataclass(frozen=True, kw_only=True)
class _Marks:
    """What stands before and behind what is said."""

    instruction: tuple[Pieces, Pieces]
    media: tuple[Pieces, Pieces]
    question: tuple[Pieces, Pieces]
    answer: tuple[Pieces, Pieces]
    tags: Mapping[type, str]
    stops: tuple[str, ...]
    """Tokens that end an answer."""


def _inst() -> _Marks:
    opening, closing = Control("[INST]"), Control("[/INST]")
    return _Marks(
        instruction=((), ()),
        media=((opening, " "), (closing,)),
        question=((" ", opening, " "), (" ", closing)),
        answer=(("",), (Control("</s>"),)),
        tags={ImagePart: "Image", VideoPart: "Video", AudioPart: "Audio"},
        stops=("</s>",),
    )


def _chatml() -> _Marks:
    opening, closing = Control("<|im_start|>"), (Control("<|im_end|>"), "\n")
    return _Marks(
        instruction=((opening, "system\n"), closing),
        media=((opening, "user\n"), closing),
        question=((opening, "user\n"), closing),
        answer=((opening, "assistant\n"), (*closing, Control("</s>"))),
        tags={ImagePart: "img", VideoPart: "vid", AudioPart: "audio"},
        stops=("<|im_end|>", "</s>"),
    )


_MARKS = {"inst": _inst(), "chatml": _chatml()}

PLACEHOLDER = "<unk>"
"""What features take the place of: the id 0, which no text has."""


@dataclass(frozen=True, kw_only=True)
class InstTemplate:
    """How a conversation becomes a prompt."""

    marks: Literal["inst", "chatml"] = "inst"
    """Whose marks stand around turns: Mistral's ``[INST]``, or InternLM2's ``<|im_start|>`` as in the public
    training code, which also writes ``<vid>`` and ``<img>`` around media."""
    begins_segments: bool = True
    """Whether every stretch of text between media begins with ``<s>``, as in the released chat method. The
    public training code writes none at all."""
    frame_times: bool = False
    """Whether the times of a video's frames are told after it, as VideoChat2 was trained; the released
    InternVideo2 models were not."""

    def __post_init__(self) -> None:
        if self.marks not in _MARKS:
            raise ConfigError(f"marks must be 'inst' or 'chatml', got {self.marks!r}.")

    @property
    def control_tokens(self) -> tuple[str, ...]:
        """What a vocabulary must have, in the order of the alphabet."""
        marks = _MARKS[self.marks]
        around = (marks.instruction, marks.media, marks.question, marks.answer)
        pieces = (piece for pair in around for pieces in pair for piece in pieces)
        return tuple(sorted({piece.token for piece in pieces if isinstance(piece, Control)}))

    @property
    def stop_tokens(self) -> tuple[str, ...]:
        """Tokens that end an answer."""
        return _MARKS[self.marks].stops

    def turns(
        self,
        conversation: Conversation,
        media: Sequence[PartTokens],
        *,
        add_generation_prompt: bool = False,
    ) -> list[Turn]:
        """Write a conversation as turns; what the system says goes before the media.

        Args:
            conversation: what is said; media stand at its beginning.
            media: one entry for each image, video and sound, in order, with one count for each view.
            add_generation_prompt: open the assistant's turn at the end; it has no opening of its own.

        Raises:
            InputError: if ``media`` has more or fewer entries, media stand elsewhere, or a turn is of a role
                that the template lacks.
        """
        messages = list(conversation.messages)
        instruction = messages.pop(0).text if messages and messages[0].role == "system" else ""
        shown = [part for part in _parts(messages[:1]) if not isinstance(part, TextPart)]
        elsewhere = [part for part in _parts(messages[1:]) if not isinstance(part, TextPart)]
        if elsewhere:
            raise InputError("this model takes all of its media in the first turn of the user.")
        if len(shown) != len(media):
            raise InputError(f"the conversation has {len(shown)} media, {len(media)} are described.")
        context = self._context(instruction, shown, media)
        turns = [Turn("system", tuple(context))]
        turns += [self._turn(message) for message in messages if message.text]
        if add_generation_prompt:
            opening, _ = _MARKS[self.marks].answer
            turns.append(Turn("assistant", opening, num_opening=len(opening)))
        return turns

    def _context(self, instruction: str, shown: Sequence[object], media: Sequence[PartTokens]) -> list[Piece]:
        marks = _MARKS[self.marks]
        begin: list[Piece] = [_BEGIN] if self.begins_segments else []
        pieces = [*begin]
        if instruction:
            before, behind = marks.instruction
            pieces += [*before, instruction, *behind]
        if not shown:
            return pieces
        before, behind = marks.media
        pieces += before
        for part, tokens in zip(shown, media, strict=True):
            tag = marks.tags[type(part)]
            for count in tokens.tokens_per_frame:
                pieces += [f"<{tag}>", Placeholders(PLACEHOLDER, count), *begin, f"</{tag}>"]
        return [*pieces, *self._times(shown, media), *behind]

    def _times(self, shown: Sequence[object], media: Sequence[PartTokens]) -> list[Piece]:
        if not self.frame_times:
            return []
        return [
            frame_times_message([time for time in tokens.times_s if time is not None])
            for part, tokens in zip(shown, media, strict=True)
            if isinstance(part, VideoPart)
        ]

    def _turn(self, message: Message) -> Turn:
        marks = _MARKS[self.marks]
        if message.role == "user":
            before, behind = marks.question
            return Turn("user", (*before, message.text, *behind))
        if message.role == "assistant":
            before, behind = marks.answer
            return Turn("assistant", (*before, message.text, *behind), num_opening=len(before))
        raise InputError(
            f"this model knows no turn of the role {message.role!r} here: a system turn comes first, then "
            "user and assistant take turns."
        )


def frame_times_message(times_s: Sequence[float]) -> str:
    """What is said of the frames of a video."""
    times = ", ".join(str(round(time_s, 1)) for time_s in times_s)
    return f"The video contains {len(times_s)} frames sampled at {times} seconds."


def _parts(messages: Sequence[Message]) -> list[object]:
    return [part for message in messages for part in message.parts]
