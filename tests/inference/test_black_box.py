import numpy as np
import pytest
import torch
from torch.distributions import Beta, Dirichlet, Gamma, Normal, constraints

from foldin.errors import ConfigError, FitError, ShapeError
from foldin.inference import Parameter, black_box_vi, pareto_shape, psis


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def regression(n: int = 40, width: int = 3):
    rng = np.random.default_rng(0)
    X = torch.from_numpy(rng.standard_normal((n, width)) @ rng.standard_normal((width, width)))
    y = X @ torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64) + torch.from_numpy(0.7 * rng.standard_normal(n))
    precision = X.T @ X / 0.49 + torch.eye(width, dtype=torch.float64)
    mean = torch.linalg.solve(precision, X.T @ y / 0.49)

    def log_joint(values):
        w = values["w"]
        likelihood = Normal(w @ X.T, 0.7).log_prob(y).sum(1)
        return likelihood + Normal(0.0, 1.0).log_prob(w).sum(1)

    C = 0.49 * torch.eye(n, dtype=torch.float64) + X @ X.T
    evidence = torch.distributions.MultivariateNormal(torch.zeros(n, dtype=torch.float64), C).log_prob(y)
    return log_joint, mean, torch.linalg.inv(precision), evidence.item()


def test_full_rank_recovers_an_analytic_posterior_and_its_evidence():
    log_joint, mean, covariance, evidence = regression()
    found = black_box_vi(log_joint, {"w": Parameter((3,))}, generator(), family="full-rank", steps=1500)
    q = found.approximation
    assert torch.allclose(q.mean, mean, atol=0.01)
    assert torch.allclose(q.factor @ q.factor.T, covariance, atol=0.01)
    # The family contains the posterior: the bound is tight, and no draw is worth more than another.
    assert found.elbo == pytest.approx(evidence, abs=0.01)
    assert found.k_hat < 0.5
    assert found.ess > 3900  # of 4000
    assert len(found.elbos) == len(found.standard_errors) == 1500
    assert found.elbos[-100:].mean() == pytest.approx(evidence, abs=0.1)


def test_mean_field_gets_the_mean_right_and_the_spread_too_small():
    log_joint, mean, covariance, evidence = regression()
    found = black_box_vi(log_joint, {"w": Parameter((3,))}, generator(), steps=3000)
    q = found.approximation
    assert torch.allclose(q.mean, mean, atol=0.02)
    # Its best scales are those of the precision's diagonal (bishop2006, eq. 10.15).
    assert torch.allclose(q.factor.diagonal().square(), 1.0 / torch.linalg.inv(covariance).diagonal(), rtol=0.05)
    assert found.elbo < evidence - 0.05
    assert found.elbo - 4 * found.standard_error <= evidence


@pytest.mark.parametrize(
    ("support", "prior", "shape"),
    [
        (constraints.positive, Gamma(torch.tensor(6.0).double(), torch.tensor(2.0).double()), ()),
        (constraints.unit_interval, Beta(torch.tensor(4.0).double(), torch.tensor(6.0).double()), ()),
        (constraints.simplex, Dirichlet(torch.tensor([6.0, 9.0, 5.0]).double()), (3,)),
    ],
    ids=["positive", "probability", "simplex"],
)
def test_constrained_parameters_stay_where_they_may_be(support, prior, shape):
    found = black_box_vi(
        lambda values: prior.log_prob(values["x"]),
        {"x": Parameter(shape, support)},
        generator(),
        family="full-rank",
        steps=2000,
    )
    # A density with total 1 has the log-evidence 0, which no bound exceeds.
    assert -0.1 < found.elbo < 0.005
    drawn = found.approximation.sample(20_000, generator(1))["x"]
    assert support.check(drawn).all()
    assert torch.allclose(drawn.mean(0), prior.mean, atol=0.05)


