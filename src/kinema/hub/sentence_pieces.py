"""Read and write Llama's tokenizer in a checkpoint folder: ``tokenizer.model`` and what is said about it."""

from collections.abc import Mapping
from pathlib import Path

from sentencepiece import SentencePieceProcessor
from tokenizers import AddedToken, Tokenizer, decoders, normalizers
from tokenizers.models import BPE

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


def save_as_fast_tokenizer(folder: Path, model: bytes, *, added_tokens: Mapping[str, int]) -> None:
    """Write ``tokenizer.json`` with the same pieces, which transformers reads without further packages.

    A piece is made of the two best pieces it can be cut into, as transformers converts Llama's model.
    """
    pieces = SentencePieceProcessor(model_proto=model)
    vocabulary = {pieces.id_to_piece(index): index for index in range(len(pieces))}
    merges: list[tuple[str, str]] = []
    for piece in sorted(vocabulary, key=lambda piece: -pieces.get_score(vocabulary[piece])):
        halves = [(piece[:cut], piece[cut:]) for cut in range(1, len(piece))]
        known = [(left, right) for left, right in halves if left in vocabulary and right in vocabulary]
        merges += sorted(known, key=lambda pair: (vocabulary[pair[0]], vocabulary[pair[1]]))
    tokenizer = Tokenizer(BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    blanks = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(blanks)
    names = sorted(added_tokens, key=lambda name: added_tokens[name])
    tokenizer.add_special_tokens(
        [AddedToken(name, normalized=False, special=True) for name in ("<unk>", "<s>", "</s>", *names)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
