"""Labels as the original training code of LLaVA and Video-LLaVA computes them, with what it loses.

It counts the tokens of each round anew and throws the whole sample away where the sum is not what it should
be. PKU-YuanGroup/Video-LLaVA at 984e65b, ``train.py`` (``preprocess_v1``, ``preprocess_plain``) and
``mm_utils.py`` (``tokenizer_image_token``).
"""

from dataclasses import dataclass

from kinema.processors.chat import Control
from kinema.processors.labels import IGNORE_INDEX
from kinema.processors.role_tokens import SpanTokenizer, split_special_strings

MARKER = "<image>"
MARKER_ID = -200
"""What stands for a marker among ids that are not expanded yet."""
PADDING_ID = 0
"""Not counted as a token, whether it is padding or the unknown piece of a text."""


@dataclass(frozen=True, kw_only=True)
class OfficialSample:
    """One sample of the original, before visual features take the place of markers."""

    input_ids: list[int]
    labels: list[int]
    lost: str | None = None
    """Why every label was taken away; None where they stand."""


def official_ids(text: str, tokenizer: SpanTokenizer) -> list[int]:
    """Ids of a rendered prompt: each chunk between markers alone, special strings as special tokens."""
    ids = [tokenizer.special_id("<s>")]
    for number, chunk in enumerate(text.split(MARKER)):
        ids += [MARKER_ID] * (number > 0)
        after_special = False
        for piece in split_special_strings(chunk):
            if isinstance(piece, Control):
                ids.append(tokenizer.special_id(piece.token))
                after_special = True
            else:
                spans = tokenizer.encode_spans(piece, after_special=after_special)
                ids += [span.token for span in spans]
    return ids


def official_v1_labels(
    prompt: str, tokenizer: SpanTokenizer, *, max_length: int | None = None
) -> OfficialSample:
    """Labels of a prompt of template ``v1`` or ``llava_v1``.

    Args:
        prompt: as rendered, markers in it, without the token that begins it.
        tokenizer: of the model.
        max_length: ``model_max_length`` of the original, from which on it does not count; None counts always.
    """
    ids = official_ids(prompt, tokenizer)
    labels = [IGNORE_INDEX, *ids[1:]]
    position = 1
    for round_text in prompt.split("</s>"):
        halves = round_text.split(" ASSISTANT: ")
        if not round_text or len(halves) != 2:
            break
        question = official_ids(f"{halves[0]} ASSISTANT: ", tokenizer)
        end = min(position + len(question) - 2, len(ids))
        labels[position:end] = [IGNORE_INDEX] * (end - position)
        position += len(official_ids(round_text, tokenizer))
    labels[position:] = [IGNORE_INDEX] * len(labels[position:])
    counted = sum(token != PADDING_ID for token in ids)
    if position == counted or (max_length is not None and position >= max_length):
        return OfficialSample(input_ids=ids, labels=labels)
    lost = f"tokenization mismatch: {position} vs. {counted}"
    return OfficialSample(input_ids=ids, labels=[IGNORE_INDEX] * len(ids), lost=lost)
