"""Held-out films of the toybox with sound, found by what is seen, by what is heard, and by both.

A query of what is heard, such as ``A bell, then a hiss, then a bell is heard.``, names nothing else. Each
film has three sounds whose names do not depend on its pictures (``toybox.sounding``): whoever cannot hear
finds one by chance. Several films may be right.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from kinema.datasets.toybox import spread_times
from kinema.datasets.toybox_films import ToyboxFilms, film_captions
from kinema.evaluation.retrieval import recall_at
from kinema.inference.rerank import rerank
from kinema.models.internvideo2.stage2 import InternVideo2Stage2, MediaFeatures, TextFeatures
from kinema.models.internvideo2.stage2_processor import Stage2Processor
from kinema.toybox import Scene
from kinema.toybox.speaking import remark

_BATCH_SIZE = 32
_SIDE = 84
"""Pixels a side that films are drawn at; the processor resizes them to its own size."""

Recall = dict[int, float]
"""k to the share of queries whose film is among the first k."""


@torch.inference_mode()
def film_retrieval(
    model: InternVideo2Stage2,
    processor: Stage2Processor,
    *,
    num_films: int = 200,
    seed: int = 0,
    top_k: int = 16,
) -> dict[str, Recall]:
    """Recall at 1, 5 and 10 of texts that look for films; where the model hears nothing, by its eyes alone.

    Args:
        model: in evaluation mode.
        processor: goes with it.
        num_films: how many there are to choose from, none of which was trained.
        seed: of the films.
        top_k: films of each query that the match head looks at again.

    Returns:
        ``seen`` by contrast, ``seen, matched`` with the match head; ``seen and said``, by texts that go on
        with what a speaker says, and the same matched; ``heard by eyes``, and of a model that hears
        ``heard``, ``all`` and ``all, matched``: texts of what is seen and heard, films with sound.
    """
    films = ToyboxFilms(num_frames=processor.config.num_frames, side=_SIDE, split="test")
    scenes = _scenes(films, num_films, seed)
    captions = [film_captions(scene) for scene in scenes]
    speaker = np.random.default_rng([seed, num_films, 1])
    for scene, caption in zip(scenes, captions, strict=True):
        caption["said"] = f"{caption['video']} {remark(scene, speaker)}"

    def read(kind: str) -> TextFeatures:
        text = processor.texts([caption[kind] for caption in captions])
        return model.read(text.input_ids, text.attention_mask)

    frames = [scene.render(spread_times(scene, films.num_frames)) for scene in scenes]
    watched = _encoded(model.see, [processor.video(clip) for clip in frames])
    pairs = {
        "seen": (watched, read("video")),
        "seen and said": (watched, read("said")),
        "heard by eyes": (watched, read("audio")),
    }
    if model.hearing is not None:
        heard = _encoded(model.hear, [processor.audio(scene.sound()) for scene in scenes])
        pairs["heard"] = heard, read("audio")
        pairs["all"] = model.join(watched, heard), read("avs")
    scores = {name: _cosines(text, media) for name, (media, text) in pairs.items()}
    for name in [name for name in pairs if not name.startswith("heard")]:
        found = rerank(model, *pairs[name], scores[name].T, top_k=top_k)
        scores[f"{name}, matched"] = found.by_text
    sounds = [caption["audio"] for caption in captions]
    same_sound = torch.tensor([[one == other for other in sounds] for one in sounds])
    return {
        name: recall_at(values, matches=same_sound if name.startswith("heard") else None)
        for name, values in scores.items()
    }


def _scenes(films: ToyboxFilms, num_films: int, seed: int) -> list[Scene]:
    rng = np.random.default_rng([seed, num_films])
    return [films.scene(rng) for _ in range(num_films)]


def _encoded(encode: Callable[[Tensor], MediaFeatures], rows: list[Tensor]) -> MediaFeatures:
    parts = [encode(batch) for batch in torch.stack(rows).split(_BATCH_SIZE)]
    return MediaFeatures(
        parts[0].kind,
        torch.cat([part.tokens for part in parts]),
        torch.cat([part.projection for part in parts]),
    )


def _cosines(text: TextFeatures, media: MediaFeatures) -> Tensor:
    """(texts, media)."""
    one, other = (F.normalize(features.projection.float(), dim=-1) for features in (text, media))
    return one @ other.T
