"""Which of a report's figures are bounds on a log-probability: those whose exponentials sum to at most 1 over all rows."""

import itertools
import math

import numpy as np
import pytest
import torch

from foldin.data import Histories
from foldin.evaluation import fold_in_bound
from foldin.evaluation.bounds import _given
from foldin.inference import Called, bound_report, gaussian_kl, iwae_bound, log_normal
from foldin.inference.proposals import Joint, draws_of, posteriors
from foldin.models import MultVAE, MultVAEConfig, RecVAE, RecVAEConfig

ITEMS = 3


def made(name: str):
    """A model of one latent dimension whose encoder tells the items apart, and whose decoder brings them back."""
    if name == "multvae":
        model = MultVAE(ITEMS, MultVAEConfig(hidden_dims=(), latent_dim=1), seed=2)
    else:
        model = RecVAE(ITEMS, RecVAEConfig(hidden_dim=4, latent_dim=1), seed=2)
    with torch.no_grad():
        for value in model.tensors().values():
            value.mul_(3.0)
        if isinstance(model, RecVAE):
            apart = torch.linalg.lstsq(last_hidden(model), torch.tensor([2.0, 0.0, -2.0])).solution
            for encoder in (model.encoder, model.old):
                encoder.heads[0] = apart
                encoder.heads[1] = 0.0
                encoder.heads_bias.copy_(torch.tensor([0.0, -4.0]))  # narrow
            model.decoder.copy_(torch.tensor([[3.0], [0.0], [-3.0]]))
            model.decoder_bias.zero_()
    return model


def last_hidden(model: RecVAE) -> torch.Tensor:
    """What the encoder's head sees of each item alone."""
    model.encoder.heads_bias.zero_()
    found = []
    for unit in torch.eye(model.encoder.heads.shape[1]):
        model.encoder.heads[0] = unit
        found.append(model.posterior(every(1))[0][:, 0])
    return torch.stack(found, dim=1)


def every(length: int) -> Histories:
    """All rows of so many draws."""
    return Histories.from_lists([list(one) for one in itertools.product(range(ITEMS), repeat=length)], ITEMS)


def by_quadrature(model, x: Histories, log_prior) -> torch.Tensor:
    """log ∫ p(x|z) p(z) dz of each row, for one latent dimension; `log_prior` is of (z, rows, which row it is)."""
    grid = torch.linspace(-40, 40, 4001)
    found = []
    with torch.no_grad():
        for row in range(len(x)):
            many = x.select(np.full(len(grid), row))
            values = model.log_likelihood(grid[:, None], many).double() + log_prior(grid[:, None], many, row).double()
            found.append(torch.logsumexp(values, dim=0) + math.log(float(grid[1] - grid[0])))
    return torch.stack(found)


def normal(z, _x, _row):
    return log_normal(z, torch.zeros_like(z), torch.zeros_like(z))


def test_recvaes_composite_prior_makes_no_probability_of_its_objective():
    model, x = made("recvae"), every(1)
    total = float(by_quadrature(model, x, lambda z, rows, _row: model.log_prior(z, rows)).exp().sum())
    assert total > 1.5  # it looks at the row that it is to predict
    assert float(by_quadrature(model, x, normal).exp().sum()) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("name", ["multvae", "recvae"])
@pytest.mark.parametrize("length", [1, 2])
def test_bounds_under_the_standard_normal_sum_to_at_most_one(name, length):
    model, x = made(name), every(length)
    start = posteriors(model, x)
    exact = by_quadrature(model, x, normal)
    assert float(exact.exp().sum()) == pytest.approx(1.0, abs=1e-3)
    one = draws_of(model, x, (start,), Joint(model).log_prior, 500, torch.Generator().manual_seed(0))
    elbo = one.likelihood.double().mean(dim=0) - gaussian_kl(*start)
    assert float(elbo.exp().sum()) <= 1.0
    assert (elbo <= exact + 0.1).all()
    assert (iwae_bound(one.log_weights) <= exact + 0.5).all()


@pytest.mark.parametrize("name", ["multvae", "recvae"])
@pytest.mark.parametrize("fold", [[], [0], [2, 1]])
def test_bounds_on_the_target_half_sum_to_at_most_one(name, fold):
    model, targets = made(name), every(2)
    fold_in = Histories.from_lists([fold] * len(targets), ITEMS)
    mu, logvar = posteriors(model, fold_in)
    exact = by_quadrature(model, targets, lambda z, _x, row: log_normal(z, mu[row], logvar[row]))
    assert float(exact.exp().sum()) == pytest.approx(1.0, abs=1e-3)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        reconstruction, kl, weights = _given(model, fold_in, targets, 200, generator)
    elbo = (reconstruction - kl).double()
    assert float(elbo.exp().sum()) <= 1.0
    assert (elbo <= exact + 0.05).all()
    assert torch.allclose(iwae_bound(weights), exact, atol=0.3)
    found = fold_in_bound(model, fold_in, targets, draws=200, generator=torch.Generator().manual_seed(0))
    assert found["elbo"]["per_user"] == pytest.approx(float(elbo.mean()), rel=1e-5)
    assert found["best_bound"]["per_item"] == pytest.approx(float(iwae_bound(weights).mean()) / 2, rel=1e-5)


def test_the_kl_between_both_halves_is_that_of_gaussians():
    model = made("recvae")
    fold_in, targets = Histories.from_lists([[0], [1]], ITEMS), Histories.from_lists([[2], [0, 0]], ITEMS)
    found = fold_in_bound(model, fold_in, targets, draws=5, generator=torch.Generator().manual_seed(0))
    (mu, logvar), (m, v) = posteriors(model, fold_in.followed_by(targets)), posteriors(model, fold_in)
    kl = torch.distributions.kl_divergence(
        torch.distributions.Normal(mu, (0.5 * logvar).exp()), torch.distributions.Normal(m, (0.5 * v).exp())
    )
    assert found["kl"]["per_user"] == pytest.approx(float(kl.sum(1).mean()), rel=1e-5)
    assert found["items_per_user"] == 1.5


def test_the_objective_stands_apart_from_the_bounds():
    model, x = made("recvae"), every(2)
    found = bound_report(model, x, np.full(len(x), 2.0), called=Called(), draws=200, refine_steps=10, annealed=0)
    assert found["objective"]["what"] == "objective with a prior that sees x, not a bound on log p(x)"
    exact = by_quadrature(model, x, normal)
    assert found["bound"]["elbo"]["per_user"] <= float(exact.mean()) + 0.05
    assert found["gap"]["best_bound"]["per_user"] == pytest.approx(float(exact.mean()), abs=0.15)
    assert "objective" not in bound_report(
        made("multvae"), x, np.full(len(x), 2.0), draws=5, refine_steps=2, annealed=0
    )


def test_simulated_histories_are_draws_of_the_models_law():
    model = made("recvae")
    like = Histories.from_lists([[0] * 2000, [], [1] * 2000], ITEMS)
    z = torch.tensor([[0.3], [0.0], [-0.2]])
    drawn = model.simulated(z, like, torch.Generator().manual_seed(0))
    assert drawn.lengths.tolist() == [2000, 0, 2000]
    shares = model.decode(z).softmax(dim=1)
    for row in (0, 2):
        counted = np.bincount(drawn.of(row), minlength=ITEMS) / 2000
        assert counted == pytest.approx(shares[row].detach().numpy(), abs=0.04)
    assert len(model.simulated(z[:1], Histories.empty(1, ITEMS), torch.Generator()).items) == 0
