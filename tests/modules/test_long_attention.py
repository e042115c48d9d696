import pytest
import torch
from torch.nn import functional as F

from kinema.modules.attention import attention
from kinema.modules.long_attention import FEWEST_TOKENS, is_long, long_attention


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def heads(num_tokens, num_heads=2, size=24):
    return torch.randn(2, num_tokens, num_heads, size, generator=torch.Generator().manual_seed(0)).transpose(
        1, 2
    )


@pytest.mark.parametrize(("queries", "keys"), [(700, 700), (512, 513), (640, 577)])
def test_it_is_the_attention_of_pytorch(queries, keys):
    query, key = heads(queries), heads(keys)
    value = key.flip(2) * 3
    with torch.inference_mode():
        found = long_attention(query, key, value)
    expected = F.scaled_dot_product_attention(query, key, value)
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=1e-5)


def test_large_scores_do_not_overflow():
    query = heads(FEWEST_TOKENS) * 100
    with torch.inference_mode():
        found = long_attention(query, query, query)
    torch.testing.assert_close(
        found, F.scaled_dot_product_attention(query, query, query), atol=1e-3, rtol=1e-4
    )


def test_it_is_taken_for_many_tokens_on_one_thread_without_gradients(one_thread):
    query, short = heads(FEWEST_TOKENS), heads(FEWEST_TOKENS - 1)
    with torch.inference_mode():
        if not is_long(query, query):
            pytest.skip("PyTorch has no oneDNN here")
        assert torch.equal(attention(query, query, query), long_attention(query, query, query))
        assert not is_long(short, short)
        assert not is_long(query, query[:, :1])
        assert not is_long(query.bfloat16(), query.bfloat16())
        torch.set_num_threads(2)
        assert not is_long(query, query)
        torch.set_num_threads(1)
    assert not is_long(query, query)  # gradients may be wanted


def test_a_mask_and_order_are_left_to_pytorch(one_thread):
    query = heads(FEWEST_TOKENS)
    expected = F.scaled_dot_product_attention(query, query, query, is_causal=True)
    with torch.inference_mode():
        assert torch.equal(attention(query, query, query, causal=True), expected)
