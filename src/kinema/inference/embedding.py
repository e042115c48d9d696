"""The object users hold of a model that embeds: media and text to vectors of one space.

model = kinema.load("LanguageBind/LanguageBind_Video_merge")
vectors = model.embed_video(["dog.mp4", "cat.mp4"])                     # (2, 768)
model.rank("a dog barks", vectors)                                       # [Match(index=0, ...), ...]
model.classify("dog.mp4", ["a dog", "a cat"])                           # [{"a dog": 0.98, "a cat": 0.02}]

Vectors are NumPy arrays of float32 with length 1, so a dot product is a cosine.
B files or texts, P width of the space.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from kinema.errors import ConfigError, InputError, MediaError
from kinema.inference.tower import LeftOut, Tower

Vectors = NDArray[np.float32]
"""(B, P), each of length 1."""

_SAME_SPACE = 0.999
"""Cosine above which two text towers are one: those of one family are equal but for the dtype."""


class EmbedOptions(TypedDict, total=False):
    """How a list of media is worked through."""

    batch_size: int
    """Files that are held at a time, 8 unless told; they are read side by side."""
    progress: Callable[[int, int], None]
    """Is told after each batch how many of how many are done."""
    left_out: LeftOut
    """Is told the number of a file that cannot be embedded, and the error; the file then has no vector.
    Without it the error is raised."""


@dataclass(frozen=True)
class Match:
    """One of several vectors, and how near it is to what was looked for."""

    index: int
    """Which."""
    score: float
    """The cosine."""


class EmbeddingModel:
    """Puts media and text into one space. Made by ``kinema.load``.

    A checkpoint has one kind of media beside text; others of its family share the space, because they were
    trained towards one text tower that never changed. Their vectors can be compared with each other, and
    ``combined_with`` puts several checkpoints into one object.
    """

    def __init__(self, *towers: Tower) -> None:
        """Put together towers of one space, each for a kind of media of its own."""
        self._towers = {str(tower.processor.modality): tower for tower in towers}

    @property
    def modalities(self) -> tuple[str, ...]:
        """The kinds of media it embeds beside text, such as ``("video",)``."""
        return tuple(self._towers)

    def combined_with(self, *others: "EmbeddingModel") -> "EmbeddingModel":
        """One model for the media of several checkpoints of a family; their weights are shared with it.

        Raises:
            InputError: if two have the same kind of media, or their spaces are not one.
        """
        towers = dict(self._towers)
        probe = self.embed_text("a photo")
        for other in others:
            if twice := towers.keys() & other._towers.keys():
                raise InputError(f"two of the models embed {' and '.join(sorted(twice))}; combine others.")
            theirs = other.embed_text("a photo")
            if theirs.shape != probe.shape or float((probe * theirs).sum()) < _SAME_SPACE:
                raise InputError(
                    f"the model for {', '.join(other.modalities)} has another text tower than that for "
                    f"{', '.join(self.modalities)}, so their vectors cannot be compared; combine checkpoints "
                    "of one family."
                )
            towers |= other._towers
        return EmbeddingModel(*towers.values())

    def with_settings(self, **changes: Any) -> "EmbeddingModel":
        """The same model, its weights shared, with some settings of its processors changed.

        Args:
            **changes: fields of the processors' config, such as ``num_frames=16``.
        """
        return EmbeddingModel(
            *(
                replace(tower, processor=tower.processor.with_settings(**changes))
                for tower in self._towers.values()
            )
        )

    def embed_image(self, media: Any, **options: Unpack[EmbedOptions]) -> Vectors:
        """Vectors of pictures: files, or uint8 RGB (H, W, 3). Arguments and errors are those of ``embed``."""
        return self.embed(media, "image", **options)

    def embed_video(
        self, media: Any, *, with_sound: bool = False, **options: Unpack[EmbedOptions]
    ) -> Vectors:
        """Vectors of clips: files, folders of images, or ``FrameBatch``; see ``embed``.

        Args:
            media: one, or a list of them.
            with_sound: one vector of what is seen and heard, of a model that joins both, such as stage 2 of
                InternVideo2: files with a sound track, or a list of tuples (clip, sound). It is the kind
                ``"audio_video"`` of the other methods.
            **options: see ``EmbedOptions``.
        """
        return self.embed(media, "audio_video" if with_sound else "video", **options)

    def embed_audio(self, media: Any, **options: Unpack[EmbedOptions]) -> Vectors:
        """Vectors of sound: sound files, sound tracks of video files, or ``AudioClip``; see ``embed``."""
        return self.embed(media, "audio", **options)

    def embed_depth(self, media: Any, **options: Unpack[EmbedOptions]) -> Vectors:
        """Vectors of depth maps: files of 16 bits, or (H, W), in millimetres; see ``embed``."""
        return self.embed(media, "depth", **options)

    def embed_thermal(self, media: Any, **options: Unpack[EmbedOptions]) -> Vectors:
        """Vectors of heat maps: image files, or uint8 (H, W, 3) or (H, W); see ``embed``."""
        return self.embed(media, "thermal", **options)

    def embed(self, media: Any, modality: str | None = None, **options: Unpack[EmbedOptions]) -> Vectors:
        """Vectors of media of any kind that the model has.

        Args:
            media: one, or a list of them.
            modality: the kind; None for the only one there is.
            **options: see ``EmbedOptions``.

        Returns:
            (B, P), B is 1 for one.

        Raises:
            InputError: if the model does not embed this kind, or takes it in another form.
            MediaError: if a file cannot be read, or holds no such thing; with ``left_out``, if none can.
        """
        tower = self._tower(modality)
        sources = list(media) if isinstance(media, list | tuple) else [media]
        batch_size, progress = options.get("batch_size", 8), options.get("progress")
        if not sources:
            raise InputError("there is nothing to embed: the list of media is empty.")
        if batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1, got {batch_size}.")
        batches: list[Tensor] = []
        for vectors in tower.media(sources, batch_size, options.get("left_out")):
            batches.append(vectors)
            if progress is not None:
                progress(min(len(batches) * batch_size, len(sources)), len(sources))
        if not any(map(len, batches)):
            raise MediaError(f"none of the {len(sources)} files can be embedded.")
        return torch.cat(batches).numpy()

    def embed_text(self, texts: str | Sequence[str]) -> Vectors:
        """Vectors of texts, (B, P); B is 1 for one.

        Raises:
            InputError: if there is none.

        Warns:
            ModelWarning: if a text is longer than the model reads.
        """
        return self._any_tower.texts([texts] if isinstance(texts, str) else texts).numpy()

    def classify(
        self,
        media: Any,
        labels: Sequence[str],
        *,
        templates: str | Sequence[str] = "{}",
        modality: str | None = None,
        **options: Unpack[EmbedOptions],
    ) -> list[dict[str, float]]:
        """Which of several labels fits, without training: the softmax over cosines times the learned scale.

        Args:
            media: one, or a list of them.
            labels: at least one, each once.
            templates: what a label is put into, such as ``"a video of {}"``. Of several, the mean vector of a
                label is taken, as CLIP does.
            modality: the kind of media; None for the only one there is.
            **options: as for ``embed``.

        Returns:
            Of each of the media: label to probability, the likeliest first.

        Raises:
            InputError: if there are no labels, one stands there twice, or a template has no ``{}``; and as
                for ``embed``.
        """
        forms = [templates] if isinstance(templates, str) else list(templates)
        if isinstance(labels, str) or not labels or len(set(labels)) < len(labels):
            raise InputError(f"labels must be a list of one or more, each once, got {labels!r}.")
        if not forms or any("{}" not in form for form in forms):
            raise InputError(f"every template needs a {{}} where the label goes, got {forms}.")
        tower = self._tower(modality)
        ensemble = [tower.texts([form.replace("{}", label) for label in labels]) for form in forms]
        classes = F.normalize(torch.stack(ensemble).mean(0), dim=-1)  # (labels, P)
        vectors = torch.from_numpy(self.embed(media, modality, **options))
        scale = tower.network.logit_scale.detach().float().cpu().exp()
        return [_likeliest_first(labels, row) for row in (scale * vectors @ classes.T).softmax(-1)]

    def rank(self, query: str | Vectors, vectors: Vectors, *, top_k: int | None = None) -> list[Match]:
        """What is nearest to a query.

        Args:
            query: a text, or one vector of whatever kind of media: (P,) or (1, P).
            vectors: (B, P), to choose from.
            top_k: most matches; None for all.

        Returns:
            The nearest first.

        Raises:
            InputError: if there are several queries, or vectors of another width.
            ConfigError: if ``top_k`` is below 1.
        """
        if top_k is not None and top_k < 1:
            raise ConfigError(f"top_k must be at least 1, or None for all; got {top_k}.")
        wanted = self.embed_text(query) if isinstance(query, str) else np.atleast_2d(query)
        if len(wanted) != 1:
            raise InputError(f"rank takes one query, got {len(wanted)}; compare many with similarity.")
        cosines = self.similarity(wanted, vectors)[0]
        order = np.argsort(-cosines, kind="stable")[:top_k]
        return [Match(int(index), float(cosines[index])) for index in order]

    def rerank(
        self,
        query: str,
        media: Sequence[Any],
        matches: Sequence[Match],
        *,
        modality: str | None = None,
        batch_size: int = 8,
    ) -> list[Match]:
        """Look again at what was found, together with the query: slower, and better, than vectors alone.

        Args:
            query: a text.
            media: the files that ``matches`` count in.
            matches: of ``rank``, such as the first 128.
            modality: the kind of media; None for the only one there is.
            batch_size: files that are held at a time.

        Returns:
            The same media, the best first. Scores are logits of "belongs together".

        Raises:
            InputError: if the model compares vectors only, there is no match, or as for ``embed``.
        """
        if not matches:
            raise InputError("there is nothing to look at again: the list of matches is empty.")
        if (last := max(match.index for match in matches)) >= len(media):
            raise InputError(
                f"a match is of number {last}, but there are {len(media)} media; pass all of them."
            )
        sources = [media[match.index] for match in matches]
        logits = torch.cat(list(self._tower(modality).matches(query, sources, batch_size))).tolist()
        again = [Match(match.index, score) for match, score in zip(matches, logits, strict=True)]
        return sorted(again, key=lambda match: -match.score)

    @staticmethod
    def similarity(first: Vectors, second: Vectors) -> NDArray[np.float32]:
        """Cosines between all of two sets of vectors, (B, P) and (B2, P) to (B, B2).

        Raises:
            InputError: if they are not of one width.
        """
        first, second = np.asarray(first), np.asarray(second)
        if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
            raise InputError(f"vectors must be (B, P) of one width, got {first.shape} and {second.shape}.")
        return first @ second.T

    @property
    def _any_tower(self) -> Tower:
        """Of which it does not matter: texts are embedded alike by all."""
        return next(iter(self._towers.values()))

    def _tower(self, modality: str | None) -> Tower:
        wanted = self.modalities[0] if modality is None and len(self._towers) == 1 else modality
        if wanted in self._towers:
            return self._towers[wanted]
        has = f"this model embeds {', '.join(self.modalities)} and text"
        if wanted is None:
            raise InputError(f"{has}; say which of them the media are.")
        published = self._any_tower.processor.published
        advice = (
            f"load {published[wanted]!r} for it" if wanted in published else "its family knows no such thing"
        )
        raise InputError(f"{has}, not {wanted}; {advice}.")


def _likeliest_first(labels: Sequence[str], probabilities: Tensor) -> dict[str, float]:
    order = probabilities.argsort(descending=True, stable=True).tolist()
    return {labels[index]: float(probabilities[index]) for index in order}
