"""The perceptron: the formula and its gradients."""

import pytest
import torch
from torch.nn import functional as F

from foldin.nn import MLP, MLPDenoiser, step_embedding

CPU = torch.device("cpu")


def made(*widths, seed=0):
    return MLP(widths, generator=torch.Generator().manual_seed(seed), device=CPU)


def written_out(mlp, x):
    *inner, (last, bias) = list(zip(mlp.weights, mlp.biases, strict=True))
    for weight, b in inner:
        x = torch.tanh(F.linear(x, weight, b))
    return F.linear(x, last, bias)


@pytest.mark.parametrize("widths", [(5, 3), (5, 4, 3)])
def test_values_and_gradients_are_those_of_the_formula(widths):
    mlp, x = made(*widths), torch.randn(200, widths[0], generator=torch.Generator().manual_seed(1))
    weights = torch.randn(200, widths[-1], generator=torch.Generator().manual_seed(2))
    found = []
    for compute in (mlp, lambda v: written_out(mlp, v)):
        mlp.zero_grad()
        given = x.clone().requires_grad_()
        out = compute(given)
        (weights * out).sum().backward()
        found.append([out.detach(), given.grad, *(one.grad.clone() for one in mlp.parameters())])
    for mine, expected in zip(*found, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-4, atol=1e-4)


def test_gradients_agree_with_finite_differences():
    mlp = made(3, 4, 2).double()
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(mlp, x)


def test_used_twice_in_one_graph_its_gradients_add_up():
    mlp, x = made(3, 2), torch.ones(4, 3)
    (mlp(x).sum() + mlp(2 * x).sum()).backward()
    torch.testing.assert_close(mlp.weights[0].grad, torch.full((2, 3), 12.0))


def test_frozen_weights_get_no_gradient_and_the_input_does():
    mlp, x = made(3, 4, 2), torch.ones(4, 3).requires_grad_()
    mlp.requires_grad_(False)
    mlp(x).sum().backward()
    assert all(one.grad is None for one in mlp.parameters())
    assert x.grad.abs().sum() > 0


def test_a_seed_means_the_same_weights():
    assert all(torch.equal(a, b) for a, b in zip(made(5, 4, 3).parameters(), made(5, 4, 3).parameters(), strict=True))
    assert not torch.equal(made(5, 4).weights[0], made(5, 4, seed=1).weights[0])


def test_gated_layers_are_products_with_a_sigmoid():
    net = MLP((3, 4, 5, 2), generator=torch.Generator().manual_seed(0), device=torch.device("cpu"), activation="gated")
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    h = x
    for weight, bias in list(zip(net.weights, net.biases, strict=True))[:-1]:
        half = len(weight) // 2
        h = (h @ weight[:half].t() + bias[:half]) * torch.sigmoid(h @ weight[half:].t() + bias[half:])
    expected = h @ net.weights[-1].t() + net.biases[-1]
    assert [tuple(w.shape) for w in net.weights] == [(8, 3), (10, 4), (2, 5)]
    assert torch.allclose(net(x), expected, atol=1e-6)


def test_the_denoiser_is_a_perceptron_with_swish_over_x_and_the_embedding_of_the_step():
    net = MLPDenoiser(4, 3, (5,), time=6, generator=torch.Generator().manual_seed(0), device=CPU)
    assert [name for name, _ in net.named_parameters()] == ["weights.0", "weights.1", "biases.0", "biases.1"]
    x, t = torch.randn(7, 2, 2, generator=torch.Generator().manual_seed(1)), torch.arange(1, 8)
    h = F.linear(torch.cat((x.flatten(1), step_embedding(t, 6)), dim=1), net.weights[0], net.biases[0])
    torch.testing.assert_close(net(x, t), F.linear(h * torch.sigmoid(h), net.weights[1], net.biases[1]))
