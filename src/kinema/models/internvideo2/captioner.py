"""The audio captioner of InternVideo2's data engine: hear, ask with queries, place, decode.

The paper says of it that it is VideoChat with BEATs for eyes, and that of its parts the Q-Former alone was
trained, on WavCaps (arXiv 2403.15377, the part on VidCap); neither code nor weights were released.
So this is the chat model with ears in place of the eyes. BEATs ends with a norm: there is no other before the
Q-Former.

V windows of sound, L frames of 10 ms, M mel bins, N tokens of a window.
"""

from dataclasses import dataclass

from torch import Tensor

from kinema.errors import ConfigError
from kinema.models.queried import QueriedModel
from kinema.modules.audio.beats import BEATs, BEATsConfig
from kinema.modules.connectors.qformer import QFormer, QFormerConfig
from kinema.modules.language.decoder import Decoder, DecoderConfig
from kinema.modules.linear import Linear
from kinema.processors.query_inputs import SoundInputs


@dataclass(frozen=True, kw_only=True)
class CaptionerConfig:
    """Ears, a bridge of queries and a decoder."""

    audio: BEATsConfig
    bridge: QFormerConfig
    language: DecoderConfig

    def __post_init__(self) -> None:
        if self.bridge.memory_size != self.audio.hidden_size:
            raise ConfigError(
                f"the bridge looks at tokens of the encoder: memory_size must be {self.audio.hidden_size}, "
                f"got {self.bridge.memory_size}."
            )


class AudioCaptioner(QueriedModel):
    """BEATs, a Q-Former, and a decoder that reads as many tokens of each window as there are queries."""

    takes = SoundInputs

    def __init__(self, config: CaptionerConfig) -> None:
        super().__init__()
        self.config = config
        self.audio_encoder = BEATs(config.audio)
        self.connector = QFormer(config.bridge)
        self.up_projection = Linear(config.bridge.hidden_size, config.language.hidden_size)
        self.language_model = Decoder(config.language)

    @property
    def vision_sizes(self) -> BEATsConfig:
        """Widths of the encoder, from which its memory is forecast as that of eyes is."""
        return self.config.audio

    def encode_views(self, views: Tensor) -> Tensor:
        """(V, L, M), normalised filter banks, to (V, N, memory_size)."""
        return self.audio_encoder(views)

    def patches_per_view(self, views: Tensor) -> int:
        """N."""
        side = self.config.audio.patch_size
        return (views.shape[1] // side) * (views.shape[2] // side)
