"""Read a tokenizer, byte-level BPE or word pieces, from whichever files a checkpoint folder has."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE, WordPiece

from kinema.errors import WeightsError
from kinema.hub.files import read_json

# How Qwen2 cuts text into words (transformers, models/qwen2); only read where there is no tokenizer.json.
_QWEN2_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


# How CLIP does, special tokens whole (transformers, models/clip).
_CLIP_WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"

_CLIP_WORD_END = "</w>"
"""What ends a word in CLIP's vocabularies, and in no other's."""
_BERT_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a checkpoint.

    It is read from ``tokenizer.json``, or built from ``vocab.json`` and ``merges.txt`` as CLIP does if the
    vocabulary marks the ends of words, else as Qwen2 does; tokens that only ``tokenizer_config.json`` or
    ``added_tokens.json`` names are added at the ids they give.

    Raises:
        WeightsError: if there is no tokenizer, a file is broken, or two files give one token different ids.
    """
    if (folder / "tokenizer.json").is_file():
        tokenizer = _from_whole_file(folder / "tokenizer.json")
    elif (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        tokenizer = _from_vocabulary(folder / "vocab.json", folder / "merges.txt")
    elif (folder / "vocab.txt").is_file():
        tokenizer = _from_word_pieces(folder)
    else:
        raise WeightsError(
            f"{folder}: no tokenizer.json, no vocab.json with merges.txt, and no vocab.txt; fetch them again."
        )
    for token_id, token in sorted(read_added_tokens(folder).items()):
        _add_at(tokenizer, token_id, token, folder)
    return tokenizer


def add_special_tokens(tokenizer: Tokenizer, tokens: Sequence[str]) -> None:
    """Append the tokens that the tokenizer does not have, in order, after its last id."""
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in tokens])


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write ``tokenizer.json``, which holds every token, the added ones too."""
    tokenizer.save(str(folder / "tokenizer.json"))


def read_added_tokens(folder: Path) -> dict[int, AddedToken]:
    """Tokens that a folder names beside its vocabulary, by id.

    ``added_tokens.json`` and ``tokenizer_config.json`` may; the second, which has their properties, decides.
    """
    added: dict[int, AddedToken] = {}
    if (folder / "added_tokens.json").is_file():
        for content, token_id in read_json(folder / "added_tokens.json").items():
            added[token_id] = AddedToken(content, normalized=False, special=True)
    if (folder / "tokenizer_config.json").is_file():
        described = read_json(folder / "tokenizer_config.json").get("added_tokens_decoder", {})
        for token_id, token in described.items():
            added[int(token_id)] = _described_token(token)
    return added


def _from_whole_file(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises no narrower class
        raise WeightsError(f"{path}: not a tokenizer ({error}); fetch it again.") from error


def _from_vocabulary(vocabulary: Path, merges: Path) -> Tokenizer:
    is_clip = any(token.endswith(_CLIP_WORD_END) for token in read_json(vocabulary))
    suffix = {"end_of_word_suffix": _CLIP_WORD_END} if is_clip else {}
    try:
        tokenizer = Tokenizer(BPE.from_file(str(vocabulary), str(merges), **suffix))
    except Exception as error:  # tokenizers raises no narrower class
        raise WeightsError(f"{vocabulary}: not a BPE vocabulary ({error}); fetch it again.") from error
    if is_clip:
        one_blank = normalizers.Replace(Regex(r"\s+"), " ")
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), one_blank, normalizers.Lowercase()])
        words = pre_tokenizers.Split(Regex(_CLIP_WORDS), behavior="removed", invert=True)
        to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        tokenizer.normalizer = normalizers.NFC()
        words = pre_tokenizers.Split(Regex(_QWEN2_WORDS), behavior="isolated")
        to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, to_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _from_word_pieces(folder: Path) -> Tokenizer:
    vocabulary = folder / "vocab.txt"
    lines = vocabulary.read_text(encoding="utf-8").rstrip("\n").split("\n")  # words may hold other line ends
    ids = {piece: index for index, piece in enumerate(lines)}
    if "[UNK]" not in ids:
        raise WeightsError(f"{vocabulary}: no vocabulary of word pieces, which has [UNK]; fetch it again.")
    config = folder / "tokenizer_config.json"
    lowercase = read_json(config).get("do_lower_case", True) if config.is_file() else True
    tokenizer = Tokenizer(WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    add_special_tokens(tokenizer, [token for token in _BERT_TOKENS if token in ids])
    return tokenizer


def _described_token(token: dict[str, Any]) -> AddedToken:
    properties = ("single_word", "lstrip", "rstrip", "normalized", "special")
    return AddedToken(token["content"], **{name: token[name] for name in properties if name in token})


def _add_at(tokenizer: Tokenizer, token_id: int, token: AddedToken, folder: Path) -> None:
    """Add one token, unless the tokenizer has it already."""
    if tokenizer.token_to_id(token.content) is None:
        tokenizer.add_special_tokens([token]) if token.special else tokenizer.add_tokens([token])
    found = tokenizer.token_to_id(token.content)
    if found != token_id:
        raise WeightsError(
            f"{folder}: {token.content} has id {found} in the tokenizer, and {token_id} in the list of added "
            "tokens; the files do not belong together."
        )
