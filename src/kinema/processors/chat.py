"""Conversation to prompt: ChatML turns, then token ids.

A turn is a list of pieces: plain text, control tokens, and runs of placeholders. Only pieces become special
tokens; whatever a text says stays text. N text positions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kinema.errors import InputError
from kinema.processors.messages import (
    AudioPart,
    Conversation,
    ImagePart,
    Message,
    Part,
    TextPart,
    VideoPart,
)
from kinema.processors.tokenizer import TextTokenizer


class Control(NamedTuple):
    """A special token that the template writes."""

    token: str


class Placeholders(NamedTuple):
    """The tokens of one image or frame, which visual features will replace."""

    token: str
    num_tokens: int


Piece = str | Control | Placeholders


@dataclass(frozen=True, kw_only=True)
class PartTokens:
    """How one image or video part stands in the prompt, frame by frame."""

    tokens_per_frame: tuple[int, ...]
    """Placeholders of each frame; an image is one frame."""
    times_s: tuple[float | None, ...]
    """What is printed before each frame; None prints nothing."""


@dataclass(frozen=True)
class Turn:
    """One message as pieces. The first piece is the control token that opens it."""

    role: str
    pieces: tuple[Piece, ...]
    num_opening: int = 1
    """How many of the pieces open it, for ``role_tokens``; ChatML's count themselves."""


@dataclass(frozen=True)
class EncodedTurn:
    """One message as tokens."""

    role: str
    ids: tuple[int, ...]
    """(N,)"""
    is_visual: tuple[bool, ...]
    """(N,) True at placeholders."""
    header_length: int
    """Tokens of the opening, such as the three of ``<|im_start|>assistant\\n``."""
    footer_length: int
    """Tokens after the control token that closes the turn."""


@dataclass(frozen=True, kw_only=True)
class ChatTemplate:
    """ChatML with images, timed video frames and stream turns, as VideoLLaMA3 writes it."""

    image_token: str
    video_token: str
    newline_after_stream: bool
    """Whether a line break follows ``<|stream_end|>``."""
    image_times: bool
    """Whether the time of an image, that is of a stream's frame, is printed."""

    def turns(
        self,
        conversation: Conversation,
        visuals: Sequence[PartTokens],
        *,
        system_prompt: str | None = None,
        add_generation_prompt: bool = False,
    ) -> list[Turn]:
        """Write a conversation as turns.

        Args:
            conversation: what is said.
            visuals: one entry for each image and video part, in order.
            system_prompt: a system turn, put first unless the conversation begins with one.
            add_generation_prompt: open the assistant's turn at the end.

        Raises:
            InputError: if ``visuals`` has more or fewer entries, or a part is of a kind the model does not
            take.
        """
        messages = list(conversation.messages)
        if system_prompt is not None and not (messages and messages[0].role == "system"):
            messages.insert(0, Message(role="system", parts=(TextPart(text=system_prompt),)))
        parts = [part for message in messages for part in message.parts]
        wanted = sum(isinstance(part, ImagePart | VideoPart) for part in parts)
        if wanted != len(visuals):
            raise InputError(
                f"the conversation has {wanted} images and videos, {len(visuals)} are described."
            )
        rest = iter(visuals)
        turns = [self._turn(message, rest) for message in messages]
        if add_generation_prompt:
            turns.append(Turn("assistant", (Control("<|im_start|>"), "assistant\n")))
        return turns

    def _turn(self, message: Message, visuals: Iterator[PartTokens]) -> Turn:
        content = [piece for part in message.parts for piece in self._part(part, visuals)]
        if message.role == "stream":
            opening, closing = Control("<|stream_start|>"), Control("<|stream_end|>")
            ending = "\n" if self.newline_after_stream else ""
        else:
            opening, closing, ending = Control("<|im_start|>"), Control("<|im_end|>"), "\n"
        return Turn(message.role, (opening, f"{message.role}\n", *content, closing, ending))

    def _part(self, part: Part, visuals: Iterator[PartTokens]) -> list[Piece]:
        if isinstance(part, TextPart):
            return [part.text]
        if isinstance(part, AudioPart):
            raise InputError("this model takes text, images and videos. Leave the audio part out.")
        tokens = next(visuals)
        if isinstance(part, ImagePart):
            (time_s,) = tokens.times_s
            time = f"Time {time_s:.1f}s: " if self.image_times and time_s is not None else ""
            return [time, Placeholders(self.image_token, tokens.tokens_per_frame[0]), "\n"]
        pieces: list[Piece] = []
        for time_s, count in zip(tokens.times_s, tokens.tokens_per_frame, strict=True):
            comma = "," if pieces else ""
            time = f"Time {time_s:.1f}s:" if time_s is not None else ""
            pieces += [comma + time, Placeholders(self.video_token, count)]
        return [*pieces, "\n"]


def turns_to_text(turns: Sequence[Turn]) -> str:
    """The prompt to read; a text that looks like a control token cannot be told from one here."""
    return "".join(_piece_text(piece) for turn in turns for piece in turn.pieces)


def encode_turns(turns: Sequence[Turn], tokenizer: TextTokenizer) -> list[EncodedTurn]:
    """Token ids of each turn; put end to end they are the ids of the whole prompt."""
    return [_encode_turn(turn, tokenizer) for turn in turns]


def _encode_turn(turn: Turn, tokenizer: TextTokenizer) -> EncodedTurn:
    ids: list[int] = []
    is_visual: list[bool] = []
    end_of_control = 0
    for piece in _join_texts(turn.pieces):
        if isinstance(piece, str):
            new = tokenizer.encode(piece)
        elif isinstance(piece, Control):
            new = [tokenizer.special_id(piece.token)]
            end_of_control = len(ids) + 1
        else:
            new = [tokenizer.special_id(piece.token)] * piece.num_tokens
        ids += new
        is_visual += [isinstance(piece, Placeholders)] * len(new)
    header_length = 1 + len(tokenizer.encode(f"{turn.role}\n"))
    return EncodedTurn(turn.role, tuple(ids), tuple(is_visual), header_length, len(ids) - end_of_control)


def _join_texts(pieces: Sequence[Piece]) -> list[Piece]:
    """Put neighbouring texts together, as a line break and what follows may be one token."""
    joined: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


def _piece_text(piece: Piece) -> str:
    if isinstance(piece, str):
        return piece
    return piece.token * (piece.num_tokens if isinstance(piece, Placeholders) else 1)
