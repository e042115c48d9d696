"""Which tokens a model is trained to write.

The assistant's words and the token that closes its turn carry loss; openings, final line breaks,
placeholders and everybody else do not. A stream adds the decision to speak, by one of two rules of the
original code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from kinema.processors.chat import EncodedTurn

IGNORE_INDEX = -100
"""Label of a position without loss, as in torch's cross entropy."""

StreamRule = Literal["decision", "frame_end"]
"""Where a stream turn carries loss.

``"decision"``: at the first token of the turn after it, which is ``<|stream_start|>`` to stay silent and
``<|im_start|>`` to speak (a user's turn counts as well). The rule of the published processor.
``"frame_end"``: at the token after the frame and at ``<|stream_end|>``. The rule of the training code at
commit 05cee23 of DAMO-NLP-SG/VideoLLaMA3, where the other stands commented out.
"""


@dataclass(frozen=True)
class Supervision:
    """Labels of one conversation."""

    labels: tuple[int, ...]
    """(N,) token ids, ``IGNORE_INDEX`` where no loss falls."""
    decisions: dict[int, list[int]]
    """Positions of the decisions of a stream, by the token that was right."""


def supervise(turns: Sequence[EncodedTurn], *, stream_rule: StreamRule = "decision") -> Supervision:
    """Label the tokens of a conversation."""
    labels: list[int] = []
    decisions: dict[int, list[int]] = {}
    after_stream = False
    for turn in turns:
        own = _turn_labels(turn, stream_rule)
        if after_stream and stream_rule == "decision":
            own[0] = turn.ids[0]
            decisions.setdefault(turn.ids[0], []).append(len(labels))
        labels += own
        after_stream = turn.role == "stream"
    return Supervision(tuple(labels), decisions)


def thin_decisions(supervision: Supervision, generator: torch.Generator) -> tuple[int, ...]:
    """Keep as many decisions of each kind as there are of the rarest, chosen at random.

    Staying silent is right at most frames of a stream; without this a model learns nothing else.

    Args:
        supervision: labels with all decisions.
        generator: the source of chance.

    Returns:
        (N,) labels.
    """
    if not supervision.decisions:
        return supervision.labels
    labels = list(supervision.labels)
    num_kept = min(len(positions) for positions in supervision.decisions.values())
    for positions in supervision.decisions.values():
        order = torch.randperm(len(positions), generator=generator).tolist()
        for index in order[num_kept:]:
            labels[positions[index]] = IGNORE_INDEX
    return tuple(labels)


def _turn_labels(turn: EncodedTurn, stream_rule: StreamRule) -> list[int]:
    end = len(turn.ids) - turn.footer_length
    if turn.role == "assistant":
        wanted = set(range(turn.header_length, end))
    elif turn.role == "stream" and stream_rule == "frame_end":
        after_frame = {i for i in range(1, end) if turn.is_visual[i - 1] and not turn.is_visual[i]}
        wanted = after_frame | {end - 1}
    else:
        wanted = set()
    return [
        token if position in wanted and not turn.is_visual[position] else IGNORE_INDEX
        for position, token in enumerate(turn.ids)
    ]
