"""What stage 2 of InternVideo2 minimises: contrast, matching and masked words, of video, sound and both.

InternVideo2, arXiv 2403.15377, 3.2; OpenGVLab/InternVideo, ``criterions.py``. B samples, N text positions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from kinema.distributed.gather import GatheredGradient, gather_rows
from kinema.errors import ConfigError, DataError
from kinema.processors.aligned import AlignedInputs
from kinema.training.contrastive import symmetric_info_nce
from kinema.training.losses import IGNORE_INDEX
from kinema.training.masked_words import MaskedWords, WordMasking
from kinema.training.negatives import Negatives, draw_negatives
from kinema.training.random_mask import random_keep_mask

Objective = Literal["contrast", "match", "words", "correspond"]


class Term(NamedTuple):
    """One summand: what is asked, of which media."""

    objective: Objective
    kind: str


TERMS = {
    "vtc": Term("contrast", "video"),
    "vtm": Term("match", "video"),
    "mlm": Term("words", "video"),
    "atc": Term("contrast", "audio"),
    "atm": Term("match", "audio"),
    "amlm": Term("words", "audio"),
    "avtc": Term("contrast", "audio_video"),
    "avtm": Term("match", "audio_video"),
    "avmlm": Term("words", "audio_video"),
    "avc": Term("correspond", "audio_video"),
}
"""The names of the original: contrast, matching and masked words of text with video, sound and both; ``avc``
is the contrast of video with its sound, without text."""


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What a step draws at random, where it is given instead; terms by their names."""

    keep_mask: Tensor | None = None
    """(B, 1 + patches) bool; None for all patches, not for drawn ones."""
    negatives: Mapping[str, Negatives] = field(default_factory=dict)
    words: Mapping[str, MaskedWords] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """A weighted sum of ``TERMS``; those of media that a batch does not have are left out of it.

    Asks for ``see``, ``hear``, ``join``, ``read``, ``fuse``, ``match``, ``temperature`` and
    ``text_encoder.guess_words`` of the model; takes ``AlignedInputs``. Contrast is over the batch of all
    processes, matching and words are of each process.
    """

    weights: Mapping[str, float] = field(default_factory=lambda: {"vtc": 1.0, "vtm": 1.0, "mlm": 1.0})
    captions: Mapping[str, str] = field(default_factory=dict)
    """Which captions a term reads, such as ``{"atc": "audio"}``; needed where a batch has several."""
    video_mask_ratio: float = 0.8
    """Of the patches of clips that are not seen; 0 in the unmasked step."""
    image_mask_ratio: float = 0.5
    masking: WordMasking = field(default_factory=WordMasking)
    temperature_range: tuple[float, float] = (0.001, 0.5)
    """Which the temperature is held in before each step."""
    gradient: GatheredGradient = "sum"
    """Of contrast over several processes. ``local`` is the released code's, which weakens contrast against
    the other terms by the number of processes."""

    def __post_init__(self) -> None:
        unknown = [name for name in (*self.weights, *self.captions) if name not in TERMS]
        if unknown or not self.weights:
            raise ConfigError(f"weights and captions are of {', '.join(TERMS)}; got {unknown or 'none'}.")
        if not all(0 <= ratio < 1 for ratio in (self.video_mask_ratio, self.image_mask_ratio)):
            raise ConfigError(
                f"mask ratios are from 0 to below 1, got {self.video_mask_ratio} and {self.image_mask_ratio}."
            )

    def __call__(self, model: Any, inputs: AlignedInputs) -> Tensor:
        """The weighted sum, float32."""
        terms = self.terms(model, inputs)
        return torch.stack([self.weights[name] * value for name, value in terms.items()]).sum()

    def terms(self, model: Any, inputs: AlignedInputs, choices: Choices | None = None) -> dict[str, Tensor]:
        """Each term that the media of the batch have, without its weight.

        Args:
            model: see the class.
            inputs: the batch.
            choices: what is not to be drawn; None to draw everything.

        Raises:
            DataError: if no term has a weight for these media, or a term does not know its captions.
        """
        with torch.no_grad():
            model.temperature.clamp_(*self.temperature_range)
        step = _Step(self, model, inputs, choices)
        names = [name for name in self.weights if TERMS[name].kind in step.media]
        if not names:
            raise DataError(
                f"a batch of {', '.join(step.media)}, but weights are of {', '.join(self.weights)} only."
            )
        return {name: step.term(name) for name in names}


