"""What the front door asks of a family: a network and the processor that belongs to it.

Nothing in ``inference`` knows more of a family than this page. N text positions, D hidden size.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, Self, runtime_checkable

from torch import Tensor
from torch.nn import Parameter

from kinema.modules.language.decoder import Decoder
from kinema.processors.chat import EncodedTurn
from kinema.processors.inputs import ModelInputs
from kinema.processors.messages import Conversation
from kinema.processors.tokenizer import PromptTokenizer
from kinema.processors.visuals import EncodedVisuals, VisualItem


class Network(Protocol):
    """Encodes visual inputs, and puts them where the decoder reads."""

    @property
    def language_model(self) -> Decoder:
        """Reads embeddings, writes text."""
        ...

    @property
    def vision_sizes(self) -> "VisionSizes":
        """Widths of the vision encoder, from which its memory is forecast."""
        ...

    def parameters(self) -> Iterator[Parameter]:
        """The weights, as every ``nn.Module`` gives them."""
        ...

    def embed(self, inputs: ModelInputs, *, max_patches: int | None = None) -> Tensor:
        """(B, N, D), embeddings of text with visual features in place, ``max_patches`` encoded at a time."""
        ...


class VisionSizes(Protocol):
    """A vision transformer, as far as its memory goes."""

    @property
    def hidden_size(self) -> int:
        """Width of a patch between layers."""
        ...

    @property
    def intermediate_size(self) -> int:
        """Width of a patch inside the MLP."""
        ...

    @property
    def head_dim(self) -> int:
        """Width of one head of the attention."""
        ...

    @property
    def patch_size(self) -> int:
        """Pixels a side of a patch."""
        ...


@runtime_checkable
class PositionedSizes(Protocol):
    """Sizes of an encoder whose positions take memory of their own."""

    def position_moments(self, num_patches: int, patches_each: int) -> Sequence[Sequence[int]]:
        """The moments at which they do, each given by the numbers in every block that is alive then.

        Args:
            num_patches: that are encoded at once.
            patches_each: of one view, beyond which no patch looks.
        """
        ...


class Processor(Protocol):
    """Turns media into frames, and frames and text into tokens.

    Two steps, because the first is done once a video and the second once a question.
    """

    @property
    def tokenizer(self) -> PromptTokenizer:
        """Reads and writes what stands between media."""
        ...

    def measure(self, conversation: Conversation) -> tuple[VisualItem, ...]:
        """What ``encode`` would give, before pruning. Files are looked at, no frame is decoded."""
        ...

    def encode(self, conversation: Conversation) -> EncodedVisuals | None:
        """All images and videos of a conversation, read, resized and pruned; None where there are none."""
        ...

    def tokenize(
        self, conversation: Conversation, items: Sequence[VisualItem], *, add_generation_prompt: bool = False
    ) -> list[EncodedTurn]:
        """Token ids, with as many placeholders as ``items`` has tokens; end to end they are the prompt.

        ``items`` are those of ``measure`` or ``encode`` for the same images and videos; no file is opened.
        """
        ...

    def with_limits(self, *, max_tokens: int) -> Self:
        """The same with another limit of visual tokens in a conversation."""
        ...

    def with_settings(self, **changes: Any) -> Self:
        """The same with some of its settings changed, such as ``pruning``."""
        ...