def test_several_parameters_keep_their_names_and_shapes():
    def log_joint(values):
        return Normal(2.0, 0.5).log_prob(values["a"]).sum((1, 2)) + Gamma(3.0, 1.0).log_prob(values["b"])

    parameters = {"a": Parameter((2, 3)), "b": Parameter((), constraints.positive)}
    drawn = black_box_vi(log_joint, parameters, generator(), steps=1500).approximation.sample(5000, generator())
    assert drawn["a"].shape == (5000, 2, 3)
    assert drawn["b"].shape == (5000,)
    assert torch.allclose(drawn["a"].mean(0), torch.full((2, 3), 2.0).double(), atol=0.1)


def test_logistic_regression_agrees_with_a_long_markov_chain():
    rng = np.random.default_rng(3)
    X = rng.standard_normal((60, 2))
    y = rng.random(60) < 1.0 / (1.0 + np.exp(-(X @ np.array([1.5, -1.0]))))
    tX, ty = torch.from_numpy(X), torch.from_numpy(y.astype(float))

    def log_joint(values):
        logits = values["w"] @ tX.T
        return (ty * logits - torch.nn.functional.softplus(logits)).sum(1) - 0.5 * values["w"].square().sum(1)

    found = black_box_vi(log_joint, {"w": Parameter((2,))}, generator(), family="full-rank")
    log_density = lambda w: float((y * (X @ w) - np.logaddexp(0.0, X @ w)).sum() - 0.5 * w @ w)
    w, at, chain = np.zeros(2), log_density(np.zeros(2)), []
    for _ in range(30_000):
        proposal = w + 0.6 * rng.standard_normal(2)
        there = log_density(proposal)
        if np.log(rng.random()) < there - at:
            w, at = proposal, there
        chain.append(w)
    kept = np.array(chain[2000:])
    drawn = found.approximation.sample(20_000, generator(5))["w"].numpy()
    assert drawn.mean(0) == pytest.approx(kept.mean(0), abs=0.06)
    assert np.allclose(np.cov(drawn.T), np.cov(kept.T), atol=0.04)


def test_a_poor_approximation_is_told_by_k_hat():
    """A funnel: the width of one coordinate depends exponentially on another."""

    def funnel(values):
        v, x = values["v"], values["x"]
        return Normal(0.0, 2.0).log_prob(v) + Normal(0.0, (v / 2).exp().unsqueeze(1)).log_prob(x).sum(1)

    parameters = {"v": Parameter(), "x": Parameter((9,))}
    found = black_box_vi(funnel, parameters, generator(), steps=1000)
    assert found.k_hat > 0.7
    assert found.ess < 1000  # of 4000


@pytest.mark.parametrize("k", [-0.2, 0.1, 0.5, 0.9])
def test_the_shape_of_a_pareto_law_is_found(k):
    uniform = np.random.default_rng(0).random(20_000)
    excesses = 3.0 * np.expm1(-k * np.log1p(-uniform)) / k
    found, sigma = pareto_shape(excesses)
    assert found == pytest.approx(k, abs=0.03)
    assert sigma == pytest.approx(3.0, rel=0.05)


def test_smoothed_weights_are_normalized_and_only_the_tail_changes():
    ratios = np.random.default_rng(1).standard_normal(1000)
    smoothed, k = psis(ratios)
    assert np.exp(smoothed).sum() == pytest.approx(1.0)
    order = np.argsort(ratios)
    rest = (smoothed - ratios)[order[:-95]]
    assert np.ptp(rest) < 1e-9
    assert k < 0.7
    assert psis(np.zeros(100))[0] == pytest.approx(np.full(100, -np.log(100)))
    with pytest.raises(ShapeError, match="at least 25 draws"):
        psis(np.zeros(20))


def test_bad_calls_are_refused():
    log_joint = lambda values: values["x"]
    with pytest.raises(ConfigError, match="must be one of mean-field, full-rank"):
        black_box_vi(log_joint, {"x": Parameter()}, generator(), family="banded")
    with pytest.raises(FitError, match="step 0: the ELBO is nan"):
        black_box_vi(lambda values: values["x"] * torch.nan, {"x": Parameter()}, generator(), steps=3)
