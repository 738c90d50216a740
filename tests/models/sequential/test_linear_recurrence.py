import math

import pytest
import torch

from foldin.errors import ConfigError
from foldin.models import LinearRecurrence
from foldin.models.sequential.linear_recurrence import linear_scan
from foldin.nn import Places, TransformerShape

CPU = torch.device("cpu")


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("length", [1, 2, 3, 8, 13])
def test_the_scan_is_the_loop_with_its_gradients(length):
    u = torch.complex(drawn(2, length, 5), drawn(2, length, 5, seed=1)).requires_grad_()
    factor = torch.polar(torch.linspace(0.3, 0.99, 5, dtype=torch.float64), drawn(5)).requires_grad_()
    h, states = torch.zeros(2, 5, dtype=torch.complex128), []
    for at in range(length):
        h = factor * h + u[:, at]
        states.append(h)
    by_loop = torch.stack(states, dim=1)
    found = torch.complex(*linear_scan((u.real, u.imag), (factor.real, factor.imag)))
    assert torch.allclose(found, by_loop)
    weights = drawn(2, length, 5, seed=2)
    for ours, theirs in zip(
        torch.autograd.grad((weights * found.real + found.imag).sum(), (u, factor), allow_unused=True),
        torch.autograd.grad((weights * by_loop.real + by_loop.imag).sum(), (u, factor), allow_unused=True),
        strict=True,
    ):
        # One event is no product with the factor: the scan does not read it, the loop has a gradient of zero.
        assert torch.allclose(torch.zeros_like(theirs) if ours is None else ours, theirs)


def test_the_layer_is_its_formula():
    shape = TransformerShape(width=4, length=9)
    layer = LinearRecurrence(expansion=3).layer(shape, torch.Generator().manual_seed(0), CPU).double()
    x = drawn(2, 7, 4)
    found, _ = layer(x, x, Places(torch.arange(7).unsqueeze(0), None), None)
    factor = torch.exp(torch.complex(-layer.nu.exp(), layer.theta.exp()))
    b = torch.complex(layer.b.weight[:12], layer.b.weight[12:])
    offset = torch.complex(layer.b.bias[:12], layer.b.bias[12:])
    c = torch.complex(layer.c.weight[:, :12], -layer.c.weight[:, 12:])
    h = torch.zeros(2, 12, dtype=torch.complex128)
    for at in range(7):
        h = factor * h + layer.log_gamma.exp() * (x[:, at].to(torch.complex128) @ b.t() + offset)
        assert torch.allclose(found[:, at], (h @ c.t()).real + layer.c.bias)


def test_factors_begin_in_their_ring_and_keep_the_scale_of_the_input():
    option = LinearRecurrence(expansion=200, min_modulus=0.5, max_modulus=0.9)
    layer = option.layer(TransformerShape(width=4), torch.Generator().manual_seed(0), CPU)
    modulus = torch.exp(-layer.nu.exp()).detach()
    assert float(modulus.min()) > 0.5 - 1e-6
    assert float(modulus.max()) < 0.9 + 1e-6
    # Uniform in the area of the ring: the squared modulus is uniform, as is the phase.
    assert float(modulus.square().mean()) == pytest.approx((0.25 + 0.81) / 2, abs=0.03)
    assert float(layer.theta.detach().exp().mean()) == pytest.approx(math.pi, abs=0.3)
    assert torch.allclose(layer.log_gamma.exp().square(), 1 - modulus.square(), atol=1e-5)


def test_a_ring_without_an_inside_is_refused():
    with pytest.raises(ConfigError, match=r"min_modulus = 0\.9: must be below max_modulus = 0\.8"):
        LinearRecurrence(min_modulus=0.9, max_modulus=0.8)
