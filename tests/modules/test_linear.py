import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from kinema.modules.linear import Linear, linear

on_x86 = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available() or torch.backends.cpu.get_cpu_capability() == "DEFAULT",
    reason="oneDNN is chosen on x86 CPUs only",
)


class Operators(TorchDispatchMode):
    """Notes which operators run."""

    def __init__(self):
        super().__init__()
        self.names = []
        self.rows_of_onednn = set()

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        self.names.append(str(operator))
        if "_linear_pointwise" in str(operator):
            self.rows_of_onednn.add(len(args[0]))
        return operator(*args, **(kwargs or {}))


def operators_of(layer, x):
    with Operators() as operators:
        layer(x)
    return operators.names


@pytest.mark.parametrize("shape", [(8,), (1, 8), (2, 3, 8), (0, 8), (17, 8), (64, 8), (3, 43, 8)])
@pytest.mark.parametrize("bias", [True, False])
@torch.inference_mode()
def test_it_computes_what_pytorch_computes(shape, bias):
    layer, x = Linear(8, 5, bias=bias), torch.randn(shape)
    torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias), atol=1e-6, rtol=0)


@torch.inference_mode()
def test_what_is_not_contiguous_is_computed_too():
    x, weight = torch.randn(6, 20)[:, ::2], torch.randn(10, 7).T
    torch.testing.assert_close(linear(x, weight), x @ weight.T, atol=1e-5, rtol=0)


def test_training_has_gradients():
    layer, x = Linear(2, 1, bias=False), torch.tensor([[3.0, 4.0]])
    layer(x).sum().backward()
    assert layer.weight.grad.tolist() == [[3.0, 4.0]]


@on_x86
def test_onednn_serves_float32_without_gradients_only():
    layer, x = Linear(8, 5), torch.randn(2, 8)
    assert not any("mkldnn" in name for name in operators_of(layer, x))
    with torch.inference_mode():
        assert "mkldnn._linear_pointwise.default" in operators_of(layer, x)
        assert not any("_linear_pointwise" in name for name in operators_of(layer.double(), x.double()))


@on_x86
@torch.inference_mode()
def test_onednn_compiles_for_few_numbers_of_rows():
    layer, seen = Linear(8, 5), set()
    for rows in range(1, 300):
        with Operators() as operators:
            layer(torch.randn(rows, 8))
        seen |= operators.rows_of_onednn
    assert seen == {*range(1, 17), 64, 128, 192, 256}


@on_x86
@pytest.mark.filterwarnings("ignore:TF32 acceleration")
@torch.inference_mode()
def test_who_switches_onednn_off_or_casts_by_himself_is_obeyed():
    layer, x = Linear(8, 5), torch.randn(2, 8)
    with torch.backends.mkldnn.flags(enabled=False):
        assert not any("mkldnn" in name for name in operators_of(layer, x))
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
