"""VideoLLaMA3 (arXiv 2501.13106): encode, connect, place, decode.

M visual tokens, K of them kept, D hidden size.
"""

from torch import Tensor

from kinema.errors import InputError
from kinema.models.fused import FusedModel
from kinema.models.fusion import expect_visual
from kinema.models.videollama3.config import VideoLLaMA3Config
from kinema.modules.connectors.mlp import MLPConnector
from kinema.modules.language.decoder import Decoder
from kinema.modules.vision.navit import NaViT, NaViTConfig
from kinema.processors.inputs import Visual, VisualInputs


class VideoLLaMA3(FusedModel):
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

    def encode_visual(self, visual: Visual, *, max_patches: int | None = None) -> Tensor:
        """Features of the kept visual tokens, (K, D).

        The encoder needs every patch of a frame; only what is kept goes through the connector, which gives
        the same numbers as pruning after it, as the published code does, at less cost.
        """
        visual = expect_visual(visual, VisualInputs)
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
