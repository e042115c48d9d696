from dataclasses import replace

import pytest
import torch

from kinema.errors import ConfigError, InputError
from kinema.modules.language.decoder import DecoderConfig
from kinema.modules.text.decoder_text import DecoderText

CONFIG = DecoderConfig(
    vocab_size=20,
    hidden_size=16,
    intermediate_size=24,
    num_layers=2,
    num_heads=2,
    num_kv_heads=2,
    head_dim=8,
    max_positions=32,
    tie_word_embeddings=True,
)


@pytest.fixture(scope="module")
def tower() -> DecoderText:
    torch.manual_seed(0)
    return DecoderText(CONFIG).eval()


@torch.no_grad()
def test_a_text_is_read_at_its_last_token_whatever_pads_it(tower):
    ids = torch.tensor([[3, 4, 5, 0, 7], [3, 4, 6, 8, 9]])
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    alone = tower(ids[:1, :3], mask[:1, :3])
    torch.testing.assert_close(tower(ids, mask)[:1], alone)
    assert torch.equal(tower(ids, mask)[1], tower.encode(ids)[1, 4])


def test_padding_on_the_left_and_empty_texts_are_refused(tower):
    for mask in ([[0, 1]], [[0, 0]]):
        with pytest.raises(InputError, match="padded on the right"):
            tower(torch.tensor([[1, 2]]), torch.tensor(mask))


def test_a_decoder_with_a_head_is_refused():
    with pytest.raises(ConfigError, match="tie_word_embeddings"):
        DecoderText(replace(CONFIG, tie_word_embeddings=False))
