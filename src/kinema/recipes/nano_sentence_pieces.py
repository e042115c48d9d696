"""A SentencePiece vocabulary of the language of the toybox, made with the settings of Llama's."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import sentencepiece

from kinema.processors.role_template import VICUNA_V1
from kinema.recipes.nano_tokenizer import toybox_texts


def nano_sentence_pieces(num_samples: int = 3000, seed: int = 0) -> bytes:
    """Learn pieces from captions, questions and the prompt of Vicuna; see ``learn_pieces``.

    Args:
        num_samples: of each kind of training sample.
        seed: of the samples.
    """
    return learn_pieces(_lines(num_samples, seed))


def kept_pieces(folder: Path, learn: Callable[[], bytes]) -> bytes:
    """The vocabulary of a run, learned once and kept beside it as ``tokenizer.model``."""
    path = folder / "tokenizer.model"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(learn())
    return path.read_bytes()


def learn_pieces(lines: Iterable[str], control_tokens: Sequence[str] = ()) -> bytes:
    """Learn pieces from lines of text; any other text is spelled out in bytes.

    Args:
        lines: the texts.
        control_tokens: of the prompt, such as ``[INST]``; no text is ever one of them.

    Returns:
        The content of ``tokenizer.model``: unknown 0, begin 1, end 2, no padding, digits apart.
    """
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        model_type="bpe",
        vocab_size=1024,
        hard_vocab_limit=False,
        byte_fallback=True,
        control_symbols=list(control_tokens),
        split_digits=True,
        add_dummy_prefix=True,
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        normalization_rule_name="identity",
        character_coverage=1.0,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def toybox_lines(num_samples: int, seed: int) -> Iterator[str]:
    """Lines of captions, questions and answers.

    Args:
        num_samples: of each kind of training sample.
        seed: of the samples.
    """
    for text in toybox_texts(num_samples, seed):
        yield from (line for line in text.splitlines() if line)


def _lines(num_samples: int, seed: int) -> Iterator[str]:
    yield from toybox_lines(num_samples, seed)
    yield from (VICUNA_V1.system, VICUNA_V1.user, VICUNA_V1.assistant) * 100
