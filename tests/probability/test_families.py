"""Exponential families: densities, means, both maps and divergences against `torch.distributions`, draws and fits."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import distributions as td

from foldin import probability as pr
from foldin.errors import ConfigError, FitError
from tests.probability.test_fits import t

SPREAD = torch.tensor([[2.0, 0.6], [0.6, 0.5]], dtype=torch.float64)
ONES = [
    td.Bernoulli(t(0.3)),
    td.OneHotCategorical(t(0.2, 0.5, 0.3)),
    td.Poisson(t(2.5)),
    td.Geometric(t(0.35)),
    td.Exponential(t(1.7)),
    td.Normal(t(-1.0), t(0.6)),
    td.LogNormal(t(0.2), t(0.4)),
    td.MultivariateNormal(t(1.0, -2.0), SPREAD),
    td.Gamma(t(2.3), t(1.4)),
    td.InverseGamma(t(3.1), t(0.8)),
    td.Beta(t(0.7), t(2.2)),
    td.Dirichlet(t(0.6, 2.0, 1.1)),
    td.VonMises(t(0.8), t(2.5)),
    td.Wishart(t(5.0), covariance_matrix=SPREAD),
]
NAMES = [type(q).__name__ for q in ONES]


def draws(q: td.Distribution, n: int) -> torch.Tensor:
    if isinstance(q, td.OneHotCategorical):
        own = pr.sample(td.Categorical(q.probs), n, np.random.default_rng(0))
        return torch.nn.functional.one_hot(own.long(), len(q.probs)).double()
    return pr.sample(q, n, np.random.default_rng(0))


def test_every_family_is_tried():
    assert {type(q) for q in ONES} == set(pr.FAMILIES)


@pytest.mark.parametrize("q", ONES, ids=NAMES)
def test_the_density_is_the_family_s(q):
    family, x = pr.family_of(q), draws(q, 50)
    # PyTorch's own Bessel function is a polynomial of limited precision.
    near = 1e-6 if isinstance(q, td.VonMises) else 1e-9
    assert torch.allclose(family.log_prob(family.natural(q), x), q.log_prob(x), rtol=near, atol=near)


@pytest.mark.parametrize("q", ONES, ids=NAMES)
def test_the_maps_are_inverses(q):
    family = pr.family_of(q)
    eta = family.natural(q)
    again = family.from_natural(eta)
    x = draws(q, 20)
    assert torch.allclose(again.log_prob(x), q.log_prob(x), rtol=1e-8, atol=1e-8)
    found = family.from_natural(family.from_mean(family.mean(eta)))
    assert torch.allclose(found.log_prob(x), q.log_prob(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("q", ONES, ids=NAMES)
def test_mean_and_information_are_those_of_the_statistics(q):
    family = pr.family_of(q)
    eta, statistics = family.natural(q), family.statistics(draws(q, 40_000))
    error = statistics.std(dim=0) / 200.0
    assert ((statistics.mean(dim=0) - family.mean(eta)).abs() < 5.0 * error + 1e-12).all()
    covariance = torch.atleast_2d(torch.cov(statistics.T))
    information = family.information(eta)
    scale = covariance.diagonal().clamp(min=1e-12).sqrt()
    assert ((information - covariance) / (scale[:, None] * scale)).abs().max() < 0.15


@pytest.mark.parametrize("q", ONES, ids=NAMES)
def test_kl_is_a_bregman_divergence(q):
    family = pr.family_of(q)
    eta = family.natural(q)
    other = 0.7 * eta + 0.3 * family.start(len(eta)).double()  # the parameters form a convex set
    p = family.from_natural(other)
    found = float(family.kl(eta, other))
    assert found >= 0.0
    exact = pr.kl(q, p, np.random.default_rng(1), draws=40_000) if not isinstance(q, td.OneHotCategorical) else None
    if exact is None:
        assert found == pytest.approx(float((q.probs * (q.logits - p.logits)).sum()), rel=1e-9)
    else:
        assert found == pytest.approx(float(exact.value.detach()), abs=5.0 * float(exact.standard_error) + 1e-8)
    assert float(family.kl(eta, eta)) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("q", "fit"),
    [
        (ONES[4], pr.fit_exponential),
        (ONES[5], pr.fit_normal),
        (ONES[7], pr.fit_multivariate_normal),
        (ONES[8], pr.fit_gamma),
        (ONES[10], pr.fit_beta),
        (ONES[11], pr.fit_dirichlet),
        (ONES[12], pr.fit_von_mises),
        (ONES[13], pr.fit_wishart),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, td.Distribution) else "",
)
def test_the_mean_map_is_maximum_likelihood(q, fit):
    family, x = pr.family_of(q), draws(q, 300)
    eta = family.from_mean(family.statistics(x).mean(dim=0))
    assert float(family.log_prob(eta, x).sum()) == pytest.approx(fit(x.numpy()).log_likelihood, rel=1e-7)


@settings(max_examples=40)
@given(st.floats(0.05, 50.0), st.floats(0.01, 100.0))
def test_the_mean_map_finds_any_gamma(shape, rate):
    family = pr.FAMILIES[td.Gamma]
    eta = t(shape - 1.0, -rate)
    found = family.from_natural(family.from_mean(family.mean(eta)))
    assert float(found.concentration) == pytest.approx(shape, rel=1e-4)
    assert float(found.rate) == pytest.approx(rate, rel=1e-4)


def test_natural_parameters_come_in_batches():
    q = td.Gamma(t(1.0, 2.0, 3.0), t(2.0, 2.0, 0.5))
    family = pr.family_of(q)
    eta = family.natural(q)
    assert eta.shape == (3, 2)
    expected = torch.stack((torch.digamma(q.concentration) - q.rate.log(), q.mean), dim=-1)
    assert torch.allclose(family.mean(eta), expected)
    assert torch.allclose(
        family.kl(eta, eta.flip(0)), td.kl_divergence(q, td.Gamma(t(3.0, 2.0, 1.0), t(0.5, 2.0, 2.0)))
    )


def test_a_mean_that_no_parameters_have_is_an_error():
    with pytest.raises(FitError, match="Gamma: no parameters"):
        pr.FAMILIES[td.Gamma].from_mean(t(1.0, 1.0))  # mean log above the log of the mean
    with pytest.raises(ConfigError, match="Laplace is not an exponential family"):
        pr.family_of(td.Laplace(t(0.0), t(1.0)))


def test_far_from_the_middle():
    bernoulli, von_mises = pr.FAMILIES[td.Bernoulli], pr.FAMILIES[td.VonMises]
    assert float(bernoulli.information(t([20.5]))) == pytest.approx(1.25e-9, rel=0.01)
    assert float(bernoulli.kl(t([25.0]), t([22.0]))) == pytest.approx(
        float(bernoulli.kl(t([-25.0]), t([-22.0]))), rel=1e-3
    )
    assert float(bernoulli.from_mean(t([1.0 - 1e-9]))) == pytest.approx(
        -float(bernoulli.from_mean(t([1e-9]))), rel=1e-6
    )
    assert torch.allclose(von_mises.information(t(0.0, 0.0)), 0.5 * torch.eye(2).double(), atol=1e-6)
    assert float(von_mises.from_natural(t(0.0, 0.0)).log_prob(t(1.0))) == pytest.approx(-np.log(2 * np.pi))
    far = torch.from_numpy(1e5 + np.random.default_rng(0).normal(size=500))
    normal = pr.FAMILIES[td.Normal]
    found = normal.from_natural(normal.from_mean(normal.statistics(far).mean(dim=0)))
    assert float(found.scale) == pytest.approx(float(far.std(unbiased=False)), rel=1e-4)


def test_the_matrix_of_a_wishart_counts_as_its_symmetric_part():
    family = pr.FAMILIES[td.Wishart]
    eta = family.natural(ONES[-1])
    other = eta + t(0.0, 0.0, 0.3, -0.3, 0.0)
    x = draws(ONES[-1], 5)
    assert torch.allclose(family.from_natural(other).log_prob(x), family.from_natural(eta).log_prob(x))


@pytest.mark.parametrize("kind", [td.Gamma, td.InverseGamma])
@pytest.mark.parametrize(("shape", "rate"), [(2.0, 1e-200), (2.0, 1e200), (1e6, 1.0), (1e-2, 1e50)])
def test_the_mean_map_finds_gammas_of_any_scale(kind, shape, rate):
    family = pr.FAMILIES[kind]
    eta = t(shape - 1.0, -rate)
    assert torch.allclose(family.from_mean(family.mean(eta)), eta, rtol=1e-8, atol=0)
