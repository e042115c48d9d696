"""Llama's and InternLM2's tokenizers: SentencePiece, with special tokens asked for by name only.

Llama's puts a blank in front of a text, so a text that is cut in two has other tokens than the whole: who
writes prompts encodes what stands between two special tokens in one go.
"""

from collections.abc import Mapping, Sequence

from sentencepiece import SentencePieceProcessor

from kinema.errors import InputError
from kinema.processors.tokenizer import TokenSpan

_BLANK = "▁"


class SentencePieceTokenizer:
    """A ``tokenizer.model`` and the tokens that a family adds to it by name."""

    def __init__(
        self, model: bytes, *, added_tokens: Mapping[str, int] | None = None, legacy: bool = True
    ) -> None:
        """Read a model.

        Args:
            model: the content of ``tokenizer.model``.
            added_tokens: names and ids of tokens that the model does not have, such as placeholders, or has
                under another name, as InternLM2's. Several may have one id.
            legacy: whether a blank is put before the text that follows a special token, too, as transformers'
                slow tokenizer does unless ``tokenizer_config.json`` says otherwise. Without it the blank is
                taken away again, as by its 4.31: what is left of the first piece becomes the unknown token
                if there is no such piece.
        """
        self._pieces = SentencePieceProcessor(model_proto=model)
        self.added_tokens = dict(added_tokens or {})
        self.legacy = legacy
        begins_with_blank = self._pieces.encode("a", out_type=str)[0].startswith(_BLANK)
        self._num_put_before = len(_BLANK.encode()) if begins_with_blank else 0  # bytes

    @property
    def model(self) -> bytes:
        """The content of ``tokenizer.model``, to be saved."""
        return bytes(self._pieces.serialized_model_proto())

    @property
    def num_pieces(self) -> int:
        """Size of the vocabulary without added tokens."""
        return len(self._pieces)

    @property
    def vocab_size(self) -> int:
        """Number of ids, added tokens included; an embedding may have more rows."""
        return max([len(self._pieces), *(1 + token for token in self.added_tokens.values())])

    def has(self, token: str) -> bool:
        """Whether there is a token of exactly this text."""
        return token in self.added_tokens or self._id_of(token) is not None

    def special_id(self, token: str) -> int:
        """Id of a special token.

        Raises:
            InputError: if the tokenizer has no such token.
        """
        found = self.added_tokens.get(token, self._id_of(token))
        if found is None:
            raise InputError(
                f"the tokenizer has no token {token!r}, which this prompt needs; "
                "tokenizer and template do not belong together."
            )
        return found

    def encode(self, text: str) -> list[int]:
        """Ids of a text; special tokens in it are ordinary characters."""
        return [span.token for span in self.encode_spans(text)]

    def encode_spans(self, text: str, *, after_special: bool = False) -> list[TokenSpan]:
        """As ``encode``, with the place of each token.

        Args:
            text: all that stands between two special tokens.
            after_special: whether a special token other than the one that begins the prompt stands before it.

        Raises:
            InputError: if the model rewrites the text before it cuts it, so that its tokens have no places.
        """
        ids = list(self._pieces.encode(text))
        pieces = list(self._pieces.encode(text, out_type=str))  # where a token is unknown, what it stands for
        position = -self._num_put_before  # the first blank is not in the text
        if ids and after_special and not self.legacy and not text.startswith(" "):
            pieces[0], position = pieces[0].removeprefix(_BLANK), 0
            ids[0] = self._pieces.piece_to_id(pieces[0])
            if not pieces[0]:
                del ids[0], pieces[0]
        starts = _starts_of_bytes(text)
        spans = []
        for token, piece in zip(ids, pieces, strict=True):
            spans.append(TokenSpan(token, starts[min(max(position, 0), len(starts) - 1)]))
            position += 1 if self._pieces.is_byte(token) else len(piece.encode())
        if ids and position != len(starts) - 1:
            raise InputError(
                f"this tokenizer.model rewrites a text before it cuts it ({text[:40]!r} to {pieces[:8]}): "
                "its tokens have no places there. Prompts need one that leaves texts as they are, as Llama's."
            )
        return spans

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """Text of tokens, special tokens left out unless asked for."""
        if skip_special_tokens:
            return str(self._pieces.decode([token for token in ids if not self._is_special(token)]))
        names = {token: name for name, token in self.added_tokens.items()}
        text, plain = "", list[int]()
        for token in ids:
            if self._is_special(token):
                text += self._pieces.decode(plain) + (names.get(token) or self._pieces.id_to_piece(token))
                plain = []
            else:
                plain.append(token)
        return text + str(self._pieces.decode(plain))

    def _id_of(self, token: str) -> int | None:
        found = int(self._pieces.piece_to_id(token))
        return found if self._pieces.id_to_piece(found) == token else None

    def _is_special(self, token: int) -> bool:
        if token >= len(self._pieces) or token in self.added_tokens.values():
            return True
        return bool(self._pieces.is_control(token) or self._pieces.is_unknown(token))


def _starts_of_bytes(text: str) -> list[int]:
    """For each byte of a text, blanks written as SentencePiece does: the index of its character."""
    places = [
        index
        for index, character in enumerate(text)
        for _ in (_BLANK if character == " " else character).encode()
    ]
    return [*places, len(text)]
