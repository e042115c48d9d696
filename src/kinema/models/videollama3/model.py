"""VideoLLaMA3 (arXiv 2501.13106): encode, connect, place, decode.

B rows, N text positions, M visual tokens, K of them kept, D hidden size, V vocabulary.
"""

from torch import Tensor, nn

from kinema.errors import InputError
from kinema.models.fusion import place_visual
from kinema.models.videollama3.config import VideoLLaMA3Config
from kinema.modules.connectors.mlp import MLPConnector
from kinema.modules.language.cache import KeyValueCache
from kinema.modules.language.decoder import Decoder
from kinema.modules.vision.navit import NaViT, NaViTConfig
from kinema.processors.inputs import ModelInputs, VisualInputs


class VideoLLaMA3(nn.Module):
    """SigLIP-NaViT, a two-layer MLP, Qwen2.5."""

    def __init__(self, config: VideoLLaMA3Config) -> None:
        super().__init__()
        self.config = config
        self.vision_encoder = NaViT(config.vision)
        self.connector = MLPConnector(config.vision.hidden_size, config.language.hidden_size)
        self.language_model = Decoder(config.language)

    @property
    def vision_sizes(self) -> NaViTConfig:
        """Widths of the vision encoder, from which its memory is forecast."""
        return self.config.vision

    def forward(self, inputs: ModelInputs, *, cache: KeyValueCache | None = None) -> Tensor:
        """Next-token logits, (B, N, V)."""
        return self.language_model.logits(self.hidden_states(inputs, cache=cache))

    def hidden_states(self, inputs: ModelInputs, *, cache: KeyValueCache | None = None) -> Tensor:
        """What the head reads, (B, N, D); a loss needs it only where there is a label."""
        return self.language_model(
            self.embed(inputs), inputs.position_ids, cache=cache, segment_lengths=inputs.segment_lengths
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

    def encode_visual(self, visual: VisualInputs, *, max_patches: int | None = None) -> Tensor:
        """Features of the kept visual tokens, (K, D).

        The encoder needs every patch of a frame; only what is kept goes through the connector, which gives
        the same numbers as pruning after it, as the published code does, at less cost.
        """
        features = self.vision_encoder(
            visual.pixel_values, visual.grid_thw, visual.merge_sizes, max_patches=max_patches
        )  # (M, D_vision)
        if visual.keep_mask is not None:
            if visual.keep_mask.shape != features.shape[:1]:
                raise InputError(
                    f"keep_mask decides on {len(visual.keep_mask)} tokens, the encoder gave {len(features)}."
                )
            features = features[visual.keep_mask]
        return self.connector(features)
