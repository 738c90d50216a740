"""The figure of one step back shows the library's posterior, and its grid finds the same without the formula."""

import math

import numpy as np
import pytest
import torch

from foldin.diffusion import NoiseSchedule
from tests.book.figures.running import computed, needs_node

SCHEDULE = NoiseSchedule.linear(40)
PLACES = [(-1.0, 1.0, 12), (2.0, -3.0, 2), (-2.0, 3.0, 40), (0.5, 0.0, 25)]


def _normal(x, mean, variance):
    return np.exp(-0.5 * (x - mean) ** 2 / variance) / np.sqrt(2 * np.pi * variance)


@needs_node
@pytest.mark.parametrize(("x0", "xt", "t"), PLACES)
def test_the_product_has_the_mean_and_variance_of_the_librarys_posterior(x0, xt, t):
    values = computed("posterior-product", {"x0": x0, "xt": xt, "t": t})
    clean, now = (torch.tensor([[one]], dtype=torch.float64) for one in (x0, xt))
    mean = float(SCHEDULE.posterior_mean(clean, now, torch.tensor([t])))
    for found in ("closed", "quadrature"):
        assert values[found]["mean"] == pytest.approx(mean, abs=1e-8)
        assert values[found]["variance"] == pytest.approx(SCHEDULE.posterior_variance[t], rel=1e-8)
    assert values["weights"]["xt"] * xt + values["weights"]["x0"] * x0 == pytest.approx(mean, abs=1e-10)
    assert sum(values["precisions"].values()) == pytest.approx(1 / SCHEDULE.posterior_variance[t], rel=1e-8)


@needs_node
@pytest.mark.parametrize(("x0", "xt", "t"), PLACES)
def test_the_curves_are_the_two_factors_and_their_normalized_product(x0, xt, t):
    values = computed("posterior-product", {"x0": x0, "xt": xt, "t": t})
    grid, before, beta = np.array(values["grid"]), SCHEDULE.alpha_bar[t - 1], SCHEDULE.betas[t]
    step, data = _normal(xt, math.sqrt(1 - beta) * grid, beta), _normal(grid, math.sqrt(before) * x0, 1 - before)
    assert values["step"] == pytest.approx(step.tolist(), rel=1e-6, abs=1e-9)
    assert values["data"] == pytest.approx(data.tolist(), rel=1e-6, abs=1e-9)
    posterior = _normal(grid, values["closed"]["mean"], SCHEDULE.posterior_variance[t])
    assert values["product"] == pytest.approx(posterior.tolist(), abs=1e-6)


@needs_node
@pytest.mark.parametrize(("x0", "xt", "t"), PLACES)
def test_the_area_that_is_divided_out_is_the_density_of_the_noisy_data(x0, xt, t):
    values = computed("posterior-product", {"x0": x0, "xt": xt, "t": t})
    signal, variance = SCHEDULE.signal[t], 1 - SCHEDULE.alpha_bar[t]
    expected = -0.5 * (xt - signal * x0) ** 2 / variance - 0.5 * math.log(2 * math.pi * variance)
    assert values["logMarginal"] == pytest.approx(expected, rel=1e-9)
    assert values["logArea"] == pytest.approx(expected, rel=1e-9)


@needs_node
def test_a_contradiction_leaves_the_variance_as_it_is():
    near, far = (computed("posterior-product", {"x0": -1.0, "xt": xt, "t": 12}) for xt in (-1.0, 3.0))
    assert near["quadrature"]["variance"] == pytest.approx(far["quadrature"]["variance"], rel=1e-9)
    assert near["logArea"] > far["logArea"] + 5
