"""Prompts of VideoChat2 and InternVideo2-Chat: media in a turn of their own, then questions and answers.

``[INST] <Video>...</Video>[/INST] [INST] question [/INST]answer</s>`` (OpenGVLab/InternVideo2-Chat-8B). Tags
around media are words; each view of an image or video has a pair of them. Those of sounds are ours: of the
audio captioner nothing was released.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kinema.errors import InputError
from kinema.processors.chat import Control, PartTokens, Piece, Placeholders, Turn
from kinema.processors.messages import AudioPart, Conversation, ImagePart, Message, TextPart, VideoPart

_BEGIN, _END, _OPEN, _CLOSE = Control("<s>"), Control("</s>"), Control("[INST]"), Control("[/INST]")

_TAGS: dict[type, str] = {ImagePart: "Image", VideoPart: "Video", AudioPart: "Audio"}

PLACEHOLDER = "<unk>"
"""What features take the place of: the id 0, which no text has."""


@dataclass(frozen=True, kw_only=True)
class InstTemplate:
    """How a conversation becomes a prompt."""

    begins_segments: bool = True
    """Whether every stretch of text between media begins with ``<s>``, as in the released chat method. The
    public training code writes none at all."""
    frame_times: bool = False
    """Whether the times of a video's frames are told after it, as VideoChat2 was trained; the released
    InternVideo2 models were not."""

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
            turns.append(Turn("assistant", ("",)))
        return turns

    def _context(self, instruction: str, shown: Sequence[object], media: Sequence[PartTokens]) -> list[Piece]:
        begin: list[Piece] = [_BEGIN] if self.begins_segments else []
        if not shown:
            return [*begin, instruction]
        pieces: list[Piece] = [*begin, instruction, _OPEN, " "]
        for part, tokens in zip(shown, media, strict=True):
            tag = _TAGS[type(part)]
            for count in tokens.tokens_per_frame:
                pieces += [f"<{tag}>", Placeholders(PLACEHOLDER, count), *begin, f"</{tag}>"]
        return [*pieces, *self._times(shown, media), _CLOSE]

    def _times(self, shown: Sequence[object], media: Sequence[PartTokens]) -> list[Piece]:
        if not self.frame_times:
            return []
        return [
            frame_times_message([time for time in tokens.times_s if time is not None])
            for part, tokens in zip(shown, media, strict=True)
            if isinstance(part, VideoPart)
        ]

    def _turn(self, message: Message) -> Turn:
        if message.role == "user":
            return Turn("user", (" ", _OPEN, f" {message.text} ", _CLOSE))
        if message.role == "assistant":
            return Turn("assistant", ("", message.text, _END))
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
