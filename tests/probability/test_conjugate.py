"""Posteriors against Bayes' rule on a grid, predictions against integrals over the posterior."""

import mpmath as mp
import numpy as np
import pytest
import torch
from torch import distributions as td

from foldin import probability as pr
from foldin.errors import FitError
from tests.probability.test_fits import t

X = np.array([2.0, 0.0, 3.0, 1.0, 1.0])


def on_a_grid(log_prior, log_likelihood, grid: torch.Tensor) -> torch.Tensor:
    log_joint = log_prior(grid) + log_likelihood(grid)
    weights = (log_joint - log_joint.max()).exp()
    return weights / torch.trapezoid(weights, grid)


def test_gamma_poisson():
    prior = td.Gamma(t(2.0), t(1.0))
    posterior, following = pr.gamma_poisson(prior, t(X.sum()), t(5.0))
    grid = torch.linspace(0.01, 12, 4001).double()
    exact = on_a_grid(prior.log_prob, lambda r: sum(td.Poisson(r).log_prob(t(x)) for x in X), grid)
    assert torch.allclose(posterior.log_prob(grid).exp(), exact, atol=1e-4)
    for k in range(5):
        integral = torch.trapezoid(td.Poisson(grid).log_prob(t(float(k))).exp() * exact, grid)
        assert float(following.log_prob(t(float(k))).exp()) == pytest.approx(float(integral), abs=1e-4)


def test_beta_bernoulli_and_dirichlet_categorical():
    posterior, following = pr.beta_bernoulli(td.Beta(t(1.0), t(2.0)), t(7.0), t(3.0))
    assert float(posterior.concentration1) == 8.0
    assert float(posterior.concentration0) == 5.0
    assert float(following.probs) == pytest.approx(8 / 13)
    shares, following = pr.dirichlet_categorical(td.Dirichlet(t(1.0, 1.0, 2.0)), t(3.0, 0.0, 1.0))
    assert shares.concentration.tolist() == [4.0, 1.0, 3.0]
    assert following.probs.tolist() == pytest.approx([0.5, 0.125, 0.375])


def test_gamma_exponential_and_normal_normal():
    grid = torch.linspace(0.001, 10, 4001).double()
    prior, data = td.Gamma(t(2.0), t(1.0)), np.array([0.5, 1.5, 0.2])
    exact = on_a_grid(prior.log_prob, lambda r: sum(td.Exponential(r).log_prob(t(x)) for x in data), grid)
    found = pr.gamma_exponential(prior, t(data.sum()), t(3.0))
    assert torch.allclose(found.log_prob(grid).exp(), exact, atol=1e-3)
    grid = torch.linspace(-8, 8, 4001).double()
    normal = td.Normal(t(-1.0), t(2.0))
    exact = on_a_grid(normal.log_prob, lambda m: sum(td.Normal(m, 1.5).log_prob(t(x)) for x in X), grid)
    posterior, following = pr.normal_normal(normal, t(1.5), t(X.mean()), t(5.0))
    assert torch.allclose(posterior.log_prob(grid).exp(), exact, atol=1e-4)
    assert float(following.scale) == pytest.approx(float((posterior.scale**2 + 1.5**2).sqrt()))


def test_the_evidence_of_a_normal_is_the_product_of_its_predictions():
    prior = pr.NormalGamma(t(0.5), t(2.0), t(3.0), t(1.5))
    x, total, state = torch.from_numpy(X), 0.0, prior
    for n in range(len(x)):
        total += float(state.predictive().log_prob(x[n]))
        state = state.posterior(x[n : n + 1])
    assert float(prior.log_evidence(x)) == pytest.approx(total)
    whole = prior.posterior(x)
    for field in ("m", "beta", "a", "b"):
        assert float(getattr(whole, field)) == pytest.approx(float(getattr(state, field)))


def student_evidence(x: np.ndarray) -> float:
    """log p(x) of a NormalGamma(0.5, 2, 3, 1.5), by mpmath, as one Student t of all values."""
    with mp.workdps(50):
        n, mean = len(x), mp.fsum(map(mp.mpf, x.tolist())) / len(x)
        spread = mp.fsum((mp.mpf(v) - mean) ** 2 for v in x.tolist())
        b = mp.mpf(1.5) + spread / 2 + n * (mean - mp.mpf(0.5)) ** 2 / (2 + n)
        own = mp.loggamma(3 + mp.mpf(n) / 2) - mp.loggamma(3) + 3 * mp.log(1.5) - (3 + mp.mpf(n) / 2) * mp.log(b)
        return float(own + mp.log(mp.mpf(2) / (2 + n)) / 2 - mp.mpf(n) / 2 * mp.log(2 * mp.pi))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.int64], ids=str)
def test_the_evidence_has_the_digits_of_a_float64_whatever_the_data_s_type(dtype):
    x = torch.arange(20_000).remainder(7).to(dtype)
    parameters = (0.5, 2.0, 3.0, 1.5)
    kind = torch.float32 if dtype == torch.float32 else torch.float64
    prior = pr.NormalGamma(*(torch.tensor(v, dtype=kind) for v in parameters))
    found = prior.log_evidence(x)
    assert found.dtype == torch.float64
    assert float(found) == pytest.approx(student_evidence(x.double().numpy()), abs=1e-8)


def test_no_data_leave_the_prior_and_data_that_are_none_are_refused():
    prior = pr.NormalGamma(t(0.5), t(2.0), t(3.0), t(1.5))
    assert float(prior.log_evidence(torch.zeros(0).double())) == 0.0
    assert float(prior.posterior(torch.zeros(0).double()).b) == 1.5
    with pytest.raises(FitError, match="data must be finite"):
        prior.posterior(t(0.0, float("nan")))
    with pytest.raises(FitError, match="beta, a and b positive"):
        pr.NormalGamma(t(0.5), t(0.0), t(3.0), t(1.5)).predictive()
    with pytest.raises(FitError, match="successes must be finite and not negative"):
        pr.beta_bernoulli(td.Beta(t(1.0), t(1.0)), t(-1.0), t(0.0))
    with pytest.raises(FitError, match="total must be"):
        pr.gamma_poisson(td.Gamma(t(1.0), t(1.0)), t(float("nan")), t(1.0))
    with pytest.raises(FitError, match="sd must be positive"):
        pr.normal_normal(td.Normal(t(0.0), t(1.0)), t(0.0), t(1.0), t(3.0))


def test_a_normal_mean_of_any_scale():
    one, _ = pr.normal_normal(td.Normal(t(1.0), t(2.0)), t(3.0), t(5.0), t(4.0))
    for c in (1e-200, 1e200):
        other, _ = pr.normal_normal(td.Normal(t(1.0) * c, t(2.0) * c), t(3.0) * c, t(5.0) * c, t(4.0))
        assert float(other.loc / c) == pytest.approx(float(one.loc), rel=1e-12)
        assert float(other.scale / c) == pytest.approx(float(one.scale), rel=1e-12)
