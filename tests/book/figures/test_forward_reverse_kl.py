"""The figure of the two KLs shows what quadrature in PyTorch gives, and its minima are minima."""

import math

import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, Normal

from tests.book.figures.running import computed, needs_node

AXIS = torch.linspace(-70.0, 70.0, 14001, dtype=torch.float64)


def kls(mu, log_sigma, distance):
    """(reverse, forward) KL of N(μ, σ²) and the posterior with two modes, in nats."""
    modes = torch.tensor([-0.5 * distance, 0.5 * distance], dtype=torch.float64)
    halves = Categorical(torch.tensor([0.5, 0.5], dtype=torch.float64))
    log_p = MixtureSameFamily(halves, Normal(modes, torch.ones_like(modes))).log_prob(AXIS)
    log_q = Normal(mu, log_sigma.exp()).log_prob(AXIS)
    step = AXIS[1] - AXIS[0]
    ratio = log_q - log_p
    return (log_q.exp() * ratio).sum() * step, -(log_p.exp() * ratio).sum() * step


def at(values):
    """μ and log σ of the figure's q, to be differentiated."""
    found = (values["mu"], math.log(values["sigma"]))
    return [torch.tensor(one, dtype=torch.float64).requires_grad_() for one in found]


def slope(values, distance, which):
    """The gradient of one of the two KLs in μ and log σ at the figure's q."""
    q = at(values)
    return torch.stack(torch.autograd.grad(kls(*q, distance)[which], q))


@needs_node
@pytest.mark.parametrize(
    ("mu", "sigma", "distance"),
    [(1.5, 1.0, 6.0), (3.0, 1.0, 6.0), (-6.0, 6.0, 10.0), (6.0, 0.3, 10.0), (0.0, 1.0, 0.0)],
)
def test_the_areas_are_the_two_kls(mu, sigma, distance):
    values = computed("forward-reverse-kl", {"mu": mu, "sigma": sigma, "distance": distance})
    reverse, forward = kls(*at(values), distance)
    assert (values["mu"], values["sigma"]) == (mu, sigma)
    assert values["reverseKl"] == pytest.approx(reverse.item(), rel=1e-6, abs=1e-9)
    assert values["forwardKl"] == pytest.approx(forward.item(), rel=1e-6, abs=1e-9)


@needs_node
@pytest.mark.parametrize("distance", [0.0, 2.0, 6.0, 10.0])
def test_the_forward_kl_is_smallest_at_the_moments(distance):
    values = computed("forward-reverse-kl", {"place": "forward", "distance": distance})
    assert values["mu"] == pytest.approx(0.0, abs=1e-9)
    assert values["sigma"] ** 2 == pytest.approx(1.0 + distance**2 / 4.0, abs=1e-6)
    assert slope(values, distance, 1).abs().max() < 1e-6


@needs_node
@pytest.mark.parametrize(
    ("start", "found"),
    [
        ((1.5, 1.0), (2.984, 1.023, 0.689)),
        ((-1.5, 1.0), (-2.984, 1.023, 0.689)),
        ((0.3, 1.6), (0.0, 2.744, 0.841)),
        ((6.0, 6.0), (0.0, 2.744, 0.841)),
    ],
)
def test_the_search_ends_at_the_optima_of_the_chapter(start, found):
    values = computed("forward-reverse-kl", {"place": "reverse", "mu": start[0], "sigma": start[1], "distance": 6.0})
    assert (values["mu"], values["sigma"], values["reverseKl"]) == pytest.approx(found, abs=1e-3)
    assert slope(values, 6.0, 0).abs().max() < 1e-4


@needs_node
@pytest.mark.parametrize("distance", [8.0, 10.0])
def test_only_the_forward_kl_notices_how_far_the_other_mode_goes(distance):
    values = computed("forward-reverse-kl", {"place": "reverse", "distance": distance})
    assert values["reverseKl"] == pytest.approx(math.log(2.0), abs=1e-3)
    assert values["forwardKl"] == pytest.approx(distance**2 / 4.0 - math.log(2.0), abs=0.1)
