"""Samples that are too long, cut as in the published training."""

from dataclasses import replace

from kinema.errors import InputError
from kinema.processors.collate import Sample
from kinema.processors.labels import IGNORE_INDEX


def cut_sample(sample: Sample, max_length: int) -> Sample:
    """The first ``max_length`` tokens of a sample, and the visual features whose placeholders are among them.

    As in training by DAMO-NLP-SG/VideoLLaMA3 at commit 05cee23 (``model_max_length``), which takes for
    granted that all features belong to one image or video. The encoder still sees whole frames; what has lost
    its placeholder is dropped after it, like a pruned token.

    Raises:
        InputError: if the sample has labels and none is left: nothing could be learned from it.
    """
    if len(sample.input_ids) <= max_length:
        return sample
    visual_mask = sample.visual_mask[:max_length]
    labels = None if sample.labels is None else sample.labels[:max_length]
    if labels is not None and (labels == IGNORE_INDEX).all():
        raise InputError(
            f"a sample of {len(sample.input_ids)} tokens, {int(sample.visual_mask.sum())} of them visual, "
            f"has no label among its first {max_length}. Give it fewer visual tokens, or raise max_length."
        )
    return replace(
        sample,
        input_ids=sample.input_ids[:max_length],
        visual_mask=visual_mask,
        labels=labels,
        visual=None if sample.visual is None else sample.visual.first_tokens(int(visual_mask.sum())),
        is_cut=True,
    )
