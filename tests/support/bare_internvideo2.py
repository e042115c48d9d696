"""InternVideo2's models as they were published: weights alone, at the narrowest published width."""

from pathlib import Path
from typing import TypeVar

import torch
from bert_vocabulary import PIECES
from torch import nn

from kinema.hub.keymap import KeyMap
from kinema.models.decoder_keys import DecoderLayout
from kinema.models.internvideo2.chat import ChatConfig, InternVideo2Chat
from kinema.models.internvideo2.chat_keys import chat_keymap
from kinema.models.internvideo2.clip import InternVideo2CLIP, InternVideo2CLIPConfig
from kinema.models.internvideo2.clip_keys import TRAINED, clip_keymap
from kinema.models.internvideo2.stage2 import InternVideo2Stage2, Stage2Config
from kinema.models.internvideo2.stage2_keys import stage2_keymap
from kinema.models.internvideo2.student import StudentConfig
from kinema.modules.connectors.qformer import QFormerConfig
from kinema.modules.language.decoder import DecoderConfig
from kinema.modules.text.bert import BertConfig
from kinema.modules.text.clip import CLIPTextConfig
from kinema.modules.vision.internvideo2 import InternVideo2VisionConfig
from kinema.training.init import init_weights

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CLIP_TOKENS = 524
"""Of the vocabulary of ``clip_vocabulary``."""

Model = TypeVar("Model", bound=nn.Module)
Tensors = dict[str, torch.Tensor]


def vision(num_frames: int, *, num_layers: int = 1) -> InternVideo2VisionConfig:
    """As wide as S/14, whose heads are known by that, and not deep."""
    return InternVideo2VisionConfig(
        hidden_size=384, intermediate_size=16, num_layers=num_layers, num_heads=6, num_frames=num_frames
    )


def stage2(num_frames: int = 4) -> tuple[InternVideo2Stage2, Tensors]:
    """Stage 2, and its file."""
    student = StudentConfig(
        vision=vision(num_frames),
        pooled_size=16,
        clip_layers=1,
        clip_size=16,
        clip_pooled_size=16,
        mae_layers=0,
    )
    text = BertConfig(
        vocab_size=len(PIECES),
        hidden_size=64,
        intermediate_size=16,
        num_layers=2,
        num_heads=1,
        max_positions=40,
        fusion_layer=1,
        memory_size=384,
    )
    model = InternVideo2Stage2(Stage2Config(vision=student, text=text, projection_size=8))
    return _with_file(model, stage2_keymap(model.config))


def clip() -> tuple[InternVideo2CLIP, Tensors]:
    """CLIP of a distilled model, and all of its tensors; ``parts_of`` tells them apart."""
    text = CLIPTextConfig(
        vocab_size=CLIP_TOKENS,
        hidden_size=512,
        intermediate_size=16,
        num_layers=1,
        num_heads=8,
        max_positions=16,
    )
    config = InternVideo2CLIPConfig(vision=vision(8), pooled_size=16, align_size=512, text=text)
    model = InternVideo2CLIP(config)
    return _with_file(model, clip_keymap(config))


def parts_of(tensors: Tensors) -> dict[str, Tensors]:
    """The three files that a CLIP model was published in."""
    prefix = "vision_encoder."
    tower = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    pool = {key: torch.zeros_like(value) for key, value in tower.items() if key.startswith("clip_projector.")}
    return {
        "vision": tower | pool,  # what training changed
        "text": {key: value for key, value in tensors.items() if key.startswith("text_encoder.")},
        "trained": {key: value for key, value in tensors.items() if key.startswith(TRAINED)},
    }


MISTRAL = DecoderConfig(
    vocab_size=30,
    hidden_size=128,
    intermediate_size=16,
    num_layers=1,
    num_heads=1,
    num_kv_heads=1,
    head_dim=128,
    max_positions=32768,
    rms_norm_eps=1e-5,
    rope_theta=1e6,
)
INTERNLM = DecoderConfig(
    vocab_size=30,
    hidden_size=512,
    intermediate_size=16,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    head_dim=128,
    max_positions=262144,
    rms_norm_eps=1e-5,
    rope_theta=5e7,
)


def chat(
    language: DecoderConfig = MISTRAL, layout: DecoderLayout = "llama"
) -> tuple[InternVideo2Chat, Tensors]:
    """A chat model, and its file."""
    bridge = QFormerConfig(
        memory_size=384,
        hidden_size=64,
        intermediate_size=16,
        num_layers=2,
        num_heads=1,
        num_queries=2,
        num_extra_queries=1,
        vocab_size=16,
        max_positions=16,
    )
    config = ChatConfig(vision=vision(4), bridge=bridge, language=language, layout=layout)
    model = InternVideo2Chat(config)
    return _with_file(model, chat_keymap(model.config))


def cached(cache: Path, hub_id: str) -> Path:
    """The folder that the hub's client keeps a repository in, as if it had been downloaded."""
    repository = cache / f"models--{hub_id.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    return snapshot


def _with_file(model: Model, keymap: KeyMap) -> tuple[Model, Tensors]:
    init_weights(model, seed=0)
    tensors = {name: tensor.clone() for name, tensor in keymap.export(model.state_dict())}
    return model.eval(), tensors
