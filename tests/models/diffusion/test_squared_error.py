"""The squared error without a dense matrix, and the bag under noise, against the plain formulas."""

import pytest
import torch

from foldin.data import Histories
from foldin.kernels import Buffers, unit_weights
from foldin.models.diffusion._noisy_bag import noisy_bag
from foldin.models.diffusion._squared_error import squared_error_from_hidden

USERS = Histories.from_lists([[0, 3, 5], [], [6], [1, 2, 3, 4, 5, 6]], 7)


def parts(dtype=torch.float64):
    g = torch.Generator().manual_seed(0)
    hidden, weight, bias = (
        torch.randn(*shape, generator=g, dtype=dtype).requires_grad_() for shape in ((4, 3), (7, 3), (7,))
    )
    items, offsets = USERS.tensors()
    values = torch.rand(len(items), generator=g, dtype=dtype)
    return hidden, weight, bias, items, offsets, values


def dense(hidden, weight, bias, items, offsets, values):
    rows = torch.zeros(4, 7, dtype=hidden.dtype)
    rows[torch.from_numpy(USERS.users()), items] = values
    return (hidden @ weight.t() + bias - rows).square().sum(dim=1)


def test_value_and_gradients_are_those_of_the_dense_formula():
    users = torch.tensor([1.0, 0.5, 2.0, -1.0], dtype=torch.float64)
    found, expected = parts(), parts()
    value, plain = squared_error_from_hidden(*found), dense(*expected)
    assert torch.allclose(value, plain)
    (value * users).sum().backward()
    (plain * users).sum().backward()
    for mine, its in zip(found[:3], expected[:3], strict=True):
        assert torch.allclose(mine.grad, its.grad)


def test_what_needs_no_gradient_gets_none():
    hidden, weight, bias, *rest = parts()
    weight.requires_grad_(False)
    squared_error_from_hidden(hidden, weight, bias, *rest).sum().backward()
    assert weight.grad is None
    assert hidden.grad is not None
    assert torch.autograd.gradcheck(
        lambda h, w, b: squared_error_from_hidden(h, w, b, *rest), (hidden, weight.requires_grad_(), bias)
    )


def test_one_buffer_serves_step_after_step():
    buffers, (hidden, weight, bias, *rest) = Buffers(), parts()
    for _ in range(3):
        weight.grad = None
        squared_error_from_hidden(hidden, weight, bias, *rest, buffers).sum().backward()
        kept = weight.grad.clone()
    _, again, _, *_ = fresh = parts()
    dense(*fresh).sum().backward()
    assert torch.allclose(kept, again.grad)


def test_without_noise_it_is_the_bag_and_its_gradient_that_of_the_dense_product():
    _, weight, *_ = parts(torch.float32)
    items, offsets = USERS.tensors()
    values = unit_weights(offsets)
    rows = torch.zeros(4, 7)
    rows[torch.from_numpy(USERS.users()), items] = values
    found = noisy_bag(weight, items, offsets, values, torch.zeros(4), torch.Generator().manual_seed(0))
    assert torch.allclose(found, rows @ weight, atol=1e-6)
    found.square().sum().backward()
    other = weight.detach().clone().requires_grad_()
    (rows @ other).square().sum().backward()
    assert torch.allclose(weight.grad, other.grad, atol=1e-5)


def test_each_user_s_noise_is_a_standard_normal_through_the_weights():
    weight = torch.randn(7, 3, generator=torch.Generator().manual_seed(1))
    items, offsets = Histories.empty(4, 7).tensors()
    sigma, generator = torch.tensor([1.0, 0.5, 2.0, 0.0]), torch.Generator().manual_seed(2)
    draws = torch.stack(
        [noisy_bag(weight, items, offsets, torch.zeros(0), sigma, generator, dimensions=2) for _ in range(10_000)]
    )
    for user in range(4):
        own = draws[:, user]
        assert torch.allclose(own.mean(0), torch.zeros(3), atol=0.1)
        assert torch.allclose(
            own.T.cov(), sigma[user] ** 2 * weight.T @ weight, atol=0.06 * float(sigma[user] ** 2 + 0.01) * 10
        )
    # Kurtosis of a normal: unit-length shares leave no heavier tails.
    first = draws[:, 0, 0] / draws[:, 0, 0].std()
    assert float((first**4).mean()) == pytest.approx(3.0, abs=0.15)
    shared = float((draws[:, 0, 0] * draws[:, 1, 0]).mean() / (draws[:, 0, 0].std() * draws[:, 1, 0].std()))
    assert abs(shared) < 0.03  # whose directions are one's own at random


def test_the_gradient_of_the_noise_is_that_of_its_dense_rows():
    _, weight, *_ = parts(torch.float32)
    items, offsets = USERS.tensors()
    values, sigma = torch.ones(len(items)), torch.tensor([1.0, 2.0, 0.5, 1.5])
    found = noisy_bag(weight, items, offsets, values, sigma, torch.Generator().manual_seed(3), dimensions=5)
    identity = noisy_bag(torch.eye(7), items, offsets, values, sigma, torch.Generator().manual_seed(3), dimensions=5)
    assert torch.allclose(found, identity @ weight, atol=1e-5)
    found.square().sum().backward()
    other = weight.detach().clone().requires_grad_()
    (identity @ other).square().sum().backward()
    assert torch.allclose(weight.grad, other.grad, rtol=1e-4, atol=1e-4)
