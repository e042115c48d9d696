"""What a stage minimises."""

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor
from torch.nn import functional as F

from kinema.errors import DataError
from kinema.processors.inputs import ModelInputs

IGNORE_INDEX = -100


class Loss(Protocol):
    """A scalar from a model and a batch."""

    def __call__(self, model: Any, inputs: Any) -> Tensor:
        """The mean loss of the batch, with its graph; each says what it asks of the model and the batch."""


@dataclass(frozen=True, kw_only=True)
class NextToken:
    """Cross-entropy of labelled next tokens; the head runs on labelled positions only.

    Asks for ``model.hidden_states(inputs)``, (B, N, D), and ``model.language_model.logits``; takes
    ``ModelInputs``. Over several processes it is the mean of their means.
    """

    def __call__(self, model: Any, inputs: ModelInputs) -> Tensor:
        """Mean over all labelled tokens of the batch, float32."""
        if inputs.labels is None:
            raise DataError("next-token loss needs labels; ask the processor for them with with_labels=True.")
        targets = inputs.labels[:, 1:]
        labelled = targets != IGNORE_INDEX
        if not labelled.any():
            raise DataError("no token of the batch has a label: every sample ends before an answer.")
        hidden_states = model.hidden_states(inputs)[:, :-1]  # (B, N - 1, D)
        logits = model.language_model.logits(hidden_states[labelled])  # (L, V)
        return F.cross_entropy(logits.float(), targets[labelled])

    def count(self, inputs: ModelInputs) -> int:
        """Labelled tokens, over which the mean goes: a batch may come in parts (``accumulation``)."""
        return 0 if inputs.labels is None else int((inputs.labels[:, 1:] != IGNORE_INDEX).sum())
