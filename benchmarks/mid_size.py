"""A model of middle size with random weights, which kinema and transformers both load: what is compared."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from kinema.models.videollama3 import checkpoint
from kinema.models.videollama3.config import VideoLLaMA3Config
from kinema.models.videollama3.keys import Layout
from kinema.models.videollama3.model import VideoLLaMA3
from kinema.models.videollama3.processor import VideoLLaMA3Processor, VideoLLaMA3ProcessorConfig
from kinema.modules.language.decoder import DecoderConfig
from kinema.modules.vision.navit import NaViTConfig
from kinema.processors.inputs import VisualInputs
from kinema.processors.pruning import NoPruning
from kinema.processors.tokenizer import TextTokenizer

TOKENIZER = Path(__file__).parent.parent / "tests/golden/videollama3/tokenizer/tokenizer.json"

CONFIG = VideoLLaMA3Config(
    vision=NaViTConfig(hidden_size=384, intermediate_size=1536, num_layers=12, num_heads=6),
    language=DecoderConfig(
        vocab_size=32000,
        hidden_size=512,
        intermediate_size=1536,
        num_layers=12,
        num_heads=8,
        num_kv_heads=2,
        head_dim=64,
        max_positions=32768,
        rope_theta=1e6,
        attention_bias=True,
        tie_word_embeddings=True,
    ),
)

VIDEO = ([[16, 16, 30]], [2])
"""16 frames of 224 x 420 pixels: grid_thw, merge_sizes."""


@contextmanager
def saved(prepare: Callable[[VideoLLaMA3], None] | None = None) -> Iterator[Path]:
    """The folder of the model, in transformers' layout, for as long as the context lasts.

    Args:
        prepare: what is done to its weights first, such as to draw them as training begins.
    """
    torch.manual_seed(0)
    model = VideoLLaMA3(CONFIG)
    if prepare is not None:
        prepare(model)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        checkpoint.save(model, make_processor(), folder, layout=Layout.TRANSFORMERS)
        yield folder


def make_processor(**settings: Any) -> VideoLLaMA3Processor:
    """Ours, without pruning."""
    config = VideoLLaMA3ProcessorConfig(pruning=NoPruning(), **settings)
    return VideoLLaMA3Processor(TextTokenizer(Tokenizer.from_file(str(TOKENIZER))), config)


def load_theirs(folder: Path) -> Any:
    """Their class, so that no token ends an answer."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model = transformers.VideoLlama3ForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="sdpa"
    )
    model.generation_config.eos_token_id = None
    return model.eval()


def visual_inputs(grid_thw: Sequence[Sequence[int]], merge_sizes: Sequence[int]) -> VisualInputs:
    """Noise of that form."""
    grids = torch.tensor(grid_thw)
    values = 3 * CONFIG.vision.patch_size**2
    pixels = torch.rand(int(grids.prod(-1).sum()), values, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return VisualInputs(pixel_values=pixels, grid_thw=grids, merge_sizes=torch.tensor(merge_sizes))
