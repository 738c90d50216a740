"""The figure of the gradient clouds shows what automatic differentiation gives, and the chapter's variances."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import logsigmoid

from foldin.inference import log_normal
from foldin.inference.elbo import perturbed
from tests.book.figures.running import computed, needs_node

N = 200_000
FUNCTIONS = {"square": torch.square, "log-odds": logsigmoid, "waves": lambda z: torch.sin(5.0 * z)}
CASES = [
    ("square", 1.0, 1.0, "none"),
    ("square", -2.0, 0.5, "best"),
    ("log-odds", -1.0, 1.5, "none"),
    ("log-odds", 2.0, 0.3, "mean"),
    ("waves", 1.0, 1.0, "none"),
    ("waves", 0.3, 0.1, "best"),
]


def one_draw(which, mu, sigma, b):
    """N estimates of the gradient in μ and log σ, from one draw each: by the score function, and reparameterized."""
    noise = torch.randn((N, 1), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    phi = [torch.full((N, 1), one, dtype=torch.float64).requires_grad_() for one in (mu, math.log(sigma))]
    z = perturbed(phi[0], 2.0 * phi[1], noise)
    value = FUNCTIONS[which](z)
    slopes = torch.cat(torch.autograd.grad(value.sum(), phi, retain_graph=True), dim=1)
    scores = torch.cat(torch.autograd.grad(log_normal(z.detach(), phi[0], 2.0 * phi[1]).sum(), phi), dim=1)
    return ((value.detach() - b) * scores).numpy(), slopes.numpy()


@needs_node
@pytest.mark.parametrize(("which", "mu", "sigma", "baseline"), CASES)
def test_truth_and_standard_deviations_are_those_of_many_draws(which, mu, sigma, baseline):
    given = {"f": which, "mu": mu, "sigma": sigma, "draws": 1, "baseline": baseline}
    values = computed("gradient-clouds", given)
    for name, found in zip(("score", "reparameterized"), one_draw(which, mu, sigma, values["b"]), strict=True):
        sd = np.array(values[name]["sd"])
        assert np.all(np.abs(found.mean(axis=0) - values["truth"]) < 5.0 * sd / N**0.5), name
        assert np.allclose(found.std(axis=0), sd, rtol=0.05), name


@needs_node
@pytest.mark.parametrize("mu", [1.0, 3.0])
def test_the_variances_for_the_square_are_those_of_the_chapter(mu):
    values = computed("gradient-clouds", {"f": "square", "mu": mu, "sigma": 1.0, "draws": 1})
    assert values["score"]["sd"][0] ** 2 == pytest.approx(mu**4 + 14.0 * mu**2 + 15.0, rel=1e-6)
    assert values["reparameterized"]["sd"][0] ** 2 == pytest.approx(4.0, rel=1e-6)
    best = computed("gradient-clouds", {"f": "square", "mu": mu, "sigma": 1.0, "draws": 1, "baseline": "best"})
    assert best["b"] == pytest.approx(mu**2 + 3.0, rel=1e-6)
    assert best["score"]["sd"][0] ** 2 == pytest.approx(8.0 * mu**2 + 6.0, rel=1e-6)
    assert best["reparameterized"] == values["reparameterized"]
    mean = computed("gradient-clouds", {"f": "square", "mu": mu, "sigma": 1.0, "baseline": "mean"})
    assert mean["b"] == pytest.approx(mu**2 + 1.0, rel=1e-6)


@needs_node
@pytest.mark.parametrize("which", sorted(FUNCTIONS))
def test_the_clouds_lie_around_the_truth_as_wide_as_said(which):
    values = computed("gradient-clouds", {"f": which, "draws": 16})
    for name in ("score", "reparameterized"):
        cloud, sd = np.array(values[name]["cloud"]), np.array(values[name]["sd"])
        assert np.all(np.abs(cloud.mean(axis=0) - values["truth"]) < 4.0 * sd / len(cloud) ** 0.5)
        assert np.allclose(cloud.std(axis=0), sd, rtol=0.2)


@needs_node
def test_fast_waves_turn_the_order_around_and_a_narrow_density_turns_it_back():
    assert computed("gradient-clouds", {"f": "square"})["ratio"] > 1.0
    assert computed("gradient-clouds", {"f": "waves", "sigma": 1.0})["ratio"] < 0.1
    assert computed("gradient-clouds", {"f": "waves", "mu": 0.3, "sigma": 0.1})["ratio"] > 1.0
