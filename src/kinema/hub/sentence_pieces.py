"""Read and write Llama's tokenizer in a checkpoint folder: ``tokenizer.model`` and what is said about it."""

from collections.abc import Mapping
from pathlib import Path

from kinema.errors import WeightsError
from kinema.hub.files import read_json
from kinema.hub.write import write_json

MODEL, CONFIG = "tokenizer.model", "tokenizer_config.json"


def read_sentence_pieces(folder: Path) -> tuple[bytes, bool]:
    """The model, and whether it is used in transformers' legacy way, which is so unless the folder says no.

    Raises:
        WeightsError: if there is no model.
    """
    if not (folder / MODEL).is_file():
        raise WeightsError(
            f"{folder}: no {MODEL}; copy that of the language model there, such as lmsys/vicuna-7b-v1.5."
        )
    content = read_json(folder / CONFIG) if (folder / CONFIG).is_file() else {}
    return (folder / MODEL).read_bytes(), bool(content.get("legacy", True))


def save_sentence_pieces(
    folder: Path, model: bytes, *, legacy: bool, added_tokens: Mapping[str, int], padding_side: str
) -> None:
    """Write the model and its settings.

    Args:
        folder: an existing one.
        model: the content of ``tokenizer.model``.
        legacy: see ``read_sentence_pieces``.
        added_tokens: tokens that the model does not have, such as placeholders; ``<pad>`` fills rows.
        padding_side: ``"left"`` or ``"right"``.
    """
    (folder / MODEL).write_bytes(model)
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    special["pad_token"] = "<pad>" if "<pad>" in added_tokens else "<unk>"
    properties = {
        "lstrip": False,
        "normalized": False,
        "rstrip": False,
        "single_word": False,
        "special": True,
    }
    settings = {
        "tokenizer_class": "LlamaTokenizer",
        "add_bos_token": True,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "legacy": legacy,
        "model_max_length": 4096,
        "padding_side": padding_side,
        **special,
    }
    if added_tokens:
        settings["added_tokens_decoder"] = {
            str(token): {"content": name, **properties} for name, token in added_tokens.items()
        }
        write_json(folder / "added_tokens.json", added_tokens)
    write_json(folder / CONFIG, settings)
    write_json(folder / "special_tokens_map.json", special)
