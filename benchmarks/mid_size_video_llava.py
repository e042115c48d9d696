"""A Video-LLaVA of middle size with random weights, which kinema and transformers both load.

It is built as transformers' port is: without attention over time, with quick GELU.
"""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from kinema.errors import ModelWarning
from kinema.models.languagebind.config import NUM_FRAMES, Modality
from kinema.models.video_llava import checkpoint
from kinema.models.video_llava.config import VideoLLaVAConfig
from kinema.models.video_llava.keys import Layout
from kinema.models.video_llava.model import VideoLLaVA
from kinema.models.video_llava.processor import VideoLLaVAProcessor, VideoLLaVAProcessorConfig
from kinema.models.video_llava.processor_json import OFFICIAL_PLACEHOLDERS
from kinema.modules.language.decoder import DecoderConfig
from kinema.modules.vision.clip import CLIPVisionConfig
from kinema.processors.sentence_pieces import SentencePieceTokenizer
from kinema.processors.tower_inputs import TowerInputs, TowerItem
from kinema.recipes.nano_sentence_pieces import nano_sentence_pieces
from kinema.training.init import init_weights

_TOWER = CLIPVisionConfig(
    hidden_size=384, intermediate_size=1536, num_layers=12, num_heads=6, activation="quick_gelu"
)
CONFIG = VideoLLaVAConfig(
    towers={Modality.IMAGE: _TOWER, Modality.VIDEO: _TOWER},
    language=DecoderConfig(
        vocab_size=32000,
        hidden_size=512,
        intermediate_size=1536,
        num_layers=12,
        num_heads=8,
        num_kv_heads=8,
        head_dim=64,
        max_positions=4096,
        rms_norm_eps=1e-5,
    ),
)


@contextmanager
def saved() -> Iterator[Path]:
    """The folder of the model, in transformers' layout, for as long as the context lasts."""
    model = VideoLLaVA(CONFIG)
    init_weights(model, seed=0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        with _known_to_lack_time():
            checkpoint.save(model, make_processor(), folder, layout=Layout.TRANSFORMERS)
        yield folder


def make_processor() -> VideoLLaVAProcessor:
    """Ours, as transformers' port would have it."""
    tokenizer = SentencePieceTokenizer(nano_sentence_pieces(100), added_tokens=OFFICIAL_PLACEHOLDERS)
    return VideoLLaVAProcessor(tokenizer, VideoLLaVAProcessorConfig.for_compat("transformers"))


def load_ours(folder: Path) -> VideoLLaVA:
    """Both towers, which share what is equal in them."""
    with _known_to_lack_time():
        return checkpoint.load_weights(folder)


def load_theirs(folder: Path) -> Any:
    """Their class, so that no token ends an answer."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model = transformers.VideoLlavaForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="sdpa"
    )
    model.generation_config.eos_token_id = None
    return model.eval()


def pictures(modality: Modality, num_frames: int = NUM_FRAMES) -> TowerInputs:
    """Noise: single images, or one clip of as many frames, of which the class tokens are read too."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(num_frames, 3, *_TOWER.image_size, generator=generator)
    is_video = modality is Modality.VIDEO
    parts = (pixels,) if is_video else pixels.split(1)
    items = [
        TowerItem(modality=modality, pixel_values=part, grid=_TOWER.grid, has_class_token=is_video)
        for part in parts
    ]
    return TowerInputs(items=tuple(items))


@contextmanager
def _known_to_lack_time() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "", ModelWarning)
        yield
