import pytest
import torch

from kinema.errors import ConfigError, InputError
from kinema.modules.text.clip import CLIPText, CLIPTextConfig

CONFIG = CLIPTextConfig(
    vocab_size=20, hidden_size=16, intermediate_size=32, num_layers=2, num_heads=2, max_positions=8
)
END = 19


@pytest.fixture(scope="module")
def tower() -> CLIPText:
    torch.manual_seed(0)
    return CLIPText(CONFIG).eval()


def close(actual, expected):
    torch.testing.assert_close(actual, expected, atol=1e-6, rtol=0)


@torch.no_grad()
def test_a_text_is_read_at_the_first_end_token(tower):
    ids = torch.tensor([[18, 3, END, END], [18, END, END, END]])
    states = tower.encode(ids)
    close(tower(ids), torch.stack([states[0, 2], states[1, 1]]))


@torch.no_grad()
def test_padding_and_its_mask_change_no_vector(tower):
    alone = tower(torch.tensor([[18, 3, 4, END]]))
    padded = torch.tensor([[18, 3, 4, END, END, END]])
    close(tower(padded), alone)
    close(tower(padded, torch.tensor([[1, 1, 1, 1, 0, 0]])), alone)


@torch.no_grad()
def test_a_token_sees_only_those_before_it(tower):
    ids = torch.tensor([[18, 3, 4, END]])
    before = tower.encode(ids)
    ids[0, 2] = 5
    changed = (tower.encode(ids) - before).abs().amax(-1)[0] > 1e-4
    assert changed.tolist() == [False, False, True, True]


@torch.no_grad()
def test_a_masked_token_is_not_seen(tower):
    mask = torch.tensor([[1, 1, 0, 1]])
    one = tower(torch.tensor([[18, 3, 4, END]]), mask)
    close(tower(torch.tensor([[18, 3, 5, END]]), mask), one)


def test_a_text_longer_than_the_positions_is_refused(tower):
    with pytest.raises(InputError, match="1 to 8 tokens"):
        tower(torch.zeros(1, 9, dtype=torch.long))


def test_padding_on_the_left_is_refused(tower):
    with pytest.raises(InputError, match="pad on the right"):
        tower(torch.tensor([[0, 18, END]]), torch.tensor([[0, 1, 1]]))


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ConfigError, match="multiple of num_heads 3"):
        CLIPTextConfig(vocab_size=9, hidden_size=16, intermediate_size=32, num_layers=1, num_heads=3)
