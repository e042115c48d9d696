"""A captioner with random weights that hears windows of one second and answers in no time."""

import torch
from chat_pieces import letter_pieces

from kinema.models.internvideo2.captioner import AudioCaptioner, CaptionerConfig
from kinema.models.internvideo2.captioner_processor import CaptionerProcessor, CaptionerProcessorConfig
from kinema.modules.audio.beats import BEATsConfig
from kinema.modules.connectors.qformer import QFormerConfig
from kinema.modules.language.decoder import DecoderConfig
from kinema.processors.beats_features import BEATsFeaturesConfig
from kinema.processors.sentence_pieces import SentencePieceTokenizer

VOCAB_SIZE = 48
NUM_QUERIES = 5
"""Of each window, in two parts as the chat model has them."""


def captioner_config() -> CaptionerConfig:
    """All parts a few numbers wide."""
    return CaptionerConfig(
        audio=BEATsConfig(
            hidden_size=16,
            intermediate_size=32,
            num_layers=2,
            num_heads=2,
            patch_embedding_size=12,
            position_kernel=8,
            position_groups=4,
            num_buckets=32,
        ),
        bridge=QFormerConfig(
            memory_size=16,
            hidden_size=24,
            intermediate_size=32,
            num_layers=2,
            num_heads=2,
            num_queries=2,
            num_extra_queries=NUM_QUERIES - 2,
            vocab_size=30,
            max_positions=16,
        ),
        language=DecoderConfig(
            vocab_size=VOCAB_SIZE,
            hidden_size=32,
            intermediate_size=64,
            num_layers=2,
            num_heads=4,
            num_kv_heads=2,
            head_dim=8,
            max_positions=1024,
        ),
    )


def small_captioner() -> AudioCaptioner:
    """Weights large enough that answers depend on what is heard and said."""
    torch.manual_seed(0)
    model = AudioCaptioner(captioner_config()).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def small_captioner_processor() -> CaptionerProcessor:
    """Windows of one second in 32 bins; letters for a vocabulary."""
    config = CaptionerProcessorConfig(
        sound=BEATsFeaturesConfig(num_mel_bins=32, num_samples=16_000), tokens_per_view=NUM_QUERIES
    )
    return CaptionerProcessor(SentencePieceTokenizer(letter_pieces(VOCAB_SIZE)), config)
