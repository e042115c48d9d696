"""Sizes of the nano InternVideo2, its teachers and its other encoders: published layouts, about a million
parameters each."""

from dataclasses import replace

from kinema.models.internvideo2.stage2 import SoundConfig, Stage2Config
from kinema.models.internvideo2.stage2_processor import Stage2Processor, Stage2ProcessorConfig
from kinema.models.internvideo2.student import StudentConfig
from kinema.modules.audio.beats import BEATsConfig
from kinema.modules.text.bert import BertConfig
from kinema.modules.vision.internvideo2 import InternVideo2VisionConfig
from kinema.modules.vision.videomae import VideoMAEConfig
from kinema.processors.beats_features import BEATsFeaturesConfig
from kinema.processors.bert_text import BertTokenizer
from kinema.training.masked_words import WordMasking

SIDE = 84
"""Pixels a side, at which the toybox draws them: 36 patches a frame."""
PATCH_SIZE = 14
STAGE1_FRAMES, MAE_FRAMES, STAGE2_FRAMES = 8, 16, 4
"""As published."""
CLIP_LAYERS, MAE_LAYERS = 3, 2
"""Layers that are taught; the published student of 40 layers learns 6 and 4."""
WIDTH = 128
_MAE_WIDTH = 96


def nano_encoder(num_frames: int = STAGE1_FRAMES) -> InternVideo2VisionConfig:
    """The student's encoder; scales of residuals begin at 0.5, because no time is left to grow them."""
    return InternVideo2VisionConfig(
        hidden_size=WIDTH,
        intermediate_size=3 * WIDTH,
        num_layers=4,
        num_heads=4,
        num_frames=num_frames,
        image_size=SIDE,
        patch_size=PATCH_SIZE,
        layer_scale=0.5,
    )


def nano_student() -> StudentConfig:
    """The encoder with decoders for both teachers."""
    return StudentConfig(
        vision=nano_encoder(),
        pooled_size=WIDTH,
        clip_layers=CLIP_LAYERS,
        clip_size=WIDTH,
        clip_pooled_size=WIDTH,
        mae_layers=MAE_LAYERS,
        mae_size=_MAE_WIDTH,
    )


def nano_semantic(vocab_size: int) -> Stage2Config:
    """The semantic teacher, for single images, and what draws it to captions."""
    vision = replace(nano_student(), vision=nano_encoder(num_frames=1), clip_layers=1, mae_layers=0)
    return Stage2Config(vision=vision, text=nano_bert(vocab_size), projection_size=WIDTH)


def nano_videomae() -> VideoMAEConfig:
    """The motion teacher."""
    return VideoMAEConfig(
        hidden_size=_MAE_WIDTH,
        intermediate_size=3 * _MAE_WIDTH,
        num_layers=4,
        num_heads=4,
        patch_size=PATCH_SIZE,
    )


def nano_bert(vocab_size: int) -> BertConfig:
    """Two layers of text, three that look at what is seen or heard."""
    return BertConfig(
        vocab_size=vocab_size,
        hidden_size=WIDTH,
        intermediate_size=3 * WIDTH,
        num_layers=5,
        num_heads=2,
        max_positions=64,
        fusion_layer=2,
        memory_size=WIDTH,
    )


def nano_beats() -> BEATsConfig:
    """Two layers."""
    return BEATsConfig(
        hidden_size=WIDTH,
        intermediate_size=3 * WIDTH,
        num_layers=2,
        num_heads=4,
        patch_embedding_size=64,
        position_kernel=16,
        num_buckets=64,
    )


def nano_stage2(vocab_size: int, *, hears: bool) -> Stage2Config:
    """Eyes, ears and text; the decoders of stage 1's semantic teacher stay in it, as published."""
    vision = replace(nano_student(), vision=nano_encoder(STAGE2_FRAMES), mae_layers=0)
    sound = SoundConfig(encoder=nano_beats(), has_match_head=True) if hears else None
    return Stage2Config(vision=vision, text=nano_bert(vocab_size), projection_size=WIDTH, sound=sound)


def nano_processor(tokenizer: BertTokenizer) -> Stage2Processor:
    """Frames as the toybox draws them; 8 s of sound, its longest film of level 1, in 32 mel bins."""
    settings = Stage2ProcessorConfig(
        size=SIDE,
        num_frames=STAGE2_FRAMES,
        max_tokens=tokenizer.max_tokens,
        sound=BEATsFeaturesConfig(num_mel_bins=32, num_samples=8 * 16_000),
    )
    return Stage2Processor(tokenizer, settings)


def word_masking(tokenizer: BertTokenizer) -> WordMasking:
    """Half of the words, as published."""
    return WordMasking(
        vocab_size=tokenizer.vocab_size,
        pad_id=tokenizer.pad_id,
        start_id=tokenizer.start_id,
        mask_id=tokenizer.mask_id,
    )
