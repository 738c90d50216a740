"""The Gaussian fitted by hand is compared with the library's estimate, and what it loses is N times PyTorch's KL."""

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from foldin.probability import fit_normal
from tests.book.figures.running import computed, needs_node


def normal(mu, sigma):
    return Normal(torch.tensor(mu, dtype=torch.float64), torch.tensor(sigma, dtype=torch.float64))


def log_likelihood(sample, mu, sigma):
    return float(normal(mu, sigma).log_prob(torch.tensor(sample, dtype=torch.float64)).sum())


@needs_node
@pytest.mark.parametrize(("mu", "sigma", "n"), [(0.0, 2.0, 12), (-1.5, 0.3, 48), (3.0, 2.7, 4), (0.7, 1.05, 12)])
def test_the_best_fit_is_the_librarys_and_the_loss_is_n_times_the_kl(mu, sigma, n):
    values = computed("gaussian-fit", {"mu": mu, "sigma": sigma, "n": n})
    assert len(values["sample"]) == n
    fit = fit_normal(np.array(values["sample"]))
    assert values["best"] == pytest.approx({"mu": float(fit.distribution.loc), "sigma": float(fit.distribution.scale)})
    errors = {name: float(fit.standard_errors[own]) for name, own in (("mu", "loc"), ("sigma", "scale"))}
    assert values["errors"] == pytest.approx(errors)
    assert values["most"] == pytest.approx(fit.log_likelihood)
    assert values["now"] == pytest.approx(log_likelihood(values["sample"], mu, sigma))
    kl = float(kl_divergence(fit.distribution, normal(mu, sigma)))
    assert values["kl"]["total"] == pytest.approx(kl, rel=1e-9, abs=1e-9)
    assert values["kl"]["mean"] + values["kl"]["width"] == pytest.approx(kl, rel=1e-9, abs=1e-9)
    assert values["fall"] == pytest.approx(n * kl, rel=1e-9, abs=1e-9)


@needs_node
def test_the_surface_is_the_log_likelihood_below_its_maximum():
    values = computed("gaussian-fit", {"n": 48})
    surface = np.array(values["surface"])
    rows, columns = np.linspace(0.3, 2.7, len(surface)), np.linspace(-1.5, 3.0, len(surface[0]))
    for row, column in [(0, 0), (0, -1), (-1, 0), (-1, -1), (15, 40), (30, 7)]:
        expected = log_likelihood(values["sample"], columns[column], rows[row]) - values["most"]
        assert surface[row, column] == pytest.approx(expected)
    row, column = np.unravel_index(surface.argmax(), surface.shape)
    assert rows[row] == pytest.approx(values["best"]["sigma"], abs=rows[1] - rows[0])
    assert columns[column] == pytest.approx(values["best"]["mu"], abs=columns[1] - columns[0])


@needs_node
@pytest.mark.parametrize("n", [4, 12, 48])
def test_one_standard_error_of_the_mean_costs_half_a_nat_for_every_n(n):
    there = computed("gaussian-fit", {"n": n})
    mu = there["best"]["mu"] + there["errors"]["mu"]
    moved = computed("gaussian-fit", {"mu": mu, "sigma": there["best"]["sigma"], "n": n})
    assert moved["fall"] == pytest.approx(0.5)
