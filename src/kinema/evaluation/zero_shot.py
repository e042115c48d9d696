"""Actions that a model was never trained to tell apart, by their names in words (InternVideo2, 2403.15377).

N videos, K classes, P prompts a class.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kinema.errors import InputError
from kinema.evaluation.retrieval import class_scores
from kinema.inference.embedding import EmbeddingModel

ACTION_TEMPLATES = (
    "a photo of action {}",
    "a picture of action {}",
    "Human action of {}",
    "{}, an action",
    "{} this is an action",
    "{}, a video of action",
    "Playing action of {}",
    "{}",
    "Playing a kind of action, {}",
    "Doing a kind of action, {}",
    "Look, the human is {}",
    "Can you recognize the action of {}?",
    "Video classification of {}",
    "A video of {}",
    "The man is {}",
    "The woman is {}",
)
"""Those of ActionCLIP (arXiv 2109.08472), which InternVideo2's evaluations take."""


def action_scores(
    model: EmbeddingModel,
    videos: Sequence[Any],
    labels: Sequence[str],
    *,
    templates: Sequence[str] = ACTION_TEMPLATES,
    after_softmax: bool = False,
    batch_size: int = 8,
) -> Tensor:
    """How well each name fits each video: scores of all its prompts, averaged.

    ``EmbeddingModel.classify`` averages their vectors instead, as CLIP does.

    Args:
        model: embeds video.
        videos: N files or decoded clips.
        labels: K names, each once.
        templates: what a name is put into, at ``{}``.
        after_softmax: whether cosines go through a softmax over all prompts before, as stage 2 was evaluated;
            the CLIP models were not.
        batch_size: videos that are held at a time.

    Returns:
        (N, K) float32.

    Raises:
        InputError: if there are no labels, one stands there twice, or a template has no ``{}``; and as for
            ``EmbeddingModel.embed``.
    """
    if not labels or len(set(labels)) < len(labels):
        raise InputError(f"labels must be one or more, each once, got {list(labels)!r}.")
    if not templates or any("{}" not in template for template in templates):
        raise InputError(f"every template needs a {{}} where the label goes, got {list(templates)}.")
    prompts = [template.replace("{}", label) for label in labels for template in templates]
    vectors = model.embed_video(list(videos), batch_size=batch_size)
    cosines = torch.from_numpy(model.similarity(vectors, model.embed_text(prompts)))  # (N, K·P)
    return class_scores(cosines.softmax(-1) if after_softmax else cosines, len(labels))
