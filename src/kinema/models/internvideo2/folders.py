"""What folders of InternVideo2's models have in common: weights, sizes, settings and a vocabulary."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from kinema.errors import WeightsError
from kinema.hub.card import ModelCard
from kinema.hub.generation import GenerationDefaults
from kinema.hub.sentence_pieces import CONFIG, MODEL, read_sentence_pieces, save_sentence_pieces
from kinema.hub.tokenizer import read_added_tokens, save_tokenizer
from kinema.hub.write import new_folder, write_json, write_tensors
from kinema.models.parts import check_vocabulary
from kinema.processors.bert_text import BertTokenizer
from kinema.processors.clip_text import CLIPTokenizer
from kinema.processors.inst_processor import InstProcessor
from kinema.processors.sentence_pieces import SentencePieceTokenizer
from kinema.processors.summary_text import SummaryTokenizer

Vocabulary = BertTokenizer | CLIPTokenizer | SentencePieceTokenizer | SummaryTokenizer
"""Of word pieces, of byte pairs, or of SentencePiece."""


class SavedProcessor(Protocol):
    """What a folder keeps of a processor."""

    @property
    def config(self) -> Any:
        """Its settings, a dataclass."""

    @property
    def tokenizer(self) -> Vocabulary:
        """Its vocabulary."""


def write_folder(
    folder: Path,
    content: Mapping[str, Any],
    tensors: Iterable[tuple[str, Tensor]],
    *,
    processor: SavedProcessor | None = None,
    generation: GenerationDefaults | None = None,
    card: ModelCard | None = None,
    max_shard_bytes: int,
) -> None:
    """Write weights, and sizes, settings and vocabulary beside them.

    Args:
        folder: new, or empty; it appears whole or not at all.
        content: of ``config.json``, but for the settings of the processor.
        tensors: by their names in files.
        processor: goes with them; None for a model that has none.
        generation: how answers are written; None for a model that writes none.
        card: README.md.
        max_shard_bytes: most bytes in one file of weights.

    Raises:
        WeightsError: if the folder holds something.
    """
    settings = {} if processor is None else {"processor": asdict(processor.config)}
    with new_folder(folder) as unfinished:
        write_tensors(unfinished, tensors, max_shard_bytes=max_shard_bytes)
        write_json(unfinished / "config.json", {**content, **settings})
        if processor is not None:
            _save_vocabulary(processor.tokenizer, unfinished)
        if generation is not None:
            generation.save(unfinished)
        if card is not None:
            card.save(unfinished)


def read_pieces(
    home: Path, num_rows: int, *, is_apart: bool, needs: Sequence[str] = ()
) -> SentencePieceTokenizer:
    """The SentencePiece vocabulary of a folder.

    Args:
        home: holds ``tokenizer.model``, and may hold ``tokenizer_config.json``, which names tokens beside it.
        num_rows: of the embedding that reads it.
        is_apart: whether it was published apart from the weights, see ``check_vocabulary``.
        needs: tokens that prompts are written with.

    Raises:
        WeightsError: if it is missing, broken, lacks a token, or does not belong to the weights.
    """
    model, legacy = read_sentence_pieces(home)
    try:
        pieces = SentencePieceTokenizer(model, legacy=legacy)
    except RuntimeError as error:
        raise WeightsError(f"{home / MODEL}: not a SentencePiece model ({error}).") from error
    named = {token.content: number for number, token in read_added_tokens(home).items()}
    added = {name: number for name, number in named.items() if not pieces.has(name)}
    pieces = SentencePieceTokenizer(model, added_tokens=added, legacy=legacy)
    absent = [name for name in needs if not pieces.has(name)]
    if absent:
        raise WeightsError(
            f"{home}: the vocabulary has no {', '.join(absent)}, which prompts need; it is that of another "
            f"language model, or the {CONFIG} that names them is missing."
        )
    check_vocabulary(home, pieces.vocab_size, num_rows, is_apart=is_apart)
    return pieces


def read_generation(folder: Path, processor: InstProcessor[Any]) -> GenerationDefaults:
    """How answers are written where a folder does not say: until the processor's end."""
    if (folder / "generation_config.json").is_file():
        return GenerationDefaults.load(folder)
    return GenerationDefaults(eos_token_ids=processor.stop_token_ids)


def _save_vocabulary(vocabulary: Vocabulary, folder: Path) -> None:
    if isinstance(vocabulary, BertTokenizer | CLIPTokenizer):
        save_tokenizer(vocabulary.backend, folder)
        return
    pieces = vocabulary.pieces if isinstance(vocabulary, SummaryTokenizer) else vocabulary
    save_sentence_pieces(
        folder, pieces.model, legacy=pieces.legacy, added_tokens=pieces.added_tokens, padding_side="right"
    )
