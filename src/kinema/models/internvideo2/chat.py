"""InternVideo2-Chat: see, ask with queries, place, decode (arXiv 2403.15377, 3.3; OpenGVLab/Ask-Anything).

V views, T frames, H W pixels, M tokens of a view.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.decoder_keys import DecoderLayout
from kinema.models.queried import QueriedModel
from kinema.modules.connectors.qformer import QFormer, QFormerConfig
from kinema.modules.language.decoder import Decoder, DecoderConfig
from kinema.modules.linear import Linear
from kinema.modules.vision.internvideo2 import InternVideo2Vision, InternVideo2VisionConfig
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
    layout: DecoderLayout = "llama"
    """Whose names the language model has in files: Mistral's are Llama's, InternLM2.5's its own."""

    def __post_init__(self) -> None:
        if self.bridge.memory_size != self.vision.hidden_size:
            raise ConfigError(
                f"the bridge looks at tokens of the encoder: memory_size must be {self.vision.hidden_size}, "
                f"got {self.bridge.memory_size}."
            )


class InternVideo2Chat(QueriedModel):
    """A video encoder, a Q-Former, and a decoder that reads 96 tokens of each view."""

    takes = QueryInputs

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

    def encode_views(self, views: Tensor) -> Tensor:
        """(V, T, 3, H, W), normalised, to (V, M, memory_size)."""
        return self.vision_norm(self.vision_encoder(views))

    def patches_per_view(self, views: Tensor) -> int:
        """Of all frames."""
        _, num_frames, _, height, width = views.shape
        return num_frames * height * width // self.config.vision.patch_size**2
