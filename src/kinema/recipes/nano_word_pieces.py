"""A vocabulary of word pieces of the toybox, as BERT's: special tokens first, lower case, no punctuation."""

import numpy as np
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, trainers
from tokenizers.models import WordPiece

from kinema.datasets.toybox_films import ToyboxFilms
from kinema.processors.bert_text import END, MASK, PAD, START, BertTokenizer
from kinema.processors.captions import clean_caption
from kinema.toybox import Scene, caption_at, short_caption
from kinema.toybox.sounding import heard_caption

UNKNOWN = "[UNK]"
VOCAB_SIZE = 256
"""Room for every word of captions, and for letters to spell others with."""
MAX_TOKENS = 64


def nano_word_pieces(num_scenes: int = 2000, seed: int = 0) -> BertTokenizer:
    """Learn the pieces from captions.

    Args:
        num_scenes: how many scenes are told of.
        seed: of the scenes.
    """
    tokenizer = Tokenizer(WordPiece(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=[PAD, UNKNOWN, START, END, MASK],
        initial_alphabet=[*"abcdefghijklmnopqrstuvwxyz0123456789"],
        show_progress=False,
    )
    rng = np.random.default_rng([seed, 0])
    texts = [text for _ in range(num_scenes) for text in toybox_captions(ToyboxFilms().scene(rng), rng)]
    tokenizer.train_from_iterator([clean_caption(text) for text in texts], trainer)
    return BertTokenizer(tokenizer, max_tokens=MAX_TOKENS)


def toybox_captions(scene: Scene, rng: np.random.Generator) -> list[str]:
    """What is said of a film: what it shows, what it shows at one moment, what is heard."""
    moment_s = float(rng.uniform(0.0, scene.duration_s - 0.01))
    return [short_caption(scene), caption_at(scene, moment_s), heard_caption(scene)]
