"""The tokenizer of nano: a byte-level BPE of the language of the toybox."""

from collections.abc import Iterator, Sequence

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from kinema.datasets.toybox import ToyboxImages, ToyboxText, ToyboxVideos

VOCAB_SIZE = 1024
SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<image>",
    "<|stream_start|>",
    "<|stream_end|>",
)
"""As in the released checkpoints, native and official placeholders alike: every layout can be written."""

_PIECES = r" ?[A-Za-z]+| ?\d+\.\d| ?\d|\n| ?[^\sA-Za-z\d]+|\s"
"""A word, a time such as 2.5, a digit, a line end, or punctuation: what one token is made of."""


def nano_tokenizer(
    num_samples: int = 3000, seed: int = 0, *, special_tokens: Sequence[str] = SPECIAL_TOKENS
) -> Tokenizer:
    """Learn the merges from captions and questions; any other text is spelled out in bytes.

    Args:
        num_samples: of each kind of training sample.
        seed: of the samples.
        special_tokens: get the largest ids, in this order.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE - len(special_tokens),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(toybox_texts(num_samples, seed), trainer)
    tokenizer.add_special_tokens(list(special_tokens))
    return tokenizer


def toybox_texts(num_samples: int, seed: int) -> Iterator[str]:
    """What is said about the toybox: captions, questions and answers, times, and the names of roles."""
    text, images, videos = ToyboxText(), ToyboxImages(caption_share=1.0), ToyboxVideos(caption_share=1.0)
    for index in range(num_samples):
        for source in (text, images, videos):
            for message in source.sample(index, np.random.default_rng([seed, index])).messages:
                yield message.text
    for tenths in range(0, 1200, 5):
        yield f"Time {tenths / 10:.1f}s:,Time {tenths / 10:.1f}s: "
    yield from ("user\n", "assistant\n", "system\n", "stream\n") * 100
