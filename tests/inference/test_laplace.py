"""The most probable parameters and Laplace's approximation, against closed forms."""

import math

import numpy as np
import pytest
import torch
from torch import distributions as td
from torch.distributions import constraints

from foldin import probability as pr
from foldin.errors import FitError
from foldin.inference import Parameter, laplace, maximum_a_posteriori

POSITIVE = {"rate": Parameter((), constraints.positive)}


def test_the_mode_of_a_conjugate_posterior():
    x = torch.tensor([2.0, 0.0, 3.0, 1.0, 1.0], dtype=torch.float64)
    prior = td.Gamma(torch.tensor(2.0, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64))

    def log_joint(values):
        rate = values["rate"]
        return prior.log_prob(rate) + td.Poisson(rate.unsqueeze(-1)).log_prob(x).sum(-1)

    posterior, _ = pr.gamma_poisson(prior, x.sum(), torch.tensor(5.0, dtype=torch.float64))
    assert float(maximum_a_posteriori(log_joint, POSITIVE)["rate"]) == pytest.approx(float(posterior.mode), rel=1e-9)


def test_under_a_flat_prior_it_is_maximum_likelihood():
    x = np.random.default_rng(0).gamma(3.0, 0.5, 200)
    data = torch.from_numpy(x)
    parameters = {"a": Parameter((), constraints.positive), "b": Parameter((), constraints.positive)}

    def log_joint(values):
        return td.Gamma(values["a"].unsqueeze(-1), values["b"].unsqueeze(-1)).log_prob(data).sum(-1)

    found, fit = maximum_a_posteriori(log_joint, parameters), pr.fit_gamma(x).distribution
    assert float(found["a"]) == pytest.approx(float(fit.concentration), rel=1e-7)
    assert float(found["b"]) == pytest.approx(float(fit.rate), rel=1e-7)


def test_it_is_exact_where_the_posterior_is_gaussian():
    rng = np.random.default_rng(1)
    features, y = torch.from_numpy(rng.normal(size=(20, 3))), torch.from_numpy(rng.normal(size=20))

    def log_joint(values):
        w = values["w"]
        prior = td.Normal(0.0, 2.0).log_prob(w).sum(-1)
        return prior + td.Normal(w @ features.T, 0.7).log_prob(y).sum(-1)

    found = laplace(log_joint, {"w": Parameter((3,))})
    precision = torch.eye(3).double() / 4.0 + features.T @ features / 0.49
    mean = torch.linalg.solve(precision, features.T @ y / 0.49)
    assert torch.allclose(found.approximation.mean, mean, atol=1e-8)
    assert torch.allclose(
        found.approximation.factor @ found.approximation.factor.T, torch.linalg.inv(precision), atol=1e-8
    )
    covariance = 0.49 * torch.eye(20).double() + 4.0 * features @ features.T
    evidence = td.MultivariateNormal(torch.zeros(20).double(), covariance).log_prob(y)
    assert found.log_evidence == pytest.approx(float(evidence), abs=1e-7)


def test_the_evidence_nears_the_truth_with_more_data():
    gaps = []
    for n in (10, 1000):
        heads = 0.3 * n

        def log_joint(values, heads=heads, n=n):
            p = values["p"]
            return heads * p.log() + (n - heads) * torch.log1p(-p)

        found = laplace(log_joint, {"p": Parameter((), constraints.unit_interval)})
        exact = math.lgamma(heads + 1) + math.lgamma(n - heads + 1) - math.lgamma(n + 2)
        gaps.append(abs(found.log_evidence - exact))
    assert gaps[1] < 0.02 * gaps[0] + 1e-6
    draws = found.approximation.sample(2000, torch.Generator().manual_seed(0))["p"]
    assert float(draws.mean()) == pytest.approx(0.3, abs=0.005)


@pytest.mark.parametrize("constant", [0.0, -1e9])
def test_curvatures_of_very_different_size(constant):
    weights = torch.tensor([1e6, 1e-6], dtype=torch.float64)
    found = maximum_a_posteriori(
        lambda values: constant - 0.5 * (weights * (values["x"] - 1.0) ** 2).sum(-1), {"x": Parameter((2,))}
    )
    assert found["x"].tolist() == pytest.approx([1.0, 1.0], rel=1e-5)


def test_regression_on_a_year():
    rng = np.random.default_rng(0)
    year = torch.from_numpy(rng.integers(1980, 2003, 40).astype(float))
    y = 3.0 + 0.5 * (year - 1990.0) + torch.from_numpy(rng.normal(size=40))

    def log_joint(values):
        w = values["w"]
        return td.Normal(0.0, 1000.0).log_prob(w).sum(-1) + td.Normal(w[:, :1] + w[:, 1:] * year, 1.0).log_prob(y).sum(
            -1
        )

    found = laplace(log_joint, {"w": Parameter((2,))})
    features = torch.stack((torch.ones(40).double(), year), dim=1)
    mean = torch.linalg.solve(torch.eye(2).double() / 1e6 + features.T @ features, features.T @ y)
    assert found.approximation.mean.tolist() == pytest.approx(mean.tolist(), rel=1e-6)


def test_the_evidence_of_a_stretched_gaussian():
    rng = np.random.default_rng(0)
    turn = torch.from_numpy(np.linalg.qr(rng.normal(size=(4, 4)))[0])
    precision = turn @ torch.diag(torch.tensor([1e6, 1.0, 1.0, 1e-6]).double()) @ turn.T
    found = laplace(lambda v: -0.5 * torch.einsum("ni,ij,nj->n", v["x"], precision, v["x"]), {"x": Parameter((4,))})
    assert found.log_evidence == pytest.approx(2.0 * math.log(2.0 * math.pi), abs=1e-4)
    draws = found.approximation.factor
    assert torch.equal(draws, draws.tril())


def test_a_saddle_is_left():
    found = maximum_a_posteriori(lambda v: -((v["x"] ** 2 - 1.0) ** 2), {"x": Parameter()})
    assert abs(float(found["x"])) == pytest.approx(1.0, abs=1e-6)


def test_a_posterior_without_a_highest_point_is_an_error():
    with pytest.raises(FitError, match="no maximum was found"):
        maximum_a_posteriori(lambda values: -values["rate"] - 1e5, POSITIVE)
    with pytest.raises(FitError, match="no maximum was found"):
        maximum_a_posteriori(lambda values: values["x"], {"x": Parameter()})
    with pytest.raises(FitError, match="no maximum was found"):
        maximum_a_posteriori(lambda values: -values["rate"], POSITIVE)
