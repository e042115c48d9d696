"""A language model of Llama's kind with random weights, as a folder like that of Vicuna."""

import json
import shutil
from pathlib import Path

from kinema.hub.keymap import KeyMap
from kinema.hub.write import write_tensors
from kinema.models.decoder_keys import decoder_rules
from kinema.modules.language.decoder import Decoder, DecoderConfig
from kinema.training.init import init_weights


def write_llama(folder: Path, tokenizer: Path, vocab_size: int) -> Path:
    """Save one whose vocabulary is that of a SentencePiece model."""
    config = DecoderConfig(
        vocab_size=vocab_size,
        hidden_size=32,
        intermediate_size=48,
        num_layers=2,
        num_heads=2,
        num_kv_heads=2,
        head_dim=16,
        max_positions=512,
        rms_norm_eps=1e-5,
    )
    content = {
        "model_type": "llama",
        "vocab_size": vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "max_position_embeddings": config.max_positions,
        "rms_norm_eps": config.rms_norm_eps,
        "tie_word_embeddings": False,
    }
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(content))
    shutil.copy(tokenizer, folder / "tokenizer.model")
    decoder = Decoder(config)
    init_weights(decoder, seed=0)
    keymap = KeyMap("Llama", decoder_rules(config, theirs="model.", ours=""))
    write_tensors(folder, keymap.export(decoder.state_dict()))
    return folder
