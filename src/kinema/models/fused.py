"""What every family that writes about images and videos does: encode, place, decode.

B rows, N text positions, K kept visual tokens, D hidden size, V vocabulary.
"""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from kinema.errors import InputError
from kinema.models.fusion import place_visual
from kinema.modules.language.cache import KeyValueCache
from kinema.modules.language.decoder import Decoder
from kinema.processors.inputs import ModelInputs, Visual


class FusedModel(nn.Module, ABC):
    """A decoder that reads text with visual features in place of placeholders."""

    language_model: Decoder

    @abstractmethod
    def encode_visual(self, visual: Visual, *, max_patches: int | None = None) -> Tensor:
        """Features of the kept visual tokens, (K, D), in the order of their placeholders.

        Args:
            visual: as the processor of the model makes them.
            max_patches: patches to encode at a time; the numbers are the same and the activations stay
                small. None encodes all at once.

        Raises:
            InputError: if they were made for another model.
        """

    def forward(self, inputs: ModelInputs, *, cache: KeyValueCache | None = None) -> Tensor:
        """Next-token logits, (B, N, V)."""
        return self.language_model.logits(self.hidden_states(inputs, cache=cache))

    def hidden_states(self, inputs: ModelInputs, *, cache: KeyValueCache | None = None) -> Tensor:
        """What the head reads, (B, N, D); a loss needs it only where there is a label."""
        return self.language_model(
            self.embed(inputs),
            inputs.position_ids,
            cache=cache,
            segment_lengths=inputs.segment_lengths,
            attention_mask=inputs.attention_mask,
        )

    def embed(self, inputs: ModelInputs, *, max_patches: int | None = None) -> Tensor:
        """Embeddings of text with visual features in place, (B, N, D)."""
        text = self.language_model.embed(inputs.input_ids)
        if inputs.visual is None:
            return text
        if inputs.visual_mask is None:
            raise InputError("visual inputs came without visual_mask, which says where their features go.")
        visual = self.encode_visual(inputs.visual, max_patches=max_patches)
        return place_visual(text, visual, inputs.visual_mask)
