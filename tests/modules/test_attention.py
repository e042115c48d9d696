import math

import pytest
import torch

from kinema.modules.attention import attention, packed_attention


def plain_attention(query, key, value, visible):
    """(N, A, d) by the book: softmax of scaled products where ``visible`` (N, N)."""
    repeats = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(repeats, dim=1) for x in (key, value))
    scores = torch.einsum("nad,mad->anm", query, key) / math.sqrt(query.shape[-1])
    weights = scores.masked_fill(~visible, -torch.inf).softmax(-1)
    return torch.einsum("anm,mad->nad", weights, value)


def random_heads(num_tokens, num_heads, num_kv_heads):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(num_tokens, heads, 8, generator=generator) for heads in (num_heads, *[num_kv_heads] * 2)
    ]


@pytest.mark.parametrize("num_kv_heads", [1, 2, 4])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("lengths", [[7], [3, 3, 1], [1, 4, 4, 2, 4]])
def test_tokens_of_a_pack_see_their_own_segment_only(lengths, causal, num_kv_heads):
    heads = random_heads(sum(lengths), 4, num_kv_heads)
    segment = torch.repeat_interleave(torch.tensor(lengths))
    visible = segment[:, None] == segment[None]
    if causal:
        visible = visible.tril()
    actual = packed_attention(*heads, lengths, causal=causal)
    torch.testing.assert_close(actual, plain_attention(*heads, visible), atol=1e-6, rtol=0)


def test_segments_that_do_not_cover_the_pack_are_refused():
    heads = random_heads(5, 1, 1)
    with pytest.raises(ValueError, match="segments of 4 tokens in all do not cover a pack of 5"):
        packed_attention(*heads, [2, 2])


@pytest.mark.parametrize("num_kv_heads", [1, 2, 4])
@pytest.mark.parametrize("masked", [False, True])
def test_one_new_position_sees_all_that_are_held(num_kv_heads, masked):
    query, key, value = random_heads(6, 4, num_kv_heads)
    visible = torch.tensor([[not masked, True, True, True, not masked, True]]).expand(6, 6)
    expected = plain_attention(query, key, value, visible)[-1]  # (A, d)
    batch = [x.transpose(0, 1)[None] for x in (query[-1:], key, value)]  # (1, A, N, d)
    actual = attention(*batch, mask=visible[None, None, :1] if masked else None)
    torch.testing.assert_close(actual[0, :, 0], expected, atol=1e-6, rtol=0)
