"""Extreme but legal data of every family: the estimate is at the maximum, by derivatives in many digits; edges are named."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from foldin import probability as pr
from foldin.errors import FitError
from tests.probability.reference import distance


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def shares(a: list[float], n: int) -> np.ndarray:
    """Rows that sum to 1 as exactly as floats can."""
    x = np.maximum(rng().dirichlet(a, n), 1e-200)
    return x / x.sum(axis=1, keepdims=True)


GRID: dict[str, tuple[str, np.ndarray]] = {
    "bernoulli, one in a thousand": ("bernoulli", (np.arange(1000) == 7).astype(float)),
    "binomial, nearly all": ("binomial", np.r_[np.full(40, 9.0), 8.0]),
    "poisson, large": ("poisson", 1e12 + np.arange(5.0) * 1e5),
    "poisson, small": ("poisson", (np.arange(500) == 3).astype(float)),
    "geometric, large": ("geometric", np.array([1e14, 3e14, 5.0])),
    "geometric, small": ("geometric", (np.arange(500) == 3).astype(float)),
    "negative binomial, r = 50": ("negative binomial", rng().negative_binomial(50, 0.5, 80).astype(float)),
    "negative binomial, r = 1000": ("negative binomial", rng().negative_binomial(1000, 0.5, 80).astype(float)),
    "negative binomial, r = 0.01": ("negative binomial", rng().negative_binomial(0.01, 0.1, 200).astype(float)),
    "negative binomial, large counts": ("negative binomial", rng().negative_binomial(500, 0.001, 40).astype(float)),
    "negative binomial, near a Poisson": (
        "negative binomial",
        np.repeat([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [37, 37, 18, 6, 1, 1]),
    ),
    "normal, 1e300": ("normal", np.array([1.0, 2.0, 3.5]) * 1e300),
    "normal, 1e-300": ("normal", np.array([1.0, 2.0, 3.5]) * 1e-300),
    "normal, far": ("normal", 2.0**40 + np.arange(-3.0, 4.0) * 1e5),
    "log-normal, wide": ("log-normal", np.array([1e-300, 1e300, 1.0])),
    "log-normal, narrow": ("log-normal", 1.0 + np.array([0.0, 2.0, 5.0]) * 2.0**-45),
    "exponential, 1e300": ("exponential", np.array([1.0, 2.0, 0.0]) * 1e300),
    "exponential, 1e-300": ("exponential", np.array([1.0, 2.0, 0.0]) * 1e-300),
    "gamma, variation of 1 %": ("gamma", rng().gamma(1e4, 0.01, 60)),
    "gamma, variation of 10 %": ("gamma", rng().gamma(100.0, 1.0, 60)),
    "gamma, shape 1e12": ("gamma", rng().gamma(1e12, 1.0, 30)),
    "gamma, shape 1e-3": ("gamma", np.maximum(rng().gamma(1e-3, 1.0, 30), 1e-300)),
    "gamma, wide": ("gamma", np.array([1e-300, 1e300, 1.0])),
    "gamma, 1e-305": ("gamma", np.array([1.0, 2.0, 3.0]) * 1e-305),
    "inverse gamma, shape 1e8": ("inverse gamma", 1.0 / rng().gamma(1e8, 1.0, 30)),
    "inverse gamma, wide": ("inverse gamma", np.array([1e-300, 1e300, 1.0])),
    "beta, 1e4": ("beta", rng().beta(3e3, 7e3, 60)),
    "beta, 1e12": ("beta", rng().beta(3e12, 1e12, 30)),
    "beta, 0.01": ("beta", np.clip(rng().beta(0.01, 0.01, 30), 1e-300, 1 - 1e-16)),
    "beta, next to 1": ("beta", 1.0 - rng().beta(1.0, 1e6, 30)),
    "beta, next to 0": ("beta", np.array([1.0, 2.0, 3.0]) * 1e-20),
    "dirichlet, 6e4": ("dirichlet", shares([1e4, 2e4, 3e4], 30)),
    "dirichlet, 0.02": ("dirichlet", shares([0.02] * 3, 30)),
    "dirichlet, uneven": ("dirichlet", shares([0.1, 0.2, 1e3], 30)),
    "dirichlet, one column constant": (
        "dirichlet",
        np.array([[0.5, 0.25, 0.25], [0.5, 0.125, 0.375], [0.5, 0.4, 0.1]]),
    ),
    "student t, 30": ("student t", rng(4).standard_t(30, 300)),
    "student t, 100": ("student t", rng().standard_t(100, 80)),
    "student t, 1": ("student t", rng().standard_t(1, 60)),
    "student t, 0.5": ("student t", rng().standard_t(0.5, 60)),
    "student t, one outlier": ("student t", np.r_[rng().normal(size=50), 1e12]),
    "student t, whole numbers": ("student t", np.round(rng(3).standard_t(3, 120))),
    "student t, a tenth on one value": ("student t", np.r_[np.zeros(10), rng().standard_t(2, 90)]),
    "student t, 1e-200": ("student t", rng().standard_t(3, 50) * 1e-200),
    "von mises, 0.01": ("von mises", rng().vonmises(1.0, 0.01, 400)),
    "von mises, 1000": ("von mises", rng().vonmises(3.1, 1e3, 40)),
    "von mises, 1e20": ("von mises", rng().normal(size=40) * 1e-10),
    "wishart, 1e10": ("wishart", rng().chisquare(1e10, 30)),
    "wishart, 0.1": ("wishart", rng().chisquare(0.1, 30)),
}


WEIGHTED = [
    name for name in GRID if name.split(", ")[-1] in ("r = 50", "1e4", "6e4", "1000", "1e10", "variation of 1 %")
]
WEIGHTED += ["student t, one outlier", "normal, far", "inverse gamma, wide", "poisson, large", "geometric, large"]


def at_the_maximum(name: str, weights: np.ndarray | None) -> None:
    family, x = GRID[name]
    found = distance(family, x, weights, digits=120 if "0" in name else 60)
    assert found.step < 1e-6
    assert found.found.log_likelihood == pytest.approx(found.log_likelihood, rel=1e-9, abs=1e-8)
    assert found.said == pytest.approx(found.errors[: len(found.said)], rel=1e-5)


@pytest.mark.parametrize("name", GRID)
def test_the_estimate_is_at_the_maximum(name):
    at_the_maximum(name, None)


@pytest.mark.parametrize("name", WEIGHTED)
def test_the_estimate_from_weighted_values_is_at_the_maximum(name):
    at_the_maximum(name, rng(5).integers(1, 4, len(GRID[name][1])) * 0.3)


# Solutions of the likelihood equations, found in fifty digits by mpmath's `findroot`.
KNOWN: dict[str, tuple[Callable[[], pr.Fitted], dict[str, float | list[float]]]] = {
    "gamma, variation of 1 %": (
        lambda: pr.fit_gamma(rng().gamma(1e4, 0.01, 200)),
        {"concentration": 9920.21426363, "rate": 99.2762896091},
    ),
    "gamma, variation of 10 %": (
        lambda: pr.fit_gamma(rng().gamma(100.0, 1.0, 200)),
        {"concentration": 98.6453302549, "rate": 0.993833054409},
    ),
    "beta": (
        lambda: pr.fit_beta(rng().beta(3e3, 7e3, 200)),
        {"concentration1": 3105.30941843, "concentration0": 7257.61824974},
    ),
    "dirichlet": (
        lambda: pr.fit_dirichlet(rng().dirichlet([2e3, 3e3, 5e3], 200)),
        {"concentration": [2204.06763698, 3307.21953671, 5503.09223906]},
    ),
    "negative binomial": (
        lambda: pr.fit_negative_binomial(rng().negative_binomial(50, 0.5, 200)),
        {"total_count": 47.6671150941},
    ),
    "student t": (
        lambda: pr.fit_student_t(rng(4).standard_t(30, 300)),
        {"df": 25.5251900399, "loc": 0.0150563699639, "scale": 0.953561692603},
    ),
    "von mises": (
        lambda: pr.fit_von_mises(rng().vonmises(1, 0.01, 400)),
        {"loc": -2.68343086281, "concentration": 0.0947353048454},
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_maxima_that_are_known(name):
    fit, values = KNOWN[name]
    found = fit().distribution
    for parameter, value in values.items():
        assert getattr(found, parameter).numpy() == pytest.approx(value, rel=1e-9)


EDGES: dict[str, tuple[Callable[[], object], str]] = {
    "normal": (lambda: pr.fit_normal(np.full(4, 2.0)), "all values are equal.*variance goes to 0"),
    "log-normal": (lambda: pr.fit_log_normal(np.full(4, 2.0)), "all values are equal.*scale goes to 0"),
    "laplace": (lambda: pr.fit_laplace(np.full(4, 2.0)), "all values are equal.*scale goes to 0"),
    "gamma": (lambda: pr.fit_gamma(np.full(4, 2.0)), "all values are equal.*concentration goes to ∞"),
    "inverse gamma": (lambda: pr.fit_inverse_gamma(np.full(4, 2.0)), "all values are equal.*concentration goes to ∞"),
    "beta": (lambda: pr.fit_beta(np.full(4, 0.2)), "all values are equal.*concentrations go to ∞"),
    "dirichlet": (lambda: pr.fit_dirichlet(np.full((4, 2), 0.5)), "all values are equal.*concentrations go to ∞"),
    "dirichlet, a share of 0": (lambda: pr.fit_dirichlet(np.eye(2)), "row 0, column 1 is 0"),
    "exponential": (lambda: pr.fit_exponential(np.zeros(4)), "all values are zero.*rate goes to ∞"),
    "student t, equal": (lambda: pr.fit_student_t(np.full(4, 2.0)), "all values are equal.*scale goes to 0"),
    "student t, light tails": (lambda: pr.fit_student_t(np.linspace(-1, 1, 50)), "df goes to ∞.*kurtosis 1.8"),
    "student t, ties": (
        lambda: pr.fit_student_t(np.r_[np.zeros(90), rng().normal(size=10)]),
        "0.9 of the weight is on the value 0.*scale goes to 0",
    ),
    "von mises, equal": (lambda: pr.fit_von_mises(np.full(4, 2.0)), "all values are equal.*concentration goes to ∞"),
    "von mises, equal but for a turn": (
        lambda: pr.fit_von_mises(np.array([0.4, 0.4 + 2 * np.pi, 0.4 - 20 * np.pi])),
        "all values are equal on the circle",
    ),
    "von mises, opposite": (lambda: pr.fit_von_mises(np.array([0.0, np.pi])), "concentration at the maximum is 0"),
    "negative binomial": (
        lambda: pr.fit_negative_binomial(np.array([2.0, 3.0, 2.0])),
        r"total_count goes to ∞.*Poisson\(2.33",
    ),
    "negative binomial, zeros": (lambda: pr.fit_negative_binomial(np.zeros(3)), r"Poisson\(0\)"),
    "multivariate normal": (
        lambda: pr.fit_multivariate_normal(np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]])),
        "column 1 are equal.*variance of that column goes to 0",
    ),
    "multivariate normal, a line": (
        lambda: pr.fit_multivariate_normal(np.outer(np.arange(5.0), [1.0, 3.0])),
        "fewer than 2 dimensions.*determinant of the covariance goes to 0",
    ),
    "multivariate normal, few points": (lambda: pr.fit_multivariate_normal(rng().normal(size=(3, 3))), "fewer than 3"),
    "wishart": (lambda: pr.fit_wishart(np.stack([np.eye(2)] * 3)), "all matrices are equal.*df goes to ∞"),
    "multinomial": (lambda: pr.fit_multinomial(np.zeros((2, 3))), "all counts are zero"),
}


@pytest.mark.parametrize("name", EDGES)
def test_an_edge_is_named(name):
    fit, message = EDGES[name]
    with pytest.raises(FitError, match=message):
        fit()


def test_shares_and_rates_at_their_limits_are_estimates():
    for found, name, value in (
        (pr.fit_bernoulli(np.zeros(3)), "probs", 0.0),
        (pr.fit_binomial(np.full(3, 4.0), 4), "probs", 1.0),
        (pr.fit_geometric(np.zeros(3)), "probs", 1.0),
        (pr.fit_poisson(np.zeros(3)), "rate", 0.0),
    ):
        assert float(getattr(found.distribution, name)) == value
        assert float(found.standard_errors[name]) == 0.0
        assert found.log_likelihood == 0.0
    rare = pr.fit_categorical(np.array([0.0, 2.0]), 4, np.array([1.0, 1e-20]))
    assert rare.distribution.probs.tolist() == [1.0, 0.0, 1e-20, 0.0]
    assert rare.log_likelihood == pytest.approx(1e-20 * math.log(1e-20) - 1e-20, rel=1e-9)
    assert rare.standard_errors["probs"][1] == 0.0


def test_columns_of_very_different_scales_are_points_of_full_rank():
    x = rng().normal(size=(50, 2)) * np.array([1.0, 1e-9])
    found = pr.fit_multivariate_normal(x)
    units = pr.fit_multivariate_normal(x * np.array([1.0, 1e9]))
    assert torch.allclose(
        found.distribution.covariance_matrix, torch.from_numpy(np.cov(x.T, bias=True)), rtol=1e-10, atol=0
    )
    assert found.log_likelihood == pytest.approx(units.log_likelihood + 50 * math.log(1e9), rel=1e-12)
    near = rng().normal(size=(50, 1)) + np.array([0.0, 1e-7]) * rng(1).normal(size=(50, 2))  # nearly on a line
    log_det = 2 * float(pr.fit_multivariate_normal(near).distribution.scale_tril.diagonal().log().sum())
    turned = near @ np.array([[1.0, -1.0], [0.0, 1.0]])
    assert log_det == pytest.approx(float(np.linalg.slogdet(np.cov(turned.T, bias=True))[1]), rel=1e-7)


def test_matrices_whose_coordinates_have_very_different_scales():
    x = pr.sample(torch.distributions.Wishart(torch.tensor(7.0).double(), torch.eye(2).double()), 40, rng()).numpy()
    units = np.array([1e90, 1e-60])
    own, other = pr.fit_wishart(x), pr.fit_wishart(x * np.outer(units, units))
    assert float(other.distribution.df) == pytest.approx(float(own.distribution.df), rel=1e-12)
    assert other.log_likelihood == pytest.approx(own.log_likelihood - 40 * 3 * math.log(1e30), rel=1e-12)
    slope = lambda nu: float(
        torch.distributions.Wishart(
            torch.tensor(nu).double(), covariance_matrix=torch.from_numpy(x.mean(0)) / nu
        ).log_prob(torch.from_numpy(x)).sum()
    )  # fmt: skip
    nu, h = float(own.distribution.df), 1e-2
    assert own.log_likelihood == pytest.approx(slope(nu), rel=1e-12)
    bend = (slope(nu + h) - 2 * slope(nu) + slope(nu - h)) / h**2
    assert float(own.standard_errors["df"]) == pytest.approx((-bend) ** -0.5, rel=1e-4)
    assert abs(slope(nu + h) - slope(nu - h)) / (2 * h) < 1e-3 * -bend
