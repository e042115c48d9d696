"""Held-out clips of the toybox as real files, found by their captions and by one of their pictures.

The picture is the one in the middle of the clip. Models that saw no pair of an image and a video can find a
clip by it only through what both have in common with text.
"""

import tempfile
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from kinema.evaluation.retrieval import recall_at
from kinema.toybox import Scene, make_scene, short_caption, write_clip

Vectors = NDArray[np.float32]
"""(B, P), each of length 1."""


class Embedder(Protocol):
    """A model behind the front door that embeds images, videos and text, each from a list of them."""

    def embed_image(self, media: Any) -> Vectors:
        """Vectors of pictures, uint8 RGB (H, W, 3)."""
        ...

    def embed_video(self, media: Any) -> Vectors:
        """Vectors of files."""
        ...

    def embed_text(self, texts: list[str]) -> Vectors:
        """Vectors of texts."""
        ...


def toybox_retrieval(model: Embedder, *, num_clips: int = 200, seed: int = 0) -> dict[str, dict[int, float]]:
    """Recall at 1, 5 and 10 in each direction.

    Args:
        model: what ``kinema.load`` returns, combined so that it embeds images and videos.
        num_clips: how many there are to choose from; one in ``num_clips`` is chance.
        seed: of the first clip; clip i is the scene of ``seed + i`` of the split ``test``.
    """
    scenes = [make_scene(seed + index, split="test") for index in range(num_clips)]
    texts = model.embed_text([short_caption(scene) for scene in scenes])
    pictures = model.embed_image([scene.render([scene.duration_s / 2])[0] for scene in scenes])
    clips = np.concatenate([_embed_film(model, scene) for scene in scenes])
    pairs = {
        "text to video": (texts, clips),
        "video to text": (clips, texts),
        "image to video": (pictures, clips),
        "text to image": (texts, pictures),
    }
    return {name: recall_at(torch.from_numpy(query @ item.T)) for name, (query, item) in pairs.items()}


def _embed_film(model: Embedder, scene: Scene) -> Vectors:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_clip(scene, path)
        return model.embed_video([path])
