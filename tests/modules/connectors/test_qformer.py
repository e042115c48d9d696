import pytest
import torch

from kinema.errors import ConfigError, InputError
from kinema.modules.connectors.qformer import QFormer, QFormerConfig

SIZES = {
    "memory_size": 6,
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_layers": 2,
    "num_heads": 2,
    "num_queries": 2,
    "num_extra_queries": 1,
    "vocab_size": 10,
    "max_positions": 4,
}


@pytest.fixture
def qformer():
    torch.manual_seed(0)
    return QFormer(QFormerConfig(**SIZES)).eval()


def test_memories_of_any_length_become_as_many_tokens_as_there_are_queries(qformer):
    assert qformer(torch.randn(2, 5, 6)).shape == qformer(torch.randn(2, 50, 6)).shape == (2, 3, 8)


@torch.no_grad()
def test_the_order_of_a_memory_does_not_matter(qformer):
    memory = torch.randn(1, 5, 6)
    torch.testing.assert_close(qformer(memory.flip(1)), qformer(memory))


@torch.no_grad()
def test_padding_of_an_instruction_is_not_read(qformer):
    memory, mask = torch.randn(1, 5, 6), torch.tensor([[0, 1, 1]])
    first, second = (qformer(memory, torch.tensor([[pad, 1, 2]]), mask) for pad in (3, 4))
    torch.testing.assert_close(first, second)
    other = qformer(memory, torch.tensor([[3, 1, 5]]), mask)
    assert not torch.allclose(first, other)


def test_only_some_layers_look_at_the_memory(qformer):
    assert [layer.cross_attention is not None for layer in qformer.layers] == [True, False]


@pytest.mark.parametrize(
    ("ids", "mask", "said"),
    [
        (torch.zeros(1, 5, dtype=torch.int64), torch.ones(1, 5), "at most 4"),
        (torch.tensor([[1]]), None, "mask"),
    ],
)
def test_instructions_that_cannot_be_read_are_refused(qformer, ids, mask, said):
    with pytest.raises(InputError, match=said):
        qformer(torch.randn(1, 5, 6), ids, mask)


@pytest.mark.parametrize(
    "changes", [{"num_heads": 3}, {"num_queries": 0, "num_extra_queries": 0}, {"cross_attention_every": 0}]
)
def test_sizes_that_cannot_work_are_refused(changes):
    with pytest.raises(ConfigError):
        QFormerConfig(**(SIZES | changes))