class _Step:
    """One batch, each part of which is encoded once."""

    def __init__(self, loss: Alignment, model: Any, inputs: AlignedInputs, choices: Choices | None) -> None:
        self.loss, self.model, self.inputs = loss, model, inputs
        self.choices = Choices(keep_mask=self._draw_keep_mask()) if choices is None else choices
        self.media = self._encode_media()
        self._texts: dict[str, Any] = {}

    def term(self, name: str) -> Tensor:
        objective, kind = TERMS[name]
        media = self.media[kind]
        if objective == "correspond":
            return self._contrast(self.media["video"], self.media["audio"])
        caption = self._caption(name)
        if objective == "words":
            return self._words(name, media, caption)
        text = self._read(caption)
        return self._contrast(media, text) if objective == "contrast" else self._match(name, media, text)

    def _draw_keep_mask(self) -> Tensor | None:
        pixels = self.inputs.pixel_values
        if pixels is None:
            return None
        ratio = self.loss.image_mask_ratio if pixels.shape[1] == 1 else self.loss.video_mask_ratio
        if ratio == 0:
            return None
        num_patches = self.model.num_patches(pixels)
        return random_keep_mask(len(pixels), num_patches, ratio).to(pixels.device)

    def _encode_media(self) -> dict[str, Any]:
        media = {}
        if self.inputs.pixel_values is not None:
            media["video"] = self.model.see(self.inputs.pixel_values, self.choices.keep_mask)
        if self.inputs.audio_features is not None:
            media["audio"] = self.model.hear(self.inputs.audio_features)
        if len(media) == 2:
            media["audio_video"] = self.model.join(media["video"], media["audio"])
        return media

    def _caption(self, name: str) -> str:
        there = list(self.inputs.captions)
        wanted = there[0] if len(there) == 1 else self.loss.captions.get(name)
        if wanted not in there:
            raise DataError(f"{name}: which captions of {', '.join(there)}? Say so in the loss's captions.")
        return wanted

    def _read(self, caption: str) -> Any:
        if caption not in self._texts:
            text = self.inputs.captions[caption]
            self._texts[caption] = self.model.read(text.input_ids, text.attention_mask)
        return self._texts[caption]

    def _contrast(self, one: Any, other: Any) -> Tensor:
        first, second = (
            gather_rows(unit(side.projection), gradient=self.loss.gradient) for side in (one, other)
        )
        scale = 1 / self.model.temperature
        return symmetric_info_nce(first, second, scale, gather_rows(self.inputs.ids)).loss

    def _match(self, name: str, media: Any, text: Any) -> Tensor:
        negatives = self.choices.negatives.get(name)
        if negatives is None:
            with torch.no_grad():
                similarity = unit(media.projection) @ unit(text.projection).T / self.model.temperature
            negatives = draw_negatives(similarity, self.inputs.ids)
        own = torch.arange(len(self.inputs.ids), device=self.inputs.ids.device)
        pairs = (
            media.rows(torch.cat([own, negatives.media, own])),
            text.rows(torch.cat([own, own, negatives.text])),
        )
        labels = torch.cat([torch.ones_like(own), torch.zeros_like(own).repeat(2)])
        return F.cross_entropy(self.model.match(*pairs).float(), labels)

    def _words(self, name: str, media: Any, caption: str) -> Tensor:
        whole = self.inputs.captions[caption]
        words = self.choices.words.get(name)
        if words is None:
            words = self.loss.masking(whole.input_ids)
        hidden = words.labels != IGNORE_INDEX
        if not hidden.any():
            raise DataError(f"{name}: not one word of the batch is masked; its captions are empty.")
        text = self.model.read(words.input_ids, whole.attention_mask)
        logits = self.model.text_encoder.guess_words(self.model.fuse(media, text)[hidden])  # (words, V)
        return F.cross_entropy(logits.float(), words.labels[hidden])


def unit(vectors: Tensor) -> Tensor:
    """(..., P) in float32, of length 1."""
    return F.normalize(vectors.float(), dim=-1)
