"""Conversations to the tensors that VideoLLaMA3 takes, in the official layout or that of transformers.

Where the original code has several behaviours, each is a field of ``VideoLLaMA3ProcessorConfig`` and each
original a preset of it. The default writes what the released weights were trained with.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import torch

from kinema.errors import ConfigError, InputError
from kinema.processors.chat import (
    ChatTemplate,
    EncodedTurn,
    PartTokens,
    Turn,
    encode_turns,
    turns_to_text,
)
from kinema.processors.collate import Sample, pack_samples, pad_samples
from kinema.processors.cut import cut_sample
from kinema.processors.inputs import ModelInputs
from kinema.processors.labels import StreamRule, supervise, thin_decisions
from kinema.processors.messages import Conversation, ImagePart, VideoPart
from kinema.processors.prepared import PreparedConversation
from kinema.processors.pruning import PreviousFramePruning, Pruning
from kinema.processors.read import MediaReader, ReadSettings
from kinema.processors.resize import OfficialResize, Resampler, ResizeRule, TransformersResize
from kinema.processors.tokenizer import TextTokenizer
from kinema.processors.visuals import Clip, EncodedVisuals, VisualItem, encode_clips, measure_clips

SYSTEM_PROMPT = (
    "You are VideoLLaMA3 created by Alibaba DAMO Academy, "
    "a helpful assistant to help people understand images and videos."
)
"""What the published templates say on request; training and the official evaluation say nothing."""

PUBLISHED_TEMPLATE = ChatTemplate(
    image_token="<image>", video_token="<image>", newline_after_stream=False, image_times=True
)
"""The template shipped with the released checkpoints."""

TRANSFORMERS_TEMPLATE = ChatTemplate(
    image_token="<|image_pad|>", video_token="<|video_pad|>", newline_after_stream=False, image_times=False
)
"""The template shipped with the checkpoints converted for transformers."""

Compat = Literal["official", "training", "transformers"]
"""Whose processor is reproduced, see ``VideoLLaMA3ProcessorConfig.for_compat``."""


@dataclass(frozen=True, kw_only=True)
class VideoLLaMA3ProcessorConfig:
    """How conversations become tensors. The defaults are those of the released checkpoints."""

    template: ChatTemplate = PUBLISHED_TEMPLATE
    system_prompt: str | None = None
    """Said first, unless a conversation begins with a system turn; ``SYSTEM_PROMPT`` is the published one."""
    pad_token: str = "<|endoftext|>"
    patch_size: int = 14
    image_merge_size: int = 1
    """2 in stage 4 of training; the released processor feeds images at 1 all the same."""
    video_merge_size: int = 2
    stream_frames: Literal["video", "image"] = "video"
    """What a stream's frames are: a video as in training (merged, pruned), or images as in the published
    processor, which passes each at ``image_merge_size`` and unpruned."""
    reading: ReadSettings = field(default_factory=ReadSettings)
    """How clips become frames, where a part does not say."""
    resize: ResizeRule = field(default_factory=OfficialResize)
    resampler: Resampler = "pillow"
    pruning: Pruning = field(default_factory=PreviousFramePruning)
    stream_labels: StreamRule = "decision"
    max_length: int | None = None
    """Most tokens of a sample with labels, whose end is cut off beyond; 16384 in the published training."""

    def __post_init__(self) -> None:
        if min(self.patch_size, self.image_merge_size, self.video_merge_size) < 1:
            raise ConfigError(
                f"patch_size and merge sizes must be at least 1, got {self.patch_size}, "
                f"{self.image_merge_size} and {self.video_merge_size}."
            )

    @classmethod
    def for_compat(cls, compat: Compat, **changes: Any) -> "VideoLLaMA3ProcessorConfig":
        """The preset of a published implementation, with fields changed.

        - ``"official"``: the processor shipped with the released checkpoints (the default of every field).
        - ``"training"``: the code of DAMO-NLP-SG/VideoLLaMA3, commit 05cee23. Its template breaks the line
          after a stream's frame, its labels supervise the end of the frame.
        - ``"transformers"``: ``video_llama_3`` of transformers 5.x and the template of the converted
          checkpoints. Own placeholder tokens, a budget for every item, torch resampling, its frame sampling,
          and a stream's frames are images without a time.

        Raises:
            ConfigError: if there is no such preset.
        """
        official = cls()
        presets = {
            "official": official,
            "training": replace(
                official,
                template=replace(official.template, newline_after_stream=True),
                stream_labels="frame_end",
            ),
            "transformers": replace(
                official,
                template=TRANSFORMERS_TEMPLATE,
                stream_frames="image",
                reading=ReadSettings(sampling="transformers"),
                resize=TransformersResize(),
                resampler="torch",
            ),
        }
        if compat not in presets:
            raise ConfigError(f"there is no compat mode {compat!r}; there are: {', '.join(presets)}.")
        return replace(presets[compat], **changes)


class VideoLLaMA3Processor:
    """Conversations to ``ModelInputs``, with exactly as many placeholders as there will be features."""

    def __init__(self, tokenizer: TextTokenizer, config: VideoLLaMA3ProcessorConfig | None = None) -> None:
        self.tokenizer = tokenizer
        self.config = config or VideoLLaMA3ProcessorConfig()

    @property
    def stop_token_ids(self) -> tuple[int, ...]:
        """Tokens that end an answer."""
        return tuple(self.tokenizer.special_id(token) for token in ("<|im_end|>", self.config.pad_token))

    def __call__(
        self,
        conversations: Conversation | Sequence[Conversation],
        *,
        add_generation_prompt: bool = False,
        with_labels: bool = False,
        thinning: torch.Generator | None = None,
        pack: bool = False,
    ) -> ModelInputs:
        """Make one batch.

        Args:
            conversations: one row each. The resize budget is that of a conversation, not of the batch.
            add_generation_prompt: end with the opening of the assistant's turn.
            with_labels: label the assistant's words, and the decisions of a stream.
            thinning: chooses at random which decisions of a stream carry loss, see ``thin_decisions``; None
                keeps all.
            pack: put the conversations end to end into one row instead of padding.

        Raises:
            InputError: if a conversation holds what the model does not take, or one that is cut to
                ``max_length`` has no label left.
            MediaError: if a file cannot be read.
            OutOfBudgetError: if a token budget cannot be kept.
        """
        if isinstance(conversations, Conversation):
            conversations = [conversations]
        samples = [
            self.prepare(
                conversation,
                add_generation_prompt=add_generation_prompt,
                with_labels=with_labels,
                thinning=thinning,
            ).sample
            for conversation in conversations
        ]
        return self.pack(samples) if pack else self.collate(samples)

    def read(self, conversation: Conversation) -> Sample:
        """One conversation with labels, for ``collate`` or ``pack``; raises as ``__call__``."""
        return self.prepare(conversation, with_labels=True).sample

    def collate(self, samples: Sequence[Sample]) -> ModelInputs:
        """A batch of a row each, padded on the right."""
        return pad_samples(samples, self.tokenizer.special_id(self.config.pad_token))

    def pack(self, samples: Sequence[Sample]) -> ModelInputs:
        """A batch of one row, samples end to end."""
        return pack_samples(samples)

    def prepare(
        self,
        conversation: Conversation,
        *,
        add_generation_prompt: bool = False,
        with_labels: bool = False,
        thinning: torch.Generator | None = None,
        continues: bool = False,
    ) -> PreparedConversation:
        """Encode one conversation; as ``__call__``, and what reports need beside it.

        Args:
            conversation: what is said.
            add_generation_prompt: end with the opening of the assistant's turn.
            with_labels: label the assistant's words, and the decisions of a stream.
            thinning: see ``__call__``.
            continues: the turns follow others that the model has already, so no system turn is put first.
        """
        visuals = self.encode(conversation)
        parts = self._part_tokens(conversation, visuals.items if visuals else ())
        turns = self._turns(conversation, parts, add_generation_prompt, continues)
        encoded = encode_turns(turns, self.tokenizer)
        labels = self._labels(encoded, thinning) if with_labels else None
        sample = Sample(
            input_ids=torch.tensor([token for turn in encoded for token in turn.ids], dtype=torch.int64),
            visual_mask=torch.tensor([flag for turn in encoded for flag in turn.is_visual], dtype=torch.bool),
            labels=None if labels is None else torch.tensor(labels, dtype=torch.int64),
            visual=None if visuals is None else visuals.inputs,
        )
        if with_labels and self.config.max_length is not None:
            sample = cut_sample(sample, self.config.max_length)
        return PreparedConversation(sample=sample, text=turns_to_text(turns), visuals=visuals)

    def render(self, conversation: Conversation, *, add_generation_prompt: bool = False) -> str:
        """The prompt with one placeholder an image or frame, as the original templates print it.

        Frames are chosen, for their times, but not decoded.
        """
        groups = self._groups(conversation)
        with MediaReader(self.config.reading) as reader:
            _add_all(groups, reader)
        parts = [place.one_token_a_frame(reader.clips) for place in _places(groups)]
        return turns_to_text(self._turns(conversation, parts, add_generation_prompt, continues=False))

    def measure(self, conversation: Conversation) -> tuple[VisualItem, ...]:
        """What ``encode`` would give, before pruning.

        Frames are chosen, but of a video only the first is decoded.
        """
        with MediaReader(self.config.reading) as reader:
            _add_all(self._groups(conversation), reader)
        if not reader.clips:
            return ()
        return measure_clips(
            reader.clips,
            self._merge_sizes(reader.clips),
            patch_size=self.config.patch_size,
            resize=self.config.resize,
        )

    def encode(self, conversation: Conversation) -> EncodedVisuals | None:
        """All images and videos of a conversation, read, resized and pruned; None where there are none."""
        with MediaReader(self.config.reading) as reader:
            _add_all(self._groups(conversation), reader)
            return self._encode(reader) if reader.clips else None

    def tokenize(
        self,
        conversation: Conversation,
        items: Sequence[VisualItem],
        *,
        add_generation_prompt: bool = False,
        continues: bool = False,
    ) -> list[EncodedTurn]:
        """Token ids, turn by turn, for images and videos that were measured or encoded before.

        Args:
            conversation: what is said.
            items: what ``measure`` or ``encode`` gave for the same images and videos; no file is opened.
            add_generation_prompt: end with the opening of the assistant's turn.
            continues: see ``prepare``.
        """
        parts = self._part_tokens(conversation, items)
        turns = self._turns(conversation, parts, add_generation_prompt, continues)
        return encode_turns(turns, self.tokenizer)

    def with_settings(self, **changes: Any) -> "VideoLLaMA3Processor":
        """The same with fields of its config changed, such as by a stage of training."""
        return VideoLLaMA3Processor(self.tokenizer, replace(self.config, **changes))

    def with_limits(self, *, max_tokens: int) -> "VideoLLaMA3Processor":
        """The same with another limit of visual tokens in a conversation."""
        config = replace(self.config, resize=self.config.resize.with_max_tokens(max_tokens))
        return VideoLLaMA3Processor(self.tokenizer, config)

    def encode_image(self, part: ImagePart) -> EncodedVisuals:
        """One image on its own, with the whole budget."""
        with MediaReader(self.config.reading) as reader:
            reader.add_image(part)
            return self._encode(reader)

    def encode_video(self, part: VideoPart) -> EncodedVisuals:
        """One video on its own, with the whole budget."""
        with MediaReader(self.config.reading) as reader:
            reader.add_video(part)
            return self._encode(reader)

    def _groups(self, conversation: Conversation) -> "list[_Group]":
        """What becomes one clip each: an image, a video, or the frames of a stream between other media."""
        groups: list[_Group] = []
        for message in conversation.messages:
            in_stream = message.role == "stream" and self.config.stream_frames == "video"
            for part in message.parts:
                if isinstance(part, ImagePart) and in_stream and groups and groups[-1].is_stream:
                    groups[-1] = groups[-1]._replace(parts=(*groups[-1].parts, part))
                elif isinstance(part, ImagePart | VideoPart):
                    groups.append(_Group((part,), in_stream and isinstance(part, ImagePart)))
        return groups

    def _part_tokens(self, conversation: Conversation, items: Sequence[VisualItem]) -> list[PartTokens]:
        """How each image and video part stands in the prompt."""
        groups = self._groups(conversation)
        if len(groups) != len(items):
            raise InputError(
                f"the conversation has {len(groups)} images, videos and streams; {len(items)} are described. "
                "Describe the media of this conversation with measure or encode."
            )
        return [place.tokens(items) for place in _places(groups)]

    def _merge_sizes(self, clips: Sequence[Clip]) -> list[int]:
        merge_sizes = {"image": self.config.image_merge_size, "video": self.config.video_merge_size}
        return [merge_sizes[clip.kind] for clip in clips]

    def _encode(self, reader: MediaReader) -> EncodedVisuals:
        return encode_clips(
            reader.clips,
            reader.frames(),
            self._merge_sizes(reader.clips),
            patch_size=self.config.patch_size,
            resize=self.config.resize,
            resampler=self.config.resampler,
            pruning=self.config.pruning,
        )

    def _turns(
        self,
        conversation: Conversation,
        parts: Sequence[PartTokens],
        add_generation_prompt: bool,
        continues: bool,
    ) -> list[Turn]:
        return self.config.template.turns(
            conversation,
            parts,
            system_prompt=None if continues else self.config.system_prompt,
            add_generation_prompt=add_generation_prompt,
        )

    def _labels(self, turns: Sequence[EncodedTurn], thinning: torch.Generator | None) -> tuple[int, ...]:
        supervision = supervise(turns, stream_rule=self.config.stream_labels)
        return supervision.labels if thinning is None else thin_decisions(supervision, thinning)


class _Group(NamedTuple):
    """Parts that are encoded as one clip: one, or the frames of a stream."""

    parts: tuple[ImagePart | VideoPart, ...]
    is_stream: bool


def _add_all(groups: Sequence[_Group], reader: MediaReader) -> None:
    for group in groups:
        first = group.parts[0]
        if isinstance(first, VideoPart):
            reader.add_video(first)
        elif group.is_stream:
            reader.add_stream([part for part in group.parts if isinstance(part, ImagePart)])
        else:
            reader.add_image(first)


def _places(groups: Sequence[_Group]) -> "list[_Place]":
    """Where each image and video part is found, in the order of the parts."""
    return [
        _Place(clip, frame if group.is_stream else None)
        for clip, group in enumerate(groups)
        for frame in range(len(group.parts))
    ]


class _Place(NamedTuple):
    """Where one image or video part is found among what is encoded."""

    clip: int
    frame: int | None
    """One frame of a clip that holds a stream; None is the whole clip."""

    def tokens(self, items: Sequence[VisualItem]) -> PartTokens:
        item = items[self.clip]
        return self._of(item.tokens_per_frame, item.times_s)

    def one_token_a_frame(self, clips: Sequence[Clip]) -> PartTokens:
        times_s = clips[self.clip].times_s
        return self._of((1,) * len(times_s), times_s)

    def _of(self, tokens: tuple[int, ...], times_s: tuple[float | None, ...]) -> PartTokens:
        if self.frame is None:
            return PartTokens(tokens_per_frame=tokens, times_s=times_s)
        return PartTokens(tokens_per_frame=(tokens[self.frame],), times_s=(times_s[self.frame],))
