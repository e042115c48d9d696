"""Sounds of conversations to the tensors that the audio captioner takes.

V windows, Q tokens of a window, L frames of 10 ms, M mel bins.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

from kinema.errors import ConfigError, InputError, OutOfBudgetError
from kinema.media.frames import AudioClip, FrameBatch
from kinema.processors.beats_features import BEATsFeaturesConfig
from kinema.processors.chat import Turn
from kinema.processors.inst_processor import InstProcessor, InstSettings
from kinema.processors.messages import AudioPart, Conversation, Message, Part, Source, TextPart, VideoPart
from kinema.processors.query_inputs import SoundInputs
from kinema.processors.sentence_pieces import SentencePieceTokenizer
from kinema.processors.sound_windows import SoundPlan, hear_windows, plan_windows
from kinema.processors.visuals import EncodedVisuals, VisualItem


@dataclass(frozen=True, kw_only=True)
class CaptionerProcessorConfig(InstSettings):
    """How sounds become tensors."""

    sound: BEATsFeaturesConfig = field(default_factory=BEATsFeaturesConfig)
    """What a window is. The default is that of stage 2, whose BEATs learned 64 bins; BEATs' own files learned
    128."""
    patch_size: int = 16
    max_windows: int = 6
    """Most windows of one sound, each with queries of its own; of a longer sound they are spread."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.patch_size, self.max_windows) < 1:
            raise ConfigError(
                f"patch_size and max_windows must be at least 1; got {self.patch_size} and "
                f"{self.max_windows}."
            )
        if min(self.sound.num_frames, self.sound.num_mel_bins) < self.patch_size:
            raise ConfigError(
                f"a window of {self.sound.num_frames} frames and {self.sound.num_mel_bins} bins has no whole "
                f"patch of {self.patch_size}."
            )


class CaptionerProcessor(InstProcessor[CaptionerProcessorConfig]):
    """Conversations to ``ModelInputs``: sound files, decoded sound, and the sound tracks of videos."""

    def __init__(
        self, tokenizer: SentencePieceTokenizer, config: CaptionerProcessorConfig | None = None
    ) -> None:
        super().__init__(tokenizer, config or CaptionerProcessorConfig())

    def measure(self, conversation: Conversation) -> tuple[VisualItem, ...]:
        """What ``encode`` would give. Only sound whose file does not say how long it is, is decoded."""
        parts = list(_sounds(conversation))
        most = self._windows_each(len(parts))
        return tuple(self._describe(plan_windows(part, self.config.sound, most=most)) for part in parts)

    def encode(self, conversation: Conversation) -> EncodedVisuals | None:
        """All sounds of a conversation as filter banks; None where there are none."""
        parts = list(_sounds(conversation))
        most = self._windows_each(len(parts))
        heard = [hear_windows(part, self.config.sound, most=most) for part in parts]
        if not heard:
            return None
        inputs = SoundInputs(
            items=tuple(banks for _, banks in heard), tokens_per_view=self.config.tokens_per_view
        )
        return EncodedVisuals(items=tuple(self._describe(plan) for plan, _ in heard), inputs=inputs)

    def _turns(
        self, conversation: Conversation, items: Sequence[VisualItem], add_generation_prompt: bool
    ) -> list[Turn]:
        return super()._turns(_as_heard(conversation), items, add_generation_prompt)

    def _windows_each(self, num_sounds: int) -> int:
        """Windows that each sound may have, so that all of them keep the budget."""
        config = self.config
        if config.max_tokens is None or num_sounds == 0:
            return config.max_windows
        each = config.max_tokens // (num_sounds * config.tokens_per_view)
        if each < 1:
            raise OutOfBudgetError(
                f"{num_sounds} sounds give {num_sounds * config.tokens_per_view} tokens at least, but "
                f"max_tokens is {config.max_tokens}. Play fewer of them, or allow more tokens."
            )
        return min(config.max_windows, each)

    def _describe(self, plan: SoundPlan) -> VisualItem:
        config, sound = self.config, self.config.sound
        num_windows, side = len(plan.times_s), config.patch_size
        return VisualItem(
            kind="audio",
            name=plan.name,
            times_s=plan.times_s,
            original_size=(sound.num_mel_bins, sound.num_frames),
            grid_thw=(num_windows, sound.num_mel_bins // side, sound.num_frames // side),
            merge_size=1,
            tokens_per_frame=(config.tokens_per_view,) * num_windows,
            fixed_tokens=num_windows * config.tokens_per_view,
        )


def _sounds(conversation: Conversation) -> Iterator[AudioPart]:
    for message in _as_heard(conversation).messages:
        yield from (part for part in message.parts if isinstance(part, AudioPart))


def _as_heard(conversation: Conversation) -> Conversation:
    """The conversation with the sound tracks of its videos in their place."""
    return Conversation(
        messages=tuple(
            Message(role=message.role, parts=tuple(map(_heard, message.parts)))
            for message in conversation.messages
        )
    )


def _heard(part: Part) -> Part:
    if isinstance(part, TextPart | AudioPart):
        return part
    if not isinstance(part, VideoPart):
        raise InputError("this model hears and does not see: leave pictures out.")
    source = part.source
    is_list = isinstance(source, Sequence) and not isinstance(source, str | bytes)
    if is_list or isinstance(source, FrameBatch):
        raise InputError(
            "frames have no sound, and this model hears and does not see; pass the file, or the sound as an "
            f"{AudioClip.__name__}."
        )
    if (part.fps, part.max_frames, part.sampling) != (None, None, None):
        raise InputError(
            "fps, max_frames and sampling choose frames of a video, but this model hears and does not see."
        )
    return AudioPart(source=cast(Source, source), start_s=part.start_s, end_s=part.end_s)
