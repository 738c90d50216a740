import numpy as np
import pytest
import torch
from torch.nn import functional as F

from foldin.kernels import cross_entropy, softmax_cross_entropy


def parts(tokens=37, items=50, width=6, dtype=torch.float64, bias=True):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(tokens, width, generator=generator, dtype=dtype, requires_grad=True)
    weight = torch.randn(items, width, generator=generator, dtype=dtype, requires_grad=True)
    offset = torch.randn(items, generator=generator, dtype=dtype, requires_grad=True) if bias else None
    return hidden, weight, torch.randint(items, (tokens,), generator=generator), offset


def plain(hidden, weight, targets, bias):
    return F.cross_entropy(F.linear(hidden, weight, bias), targets, reduction="sum")


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("rows", [1, 5, 64])
@pytest.mark.parametrize("bias", [True, False])
def test_loss_and_gradients_are_those_of_the_plain_formula(threads, rows, bias, set_threads, monkeypatch):
    monkeypatch.setattr(cross_entropy, "_chunk_rows", lambda *a: rows)
    set_threads(threads)
    hidden, weight, targets, offset = parts(bias=bias)
    wanted = [one for one in (hidden, weight, offset) if one is not None]
    loss, expected = softmax_cross_entropy(hidden, weight, targets, offset), plain(hidden, weight, targets, offset)
    assert torch.allclose(loss, expected)
    found = torch.autograd.grad(3.0 * loss, wanted)
    for one, other in zip(found, torch.autograd.grad(3.0 * expected, wanted), strict=True):
        assert torch.allclose(one, other)


def test_what_needs_no_gradient_gets_none_and_large_scores_do_not_overflow():
    hidden, weight, targets, bias = parts(dtype=torch.float32)
    frozen = weight.detach()
    loss = softmax_cross_entropy(1000.0 * hidden, frozen, targets, bias)
    assert torch.isfinite(loss)
    assert torch.allclose(loss, plain(1000.0 * hidden, frozen, targets, bias))
    (found,) = torch.autograd.grad(loss, (bias,))
    assert torch.isfinite(found).all()
    with torch.no_grad():
        assert not softmax_cross_entropy(hidden, weight, targets, bias).requires_grad


def test_the_same_call_gives_the_same_bits():
    hidden, weight, targets, bias = parts(tokens=500, items=3000, dtype=torch.float32)
    first, second = (
        torch.autograd.grad(softmax_cross_entropy(hidden, weight, targets, bias), (hidden, weight, bias))
        for _ in range(2)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_chunks_are_bounded_whatever_the_catalog_and_every_thread_has_one():
    assert cross_entropy._chunk_rows(6400, 100_000, 2) * 100_000 * 4 < 30e6
    assert cross_entropy._chunk_rows(10, 100, 2) == 5
    assert np.isclose(cross_entropy._chunk_rows(10**6, 10_000, 1) * 10_000 * 4, 4 << 20, rtol=0.01)
