"""A SentencePiece vocabulary of letters with the turns of Mistral, small enough to be made in a test."""

import io
import json
from pathlib import Path
from typing import Any

import sentencepiece

IM_END, IM_START = 4, 5
"""Of ``write_internlm_vocabulary``."""


def letter_pieces(vocab_size: int, **changes: Any) -> bytes:
    """A ``tokenizer.model``: unknown 0, begin 1, end 2, ``[INST]`` 3, ``[/INST]`` 4, then letters."""
    model = io.BytesIO()
    options: dict[str, Any] = {
        "model_type": "char",
        "vocab_size": vocab_size,
        "hard_vocab_limit": False,
        "character_coverage": 1.0,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "control_symbols": ["[INST]", "[/INST]"],
        "unk_id": 0,
        "bos_id": 1,
        "eos_id": 2,
        "pad_id": -1,
        "minloglevel": 2,
    }
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["what is seen or heard here<>/VdeoImagAu?.", "a cat runs to the dog"] * 20),
        model_writer=model,
        **(options | changes),
    )
    return model.getvalue()


def write_internlm_vocabulary(folder: Path, vocab_size: int) -> None:
    """InternLM2's two files: nothing is put before a text, and the marks of turns have names beside it."""
    own = ["\n", "[UNUSED_TOKEN_145]", "[UNUSED_TOKEN_146]"]
    model = letter_pieces(vocab_size, control_symbols=[], user_defined_symbols=own, add_dummy_prefix=False)
    (folder / "tokenizer.model").write_bytes(model)
    names = {2: "</s>", IM_END: "<|im_end|>", IM_START: "<|im_start|>"}
    described = {str(token): {"content": name, "special": True} for token, name in names.items()}
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": described}))
