"""Softmax losses under autocast: against the plain formula with rounded factors, and never by the kernels for processors."""

from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from foldin.kernels import (
    at_least_float32,
    cross_entropy,
    devices,
    multinomial_from_hidden,
    multinomial_log_likelihood,
    product_format,
    softmax,
    softmax_cross_entropy,
)

USERS, ITEMS, WIDTH = 9, 13, 4
OFFSETS = torch.tensor([0, 0, 3, 4, 4, 4, 9, 11, 15, 15])


def noise(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def layer() -> list[torch.Tensor]:
    """(hidden, weight, bias), which need gradients; the biases are so large that rounding them would be seen."""
    hidden, weight, bias = noise(USERS, WIDTH, seed=0), noise(ITEMS, WIDTH, seed=1), 100.0 + noise(ITEMS, seed=2)
    return [one.requires_grad_() for one in (hidden, weight, bias)]


def rounded(x: torch.Tensor) -> torch.Tensor:
    """x with 8 bits of mantissa, in float32."""
    return x.bfloat16().float()


@pytest.fixture(params=[2 * ITEMS + 1, devices.BLOCK], autouse=True)
def block(request, monkeypatch) -> None:
    """Two rows of logits at once, or all; the kernels for processors fail."""
    monkeypatch.setattr(devices, "BLOCK", request.param)
    monkeypatch.setattr(softmax, "matmul_into", None)
    monkeypatch.setattr(cross_entropy, "_on_cpu", None)


def same(loss: Callable[..., torch.Tensor], plain: Callable[..., torch.Tensor], *, hidden_is_rounded: bool) -> None:
    """Compare a loss under autocast with the plain loss in float32: nearly if its factors are rounded, and not so otherwise."""
    hidden, weight, bias = layer()
    given = hidden.bfloat16() if hidden_is_rounded else hidden
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(given, weight, bias)
    expected, exact = plain(F.linear(rounded(hidden), rounded(weight)) + bias), plain(F.linear(hidden, weight) + bias)
    assert found.dtype == torch.float32
    # A logit of up to 8 is rounded by at most 2⁻⁶.
    torch.testing.assert_close(found, expected, rtol=0.0, atol=float(len(OFFSETS) * 2**-6))
    assert not torch.equal(found, exact)
    gradients = [torch.autograd.grad(one.sum(), (hidden, weight, bias)) for one in (found, exact)]
    for one, other in zip(*gradients, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other, rtol=0.03, atol=0.03)


@pytest.mark.parametrize("hidden_is_rounded", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_multinomial(weighted, hidden_is_rounded):
    items = torch.randint(ITEMS, (15,), generator=torch.Generator().manual_seed(3))
    values = noise(15, seed=4).abs() if weighted else None

    def plain(logits: torch.Tensor) -> torch.Tensor:
        if values is None:
            return multinomial_log_likelihood(logits, items, OFFSETS)
        users = torch.repeat_interleave(torch.arange(USERS), OFFSETS.diff())
        picked = torch.log_softmax(logits, dim=1)[users, items] * values
        return torch.zeros(USERS).index_add(0, users, picked)

    same(
        lambda h, w, b: multinomial_from_hidden(h, w, b, items, OFFSETS, values=values),
        plain,
        hidden_is_rounded=hidden_is_rounded,
    )


@pytest.mark.parametrize("hidden_is_rounded", [False, True])
def test_the_softmax_of_tokens(hidden_is_rounded):
    targets = torch.randint(ITEMS, (USERS,), generator=torch.Generator().manual_seed(3))
    same(
        lambda h, w, b: softmax_cross_entropy(h, w, targets, b),
        lambda logits: F.cross_entropy(logits, targets, reduction="sum"),
        hidden_is_rounded=hidden_is_rounded,
    )


def test_a_format_is_asked_for_where_autocast_is_on():
    x = torch.ones(2)
    assert product_format(x) is None
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert product_format(x) == torch.bfloat16
        with torch.autocast("cpu", enabled=False):
            assert product_format(x) is None
    assert at_least_float32(x) is x
    assert at_least_float32(x.double()).dtype == torch.float64
    assert at_least_float32(x.bfloat16()).dtype == torch.float32
