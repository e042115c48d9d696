"""What InternVideo2-Chat starts from, a few numbers wide, in the layouts that the parts are published in."""

import json
from pathlib import Path

from chat_pieces import letter_pieces

from kinema.hub.keymap import KeyMap
from kinema.hub.write import write_tensors
from kinema.models.decoder_json import decoder_fields
from kinema.models.decoder_keys import decoder_rules
from kinema.models.internvideo2.student import InternVideo2Student, StudentConfig
from kinema.models.internvideo2.vision_checkpoint import save_vision
from kinema.modules.connectors.qformer import QFormerConfig
from kinema.modules.language.decoder import Decoder, DecoderConfig
from kinema.modules.vision.internvideo2 import InternVideo2VisionConfig
from kinema.training.init import init_weights

VOCAB_SIZE = 48

BRIDGE = QFormerConfig(
    memory_size=16,
    hidden_size=24,
    intermediate_size=32,
    num_layers=2,
    num_heads=2,
    num_queries=2,
    num_extra_queries=3,
    vocab_size=30,
    max_positions=16,
)


def write_eyes(folder: Path) -> Path:
    """An encoder of two layers for squares of 28 pixels and 4 frames, as stage 2 has it."""
    vision = InternVideo2VisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_layers=2,
        num_heads=2,
        num_frames=4,
        image_size=28,
        has_image_table=True,
        layer_scale=0.5,
    )
    sizes = StudentConfig(
        vision=vision, pooled_size=16, clip_layers=1, clip_size=16, clip_pooled_size=16, mae_layers=0
    )
    student = InternVideo2Student(sizes)
    init_weights(student, seed=0)
    save_vision(student, folder)
    return folder


def write_mistral(folder: Path) -> Path:
    """A language model of two layers, four heads and two of keys; letters for a vocabulary."""
    config = DecoderConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=32,
        intermediate_size=64,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        head_dim=8,
        max_positions=1024,
    )
    decoder = Decoder(config)
    init_weights(decoder, seed=0)
    folder.mkdir()
    content = decoder_fields(config) | {"model_type": "mistral", "sliding_window": None}
    (folder / "config.json").write_text(json.dumps(content))
    (folder / "tokenizer.model").write_bytes(letter_pieces(VOCAB_SIZE))
    keymap = KeyMap("Mistral", decoder_rules(config, theirs="model.", ours=""))
    write_tensors(folder, keymap.export(decoder.state_dict()))
    return folder
