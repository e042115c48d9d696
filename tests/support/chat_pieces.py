"""A SentencePiece vocabulary of letters with the turns of Mistral, small enough to be made in a test."""

import io

import sentencepiece


def letter_pieces(vocab_size: int) -> bytes:
    """A ``tokenizer.model``: unknown 0, begin 1, end 2, ``[INST]`` 3, ``[/INST]`` 4, then letters."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["what is seen or heard here<>/VdeoImagAu?.", "a cat runs to the dog"] * 20),
        model_writer=model,
        model_type="char",
        vocab_size=vocab_size,
        hard_vocab_limit=False,
        character_coverage=1.0,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        control_symbols=["[INST]", "[/INST]"],
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        minloglevel=2,
    )
    return model.getvalue()
