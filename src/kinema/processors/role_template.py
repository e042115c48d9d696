"""Prompts in which words say who speaks, ``USER: ... ASSISTANT: ...</s>``, as LLaVA took them from Vicuna.

Video-LLaVA (arXiv 2311.10122; PKU-YuanGroup/Video-LLaVA at 984e65b, ``conversation.py``) has several of them,
and uses more than one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kinema.errors import InputError
from kinema.processors.chat import Control, PartTokens, Piece, Placeholders, Turn
from kinema.processors.messages import (
    AudioPart,
    Conversation,
    ImagePart,
    Message,
    Part,
    TextPart,
    VideoPart,
)

MediaPart = ImagePart | VideoPart | AudioPart


@dataclass(frozen=True, kw_only=True)
class RoleTemplate:
    """Whose words follow one another in which order. Media stand where their parts do."""

    system: str
    """Said before all else, unless the conversation begins with a system turn."""
    system_end: Piece
    user: str
    """What announces the user, such as ``"USER:"``."""
    user_end: Piece
    assistant: str
    assistant_end: Piece
    media_only: bool = False
    """Whether the user's words are left out, and media and answer follow each other directly."""
    begin_token: str = "<s>"
    image_token: str = "<image>"
    video_token: str = "<video>"
    frame_times: bool = False
    """Whether the time of each frame of a video is written before it. No published weights have seen it."""

    def turns(
        self,
        conversation: Conversation,
        media: Sequence[PartTokens],
        *,
        add_generation_prompt: bool = False,
    ) -> list[Turn]:
        """Write a conversation as turns. An answer before the first question is left out, as there.

        An empty answer is an open turn, which the model is to fill.

        Args:
            conversation: what is said.
            media: one entry for each part that is not text, in order.
            add_generation_prompt: open the assistant's turn at the end.

        Raises:
            InputError: if ``media`` has more or fewer entries, or there is a turn that the template lacks.
        """
        messages = list(conversation.messages)
        wanted = sum(isinstance(part, MediaPart) for message in messages for part in message.parts)
        if wanted != len(media):
            raise InputError(
                f"the conversation has {wanted} images, videos and sounds, {len(media)} are described."
            )
        system = self.system
        if messages and messages[0].role == "system":
            system = messages.pop(0).text
        while messages and messages[0].role == "assistant":
            messages.pop(0)
        turns = [Turn("system", (Control(self.begin_token), system, self.system_end))]
        rest = iter(media)
        turns += [self._turn(message, rest) for message in messages]
        if add_generation_prompt:
            turns.append(Turn("assistant", (self.assistant,)))
        return turns

    def _turn(self, message: Message, media: Iterator[PartTokens]) -> Turn:
        if message.role == "user":
            content = self._user_content(message.parts, media)
            return Turn("user", (self.user, *content, self.user_end))
        if message.role == "assistant":
            if any(isinstance(part, MediaPart) for part in message.parts):
                raise InputError("the assistant answers in words; put images and videos into a user's turn.")
            if not message.text:
                return Turn("assistant", (self.assistant,))
            return Turn("assistant", (self.assistant, self._spaced(message.text), self.assistant_end))
        raise InputError(
            f"this model knows no turn of the role {message.role!r} here: a system turn comes first, then "
            "user and assistant take turns."
        )

    def _user_content(self, parts: Sequence[Part], media: Iterator[PartTokens]) -> list[Piece]:
        """Media and words; a line break stands between the two unless white space does already."""
        pieces: list[Piece] = [] if self.media_only else [self._spaced("")]
        said = ""
        after_media = False
        for part in parts:
            if isinstance(part, TextPart):
                if self.media_only or not part.text:
                    continue
                pieces.append(f"\n{part.text}" if after_media else part.text)
                said, after_media = part.text, False
                continue
            if said and not said[-1].isspace():
                pieces.append("\n")
            pieces += self._placeholders(part, next(media))
            said, after_media = "", True
        return pieces

    def _placeholders(self, part: MediaPart, tokens: PartTokens) -> list[Piece]:
        token = self.image_token if isinstance(part, ImagePart) else self.video_token
        pieces: list[Piece] = []
        for time_s, count in zip(tokens.times_s, tokens.tokens_per_frame, strict=True):
            if self.frame_times and time_s is not None:
                pieces.append(f"Time {time_s:.1f}s:")
            pieces.append(Placeholders(token, count))
        return pieces

    def _spaced(self, text: str) -> str:
        """What follows the announcement of a speaker."""
        return text if self.media_only else f" {text}"


_GREETING = (
    "A chat between a curious {who} and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the {who}'s questions."
)

VICUNA_V1 = RoleTemplate(
    system=_GREETING.format(who="user"),
    system_end=" ",
    user="USER:",
    user_end=" ",
    assistant="ASSISTANT:",
    assistant_end=Control("</s>"),
)
"""``v1`` and ``vicuna_v1``: both stages of training, image evaluation, default of the original library."""

LLAVA_V1 = RoleTemplate(
    system=_GREETING.format(who="human"),
    system_end=" ",
    user="USER:",
    user_end=" ",
    assistant="ASSISTANT:",
    assistant_end=Control("</s>"),
)
"""``llava_v1``: video evaluation, README and demo of the original."""

LLAVA_V0 = RoleTemplate(
    system=_GREETING.format(who="human"),
    system_end="###",
    user="Human:",
    user_end="###",
    assistant="Assistant:",
    assistant_end="###",
)
"""``llava_v0``: what the original's command line takes for Video-LLaVA-7B, which has not learned it."""

PLAIN = RoleTemplate(
    system="",
    system_end="",
    user="",
    user_end="",
    assistant="",
    assistant_end="\n",
    media_only=True,
)
"""``plain``: media and caption, first stage of November 2023."""

ROLE_TEMPLATES = {
    "v1": VICUNA_V1,
    "vicuna_v1": VICUNA_V1,
    "llava_v1": LLAVA_V1,
    "llava_v0": LLAVA_V0,
    "plain": PLAIN,
}
"""By the names they have in the original code."""
