"""The figure of the decomposed KL adds up, and its terms are those of another quadrature and of foldin."""

import math

import numpy as np
import pytest
import torch

from foldin.inference import decompose_kl, gaussian_kl
from tests.book.figures.running import computed, needs_node

SETTINGS = [
    {"spread": 1.0, "rho": 0.5, "sigma": 0.5, "shift": 0.0},
    {"spread": 1.2, "rho": 0.9, "sigma": 0.3, "shift": 0.5},
    {"spread": 0.6, "rho": 0.0, "sigma": 1.0, "shift": 1.0},
    {"spread": 0.0, "rho": 0.3, "sigma": 0.4, "shift": 0.0},
]


def terms_on_one_grid(mu, sigma):
    """(information, total correlation, dimension-wise KL) by sums over one fixed grid in z, from entropies."""
    axis = np.linspace(-8.0, 8.0, 321)
    step = axis[1] - axis[0]
    parts = np.exp(-0.5 * ((axis - mu[:, :, None]) / sigma) ** 2) / (sigma * math.sqrt(2.0 * math.pi))  # user, j, place
    joint = np.einsum("na,nb->ab", parts[:, 0], parts[:, 1]) / len(mu)
    marginals = parts.mean(axis=0)

    def entropy(density, cell):
        kept = density[density > 1e-300]
        return -float((kept * np.log(kept)).sum()) * cell

    given = 2.0 * (0.5 * math.log(2.0 * math.pi * math.e) + math.log(sigma))
    whole, alone = entropy(joint, step**2), [entropy(one, step) for one in marginals]
    log_prior = -0.5 * axis**2 - 0.5 * math.log(2.0 * math.pi)
    dimension = sum(
        -one - float((density * log_prior).sum()) * step for one, density in zip(alone, marginals, strict=True)
    )
    return whole - given, sum(alone) - whole, dimension


@needs_node
@pytest.mark.parametrize("setting", SETTINGS)
def test_the_three_terms_add_up_to_the_mean_kl_and_are_those_of_another_quadrature(setting):
    values = computed("kl-bars", setting)
    mu, sigma = np.array(values["mu"]), setting["sigma"]
    one_by_one = gaussian_kl(torch.from_numpy(mu), torch.full(mu.shape, 2.0 * math.log(sigma), dtype=torch.float64))
    assert values["kl"] == pytest.approx(float(one_by_one.mean()), abs=1e-9)
    assert values["total"] == pytest.approx(values["kl"], abs=1e-5)
    information, correlation, dimension = terms_on_one_grid(mu, sigma)
    assert values["information"] == pytest.approx(information, abs=1e-4)
    assert values["correlation"] == pytest.approx(correlation, abs=1e-4)
    assert values["dimension"] == pytest.approx(dimension, abs=1e-4)
    middle, spread, rho = mu.mean(axis=0), setting["spread"], setting["rho"]
    assert middle == pytest.approx([setting["shift"], 0.0], abs=1e-9)
    assert np.cov(mu.T, bias=True) == pytest.approx(spread**2 * np.array([[1.0, rho], [rho, 1.0]]), abs=1e-9)


@needs_node
def test_the_terms_are_those_that_foldin_estimates():
    setting = SETTINGS[1]
    values = computed("kl-bars", setting)
    mu = torch.tensor(values["mu"], dtype=torch.float64).repeat(100, 1)  # 100 users alike leave every term as it is
    logvar = torch.full_like(mu, 2.0 * math.log(setting["sigma"]))
    found = decompose_kl(mu, logvar, torch.Generator().manual_seed(0), draws=10)
    assert values["information"] == pytest.approx(found.mutual_information, abs=0.06)
    assert values["correlation"] == pytest.approx(found.total_correlation, abs=0.06)
    assert values["dimensions"] == pytest.approx(found.dimension_wise.tolist(), abs=0.06)


@needs_node
def test_narrow_encoders_end_at_log_n_and_only_the_dimension_wise_kl_goes_on():
    wide, narrow = (computed("kl-bars", {"rho": 0.5, "sigma": sigma}) for sigma in (0.1, 0.05))
    assert narrow["limit"] == pytest.approx(math.log(8))
    assert narrow["information"] == pytest.approx(math.log(8), abs=1e-3)
    assert narrow["correlation"] < narrow["information"] + 1e-9
    assert narrow["kl"] - wide["kl"] == pytest.approx(2.0 * math.log(2.0), abs=0.01)
    assert narrow["dimension"] > wide["dimension"] + 0.8


@needs_node
def test_the_correlation_of_the_means_leaves_the_mean_kl_and_their_shift_the_information():
    settings = ({"rho": 0.0}, {"rho": 1.0}, {"rho": 0.0, "shift": 1.5})
    start, correlated, shifted = (computed("kl-bars", one) for one in settings)
    assert correlated["kl"] == pytest.approx(start["kl"], abs=1e-9)
    assert start["correlation"] == pytest.approx(0.0, abs=1e-9)
    assert correlated["correlation"] > 0.3
    assert shifted["information"] == pytest.approx(start["information"], abs=1e-9)
    assert shifted["correlation"] == pytest.approx(start["correlation"], abs=1e-9)
    assert shifted["dimension"] == pytest.approx(start["dimension"] + 1.5**2 / 2, abs=1e-4)
