"""Bounds where log p(x) is known exactly."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import MultivariateNormal

from foldin.errors import ShapeError
from foldin.inference import gaussian_kl, iwae_bound, iwae_curve, log_normal, refine_gaussian, reparameterize
from tests.inference.linear_gaussian import LinearGaussian as Known

DIM, SEEN, USERS = 2, 3, 4


class LinearGaussian:
    """z ~ N(0, I), x|z ~ N(Wz, s² I): evidence and posterior in closed form."""

    def __init__(self, seed: int = 0):
        generator = torch.Generator().manual_seed(seed)
        self.W = torch.randn(SEEN, DIM, generator=generator, dtype=torch.float64)
        self.s2 = 0.5
        cov = self.W @ self.W.T + self.s2 * torch.eye(SEEN, dtype=torch.float64)
        self.evidence = MultivariateNormal(torch.zeros(SEEN, dtype=torch.float64), cov)
        self.x = self.evidence.mean + torch.randn(USERS, SEEN, generator=generator, dtype=torch.float64)
        precision = torch.eye(DIM, dtype=torch.float64) + self.W.T @ self.W / self.s2
        self.covariance = torch.linalg.inv(precision)
        self.mean = self.x @ self.W @ self.covariance / self.s2

    def log_joint(self, z: torch.Tensor) -> torch.Tensor:
        noise = torch.full((SEEN,), math.log(self.s2), dtype=torch.float64)
        zero = torch.zeros(DIM, dtype=torch.float64)
        return log_normal(self.x, z @ self.W.T, noise) + log_normal(z, zero, zero)

    def elbo(self, mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
        """In closed form: E_q log p(x|z) − KL."""
        residual = (self.x - mu @ self.W.T).square().sum(1) + (logvar.exp() @ self.W.square().T).sum(1)
        likelihood = -0.5 * (residual / self.s2 + SEEN * math.log(2 * math.pi * self.s2))
        return likelihood - gaussian_kl(mu, logvar)


def draws(model: LinearGaussian, mu, logvar, count: int, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for _ in range(count):
        z = reparameterize(mu, logvar, generator)
        rows.append(model.log_joint(z) - log_normal(z, mu, logvar))
    return torch.stack(rows)


@given(st.lists(st.floats(-3, 3), min_size=4, max_size=4), st.integers(0, 50))
@settings(max_examples=60)
def test_the_elbo_never_exceeds_the_evidence(values, seed):
    model = LinearGaussian(seed)
    mu = torch.tensor(values[:2], dtype=torch.float64).expand(USERS, DIM)
    logvar = torch.tensor(values[2:], dtype=torch.float64).expand(USERS, DIM)
    assert (model.elbo(mu, logvar) <= model.evidence.log_prob(model.x) + 1e-9).all()


def test_the_gap_is_the_kl_to_the_true_posterior():
    model = LinearGaussian()
    mu, logvar = model.mean + 0.3, torch.full((USERS, DIM), -0.4, dtype=torch.float64)
    q = MultivariateNormal(mu, torch.diag_embed(logvar.exp()))
    p = MultivariateNormal(model.mean, model.covariance.expand(USERS, DIM, DIM))
    gap = model.evidence.log_prob(model.x) - model.elbo(mu, logvar)
    assert torch.allclose(gap, torch.distributions.kl_divergence(q, p))


def test_at_the_true_posterior_every_draw_is_the_evidence():
    model = LinearGaussian()
    model.W = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]], dtype=torch.float64)  # a diagonal posterior
    precision = 1 + model.W.square().sum(0) / model.s2
    mean = model.x @ model.W / model.s2 / precision
    weights = draws(model, mean, -precision.log().expand(USERS, DIM), 5)
    evidence = MultivariateNormal(torch.zeros(SEEN).double(), model.W @ model.W.T + model.s2 * torch.eye(SEEN).double())
    assert torch.allclose(weights, evidence.log_prob(model.x).expand(5, USERS))


def test_the_iwae_bound_rises_to_the_evidence():
    model = LinearGaussian()
    mu, logvar = model.mean + 0.4, torch.full((USERS, DIM), -0.5, dtype=torch.float64)
    curve = iwae_curve(draws(model, mu, logvar, 12_000), (1, 5, 50, 2000))
    means = [float(values.mean()) for values in curve.values()]
    assert means == sorted(means)
    exact = model.evidence.log_prob(model.x)
    assert torch.allclose(curve[1], model.elbo(mu, logvar), atol=0.1)
    assert torch.allclose(curve[2000], exact, atol=0.03)
    assert (curve[50] < exact + 0.02).all()


def test_an_enumerable_latent():
    """z one of three values: the importance-weighted bound and the evidence by summation."""
    log_prior = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64).log()
    log_likelihood = torch.tensor([-1.0, -3.0, -0.2], dtype=torch.float64)
    q = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    evidence = torch.logsumexp(log_prior + log_likelihood, 0)
    weights = log_prior + log_likelihood - q.log()
    elbo = (q * weights).sum()
    assert elbo < evidence
    true = torch.softmax(log_prior + log_likelihood, 0)
    assert torch.allclose((true * (log_prior + log_likelihood - true.log())).sum(), evidence)
    # L_2 by enumeration of both draws lies between.
    pairs = torch.stack(
        [
            iwae_bound(torch.stack((weights[i], weights[j])).reshape(2, 1))[0] * q[i] * q[j]
            for i in range(3)
            for j in range(3)
        ]
    )
    assert elbo < pairs.sum() < evidence
    assert torch.allclose(evidence - elbo, (q * (q / true).log()).sum())


def test_log_mean_exp_is_safe_far_from_zero():
    assert torch.allclose(iwae_bound(torch.full((7, 2), -5000.0)), torch.tensor([-5000.0, -5000.0]))
    assert torch.isfinite(iwae_bound(torch.tensor([[-1e6], [0.0]]))).all()


def test_too_few_draws_are_refused():
    with pytest.raises(ShapeError, match="needs 50 draws, there are 10"):
        iwae_curve(torch.zeros(10, 2), (1, 50))


def test_refining_closes_the_amortization_gap_and_no_more():
    model = LinearGaussian(3)
    mu, logvar = torch.zeros(USERS, DIM).double(), torch.zeros(USERS, DIM).double()

    def bound(z, m, v):
        return model.log_joint(z) - log_normal(z, m, v)

    best = refine_gaussian(bound, mu, logvar, torch.Generator().manual_seed(0), steps=600)
    # The best diagonal Gaussian has the true mean and the inverse diagonal of the precision.
    precision = torch.linalg.inv(model.covariance).diagonal()
    optimum = model.elbo(model.mean, -precision.log().expand(USERS, DIM))
    short = optimum - model.elbo(*best)
    assert float(short.max()) < 0.04
    assert float(short.mean()) < 0.02
    assert (model.elbo(mu, logvar) < optimum).all()
    assert (mu == 0).all()


ROWS = 12


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("noise", [1e-6, 1e-2, 1.0])
def test_refining_an_exact_answer_does_not_spoil_it(noise, dtype):
    """A step of a fixed size is too long where the posterior is narrow."""
    model = Known(8, 12, s2=noise, orthogonal=True)
    data = model.data(ROWS)
    mu, logvar = model.best(data)
    found = refine_gaussian(
        closed(model, data, dtype), mu.to(dtype), logvar.to(dtype), torch.Generator().manual_seed(0)
    )
    lost = model.exact_elbo(data, mu, logvar) - model.exact_elbo(data, *(one.double() for one in found))
    assert float(lost.max()) < (0.01 if dtype is torch.float64 else 0.3)


@pytest.mark.parametrize(
    ("noise", "away", "logvar"),
    [(0.5, 30.0, -2.0), (1e-4, 1.0, 0.0), (0.1, 1.0, -12.0), (0.5, 3.0, 4.0)],
    ids=["far", "wide", "narrow", "far and wide"],
)
def test_refining_reaches_the_best_gaussian_from_anywhere(noise, away, logvar):
    model = Known(6, 15, s2=noise)
    data = model.data(ROWS)
    best = model.best(data)
    start = best[0] + away, torch.full_like(best[0], logvar)
    found = model.exact_elbo(data, *refine_gaussian(closed(model, data), *start, torch.Generator().manual_seed(0)))
    optimum = model.exact_elbo(data, *best)
    assert (found > model.exact_elbo(data, *start)).all()
    assert float((optimum - found).mean()) < 0.4
    assert (optimum - found > -1e-6).all()


def test_refining_closes_nearly_all_of_the_gap_in_many_dimensions():
    model = Known(100, 150, scale=0.2)
    data = model.data(6)
    start = torch.zeros(6, 100).double(), torch.zeros(6, 100).double()
    best = refine_gaussian(closed(model, data), *start, torch.Generator().manual_seed(0))
    before, after = (model.exact_elbo(data, *one).mean() for one in (start, best))
    optimum = model.exact_elbo(data, *model.best(data)).mean()
    assert float((after - before) / (optimum - before)) > 0.995


def test_no_steps_leave_the_answer_as_it_is():
    model = Known(3, 4)
    data = model.data(2)
    start = torch.zeros(2, 3).double(), torch.ones(2, 3).double()
    found = refine_gaussian(closed(model, data), *start, torch.Generator(), steps=0)
    assert all(torch.equal(one, other) for one, other in zip(found, start, strict=True))


def closed(model, data, dtype=torch.float64):
    """The bound of single draws with the KL in closed form."""
    W, x = model.W.to(dtype), data.values.to(dtype)

    def bound(z, mu, logvar):
        away = (x - z @ W.T).square().sum(1)
        kl = 0.5 * (mu.square() + logvar.exp() - 1.0 - logvar).sum(1)
        return -0.5 * (away / model.s2 + len(W) * math.log(2 * math.pi * model.s2)) - kl

    return bound
