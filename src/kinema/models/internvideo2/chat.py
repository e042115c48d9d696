"""InternVideo2-Chat: see, ask with queries, place, decode (arXiv 2403.15377, 3.3; OpenGVLab/Ask-Anything).

V views, T frames, H W pixels, N tokens of a view, Q tokens made of it, K of all that are kept, D width
of the language model.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.fused import FusedModel
from kinema.models.fusion import expect_visual
from kinema.modules.connectors.qformer import QFormer, QFormerConfig
from kinema.modules.language.decoder import Decoder, DecoderConfig
from kinema.modules.linear import Linear
from kinema.modules.vision.internvideo2 import InternVideo2Vision, InternVideo2VisionConfig
from kinema.processors.inputs import Visual
from kinema.processors.query_inputs import QueryInputs

VISION_NORM_EPS = 1e-12
"""Of the norm between encoder and Q-Former, which was made as BERT's norms are."""


@dataclass(frozen=True, kw_only=True)
class ChatConfig:
    """An encoder, a bridge of queries and a decoder."""

    vision: InternVideo2VisionConfig
    """One layer less than stage 2 has: the bridge reads what leaves the last layer but one."""
    bridge: QFormerConfig
    language: DecoderConfig

    def __post_init__(self) -> None:
        if self.bridge.memory_size != self.vision.hidden_size:
            raise ConfigError(
                f"the bridge looks at tokens of the encoder: memory_size must be {self.vision.hidden_size}, "
                f"got {self.bridge.memory_size}."
            )


class InternVideo2Chat(FusedModel):
    """A video encoder, a Q-Former, and a decoder that reads 96 tokens of each view."""

    def __init__(self, config: ChatConfig) -> None:
        super().__init__()
        self.config = config
        self.vision_encoder = InternVideo2Vision(config.vision)
        self.vision_norm = nn.LayerNorm(config.vision.hidden_size, eps=VISION_NORM_EPS)
        self.connector = QFormer(config.bridge)
        self.up_projection = Linear(config.bridge.hidden_size, config.language.hidden_size)
        self.down_projection = Linear(config.language.hidden_size, config.bridge.hidden_size)
        """Part of every file, and used by nothing."""
        self.language_model = Decoder(config.language)

    @property
    def vision_sizes(self) -> InternVideo2VisionConfig:
        """Widths of the encoder, from which its memory is forecast."""
        return self.config.vision

    def encode_visual(self, visual: Visual, *, max_patches: int | None = None) -> Tensor:
        """Features of the kept visual tokens, (K, D): all queries of the first view, then of the next.

        As many views go through the encoder at a time as ``max_patches`` allows, but one at least.
        """
        visual = expect_visual(visual, QueryInputs)
        features = []
        for views in visual.items:
            _, num_frames, _, height, width = views.shape
            patches = num_frames * height * width // self.config.vision.patch_size**2
            at_once = len(views) if max_patches is None else max(1, max_patches // patches)
            features += [self.look(part).flatten(0, 1) for part in views.split(at_once)]
        joined = torch.cat(features)
        return joined if visual.keep_mask is None else joined[visual.keep_mask]

    def look(
        self, views: Tensor, instruction_ids: Tensor | None = None, instruction_mask: Tensor | None = None
    ) -> Tensor:
        """What the language model reads of views.

        Args:
            views: (V, T, 3, H, W), normalised.
            instruction_ids: (V, N), what the queries are told; see ``QFormer``.
            instruction_mask: (V, N).

        Returns:
            (V, Q, D).
        """
        tokens = self.vision_norm(self.vision_encoder(views))
        return self.up_projection(self.connector(tokens, instruction_ids, instruction_mask))
