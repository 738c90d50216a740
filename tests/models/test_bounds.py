"""Bounds of recommenders on log p(history): below it, made of their terms, and the models' own where those are known."""

import itertools

import numpy as np
import pytest
import torch
from scipy.special import gammaln, logsumexp, psi

from foldin.data import Histories
from foldin.models import (
    LDA,
    MODELS,
    BoundedLikelihood,
    DiffRec,
    DiffRecConfig,
    LatentDiffRec,
    LatentDiffRecConfig,
    LDAConfig,
    MultVAE,
    MultVAEConfig,
    PoissonFactorization,
    PoissonFactorizationConfig,
    Popularity,
    RecVAE,
    RecVAEConfig,
    capability,
    has_capability,
)
from foldin.models.diffusion.heads import Multinomial
from foldin.models.diffusion.noise import LinearVariance
from foldin.testing import two_tastes
from foldin.training import fit

ITEMS, LENGTH = 4, 3
WIDE = {"noise": LinearVariance(scale=1.0, low=0.1, high=0.95), "n_steps": 4}
# Of every history of three draws, and how many draws of the bound are averaged: one is enough where nothing is drawn.
MODELS_OF_DRAWS = {
    "multvae": (lambda: MultVAE(ITEMS, MultVAEConfig(hidden_dims=(), latent_dim=2, epochs=15, batch_size=20)), 200),
    "recvae": (lambda: RecVAE(ITEMS, RecVAEConfig(hidden_dim=4, latent_dim=2, epochs=3, batch_size=20)), 200),
    "diffrec": (
        lambda: DiffRec(ITEMS, DiffRecConfig(hidden_dims=(4,), head=Multinomial(), epochs=10, **WIDE)),
        200,
    ),
    "l-diffrec": (
        lambda: LatentDiffRec(ITEMS, LatentDiffRecConfig(latent_dim=3, hidden_dims=(4,), epochs=10, **WIDE)),
        400,
    ),
    "lda": (lambda: LDA(ITEMS, LDAConfig(n_components=2, epochs=20)), 1),
}
EVERY = Histories.from_lists([list(one) for one in itertools.product(range(ITEMS), repeat=LENGTH)], ITEMS)


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mean_bound(model, histories, draws: int) -> torch.Tensor:
    return torch.stack([model.bound(histories, noise(seed)).value for seed in range(draws)]).mean(dim=0)


@pytest.mark.parametrize("name", MODELS_OF_DRAWS)
def test_the_bounds_of_all_histories_of_a_length_sum_to_a_probability_at_most(name):
    make, draws = MODELS_OF_DRAWS[name]
    model = make()
    fit(model, two_tastes(60, ITEMS))
    total = float(mean_bound(model, EVERY, draws).double().exp().sum())
    assert 1e-12 < total < 1.0


def test_the_bounds_of_all_counts_of_poisson_factorization_sum_to_a_probability_at_most():
    model = PoissonFactorization(3, PoissonFactorizationConfig(n_components=2, epochs=20))
    fit(model, two_tastes(60, 3))
    lists = [[0] * a + [1] * b + [2] * c for a, b, c in itertools.product(range(7), repeat=3)]
    total = float(model.bound(Histories.from_lists(lists, 3), noise()).value.exp().sum())
    assert 0.3 < total < 1.0


def test_the_users_part_of_poisson_factorization_is_that_of_the_bound_in_training():
    train = two_tastes(30, 8)
    model = PoissonFactorization(8, PoissonFactorizationConfig(n_components=3, epochs=5))
    fit(model, train)
    trainer, users, items = model.trainer(train), model.fold_in(train), model.item_gammas()
    # The terms of the bound in which the users are, but for the rates of events.
    whole = trainer.with_side(-float(users.mean.sum(axis=0) @ items.mean.sum(axis=0)), users)
    terms = model.bound(train, noise()).terms
    found = sum(float(one.sum()) for one in terms.values()) - float(
        terms["E Σ y log rate, factors of events at their best"].sum()
    )
    assert np.isclose(found, whole, rtol=1e-9)


def test_repeated_events_count_as_the_poisson_law_says():
    model = PoissonFactorization(4, PoissonFactorizationConfig(n_components=2, epochs=3))
    fit(model, two_tastes(20, 4))
    terms = model.bound(Histories.from_lists([[1, 1, 1, 2], [0, 3]], 4), noise()).terms["−Σ log y!"]
    assert np.allclose(terms.numpy(), [-gammaln(4.0), 0.0])


def test_one_topic_has_the_likelihood_of_its_items():
    model = LDA(ITEMS, LDAConfig(n_components=1, epochs=5))
    fit(model, two_tastes(40, ITEMS))
    # With one topic the only thing unknown is the topic itself, under its Dirichlet posterior.
    history = Histories.from_lists([[0, 2, 2]], ITEMS)
    parameters = model.topics.numpy()[:, 0]
    draws = np.random.default_rng(0).dirichlet(parameters, 200_000)
    exact = np.log(np.mean(draws[:, 0] * draws[:, 2] ** 2))
    bound = float(model.bound(history, noise()).value[0])
    assert np.isclose(bound, (psi(parameters) - psi(parameters.sum()))[[0, 2, 2]].sum())
    assert bound < exact


def gauss(count: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    """Nodes and weights of E f(u), u ~ N(0, 1)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(count)
    return torch.from_numpy(nodes).float(), torch.from_numpy(weights / weights.sum()).float()


def draws_of(model, history: list[int], count: int = 4000) -> dict[str, tuple[float, float]]:
    """Mean and standard error of each term over so many draws."""
    terms = model.bound(Histories.from_lists([history] * count, model.n_items), noise(7)).terms
    return {name: (float(one.mean()), float(one.std()) / count**0.5) for name, one in terms.items()}


def agree(found: dict[str, tuple[float, float]], expected: dict[str, float]) -> None:
    assert found.keys() == expected.keys()
    for name, (mean, error) in found.items():
        assert abs(mean - expected[name]) < 4.5 * error + 1e-3, (name, mean, expected[name])


@torch.no_grad()
def test_each_term_of_mult_vae_is_its_integral():
    model = MultVAE(ITEMS, MultVAEConfig(hidden_dims=(), latent_dim=1, epochs=10, batch_size=20))
    with torch.enable_grad():
        fit(model, two_tastes(60, ITEMS))
    history = [0, 2, 2]
    one = Histories.from_lists([history], ITEMS)
    mu, logvar = (float(value) for value in model.posterior(one))
    u, weights = gauss()
    logp = model.decode((mu + np.exp(0.5 * logvar) * u).unsqueeze(1)).log_softmax(dim=1)[:, history].sum(dim=1)
    kl = 0.5 * (mu**2 + np.exp(logvar) - 1.0 - logvar)
    agree(draws_of(model, history), {"E log p(x|z)": float(weights @ logp), "−KL(q(z|x) ‖ p(z))": -kl})


@torch.no_grad()
def test_each_term_of_l_diffrec_is_its_integral():
    config = LatentDiffRecConfig(
        latent_dim=1,
        n_clusters=1,
        hidden_dims=(4,),
        n_steps=2,
        noise=LinearVariance(scale=1.0, low=0.3, high=0.9),
        epochs=10,
    )
    model = LatentDiffRec(ITEMS, config)
    with torch.enable_grad():
        fit(model, two_tastes(60, ITEMS))
    history = [0, 2, 2]
    one, (u, weights), schedule = Histories.from_lists([history], ITEMS), gauss(40), model.schedule
    mu, logvar = (float(value) for value in model.posterior(one))
    z = (mu + np.exp(0.5 * logvar) * u).unsqueeze(1)
    pairs = (weights[:, None] * weights[None, :]).flatten()
    clean, noised = z.repeat_interleave(len(u), dim=0), u.repeat(len(z)).unsqueeze(1)

    def denoised(t: int) -> torch.Tensor:
        at = torch.full((len(clean),), t)
        return model.denoised(schedule.diffuse(clean, at, noised), at)

    # The last step as densities, the one before as a KL of two normals of the posterior's variance.
    last = torch.distributions.Normal(denoised(1), float(schedule.betas[1]) ** 0.5).log_prob(clean).squeeze(1)
    at = torch.full((len(clean),), 2)
    now = schedule.diffuse(clean, at, noised)
    means = [schedule.posterior_mean(x, now, at) for x in (clean, denoised(2))]
    q, p = (torch.distributions.Normal(mean, float(schedule.posterior_variance[2]) ** 0.5) for mean in means)
    at_end = torch.distributions.Normal(schedule.signal[-1] * z, float(schedule.sigma[-1]))
    logits = torch.nn.functional.linear(z, *model.item_vectors())
    agree(
        draws_of(model, history, 20_000),
        {
            "E log p(x|z_0)": float(weights @ logits.log_softmax(dim=1)[:, history].sum(dim=1)),
            "E log p(z_0|z_1) + entropy of q(z_0|x)": float(pairs @ last)
            + float(torch.distributions.Normal(mu, np.exp(0.5 * logvar)).entropy()),
            "−Σ KL(q(z_t−1|z_t, z_0) ‖ p(z_t−1|z_t))": -float(
                pairs @ torch.distributions.kl_divergence(q, p).squeeze(1)
            ),
            "−KL(q(z_T|z_0) ‖ N(0, I))": -float(
                weights @ torch.distributions.kl_divergence(at_end, torch.distributions.Normal(0.0, 1.0)).squeeze(1)
            ),
        },
    )


@torch.no_grad()
def test_each_term_of_diffrec_is_that_of_normals_and_their_divergences():
    config = DiffRecConfig(
        hidden_dims=(4,), head=Multinomial(), n_steps=3, noise=LinearVariance(scale=1.0, low=0.3, high=0.9), epochs=10
    )
    model = DiffRec(ITEMS, config)
    with torch.enable_grad():
        fit(model, two_tastes(60, ITEMS))
    history, count, schedule = [0, 2], 20_000, model.schedule
    x = torch.zeros(count, ITEMS)
    x[:, history] = 1.0
    generator = noise(3)

    def said(t: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        at = torch.full((count,), t)
        now = schedule.signal[t] * x + schedule.sigma[t] * torch.randn(x.shape, generator=generator)
        now = now.float()
        return model.network.outputs(model.network.hidden(now @ model.network.first, at)).clone(), now, at

    steps = 0.0
    for t in (3, 2):
        logits, now, at = said(t)
        means = [schedule.posterior_mean(one, now, at) for one in (x, len(history) * logits.softmax(dim=1))]
        q, p = (torch.distributions.Normal(mean, float(schedule.posterior_variance[t]) ** 0.5) for mean in means)
        steps += float(torch.distributions.kl_divergence(q, p).sum(dim=1).mean())
    reconstruction = float(said(1)[0].log_softmax(dim=1)[:, history].sum(dim=1).mean())
    at_end = torch.distributions.Normal(float(schedule.signal[-1]) * x[0], float(schedule.sigma[-1]))
    prior = float(torch.distributions.kl_divergence(at_end, torch.distributions.Normal(0.0, 1.0)).sum())
    found = draws_of(model, history, count)
    expected = {
        "E log p(x|x_1)": reconstruction,
        "−Σ KL(q(x_t−1|x_t, x) ‖ p(x_t−1|x_t))": -steps,
        "−KL(q(x_T|x) ‖ N(0, I))": -prior,
    }
    # Both sides are of draws.
    agree({name: (mean, 1.5 * error) for name, (mean, error) in found.items()}, expected)


def test_an_item_without_mass_is_as_improbable_as_its_posterior_says():
    """What keeps rates above 0 in training must not raise a bound."""
    model = LDA(3, LDAConfig(n_components=2, eta=1e-3, epochs=5))
    fit(model, Histories.from_lists([[0, 1]] * 20, 3))
    history = Histories.from_lists([[2]], 3)
    gamma, topics = model.tastes(history), model.topics.numpy()
    logs = psi(gamma) - psi(gamma.sum()) + (psi(topics) - psi(topics.sum(axis=0)))[2]
    events = model.bound(history, noise()).terms["E log p(x|θ, β), topics of events at their best"]
    assert float(events[0]) == pytest.approx(logsumexp(logs))
    assert float(events[0]) < -900.0
    poisson = PoissonFactorization(3, PoissonFactorizationConfig(n_components=2, shape=1e-3, epochs=5))
    fit(poisson, Histories.from_lists([[0, 1]] * 20, 3))
    assert float(poisson.bound(history, noise()).terms["E Σ y log rate, factors of events at their best"][0]) < -900.0


@pytest.mark.parametrize("name", ["multvae", "recvae", "diffrec", "l-diffrec", "lda"])
def test_an_empty_history_is_certain(name):
    model = MODELS_OF_DRAWS[name][0]()
    fit(model, two_tastes(30, ITEMS), epochs=1)
    found = mean_bound(model, Histories.empty(2, ITEMS), 20)
    assert (found <= 1e-3).all()
    assert model.bound(Histories.empty(0, ITEMS), noise()).value.shape == (0,)


def test_six_models_bound_the_likelihood_and_a_squared_error_does_not():
    bounded = {name for name in MODELS if has_capability(MODELS[name].model_class, BoundedLikelihood)}
    assert bounded == {"multvae", "recvae", "diffrec", "t-diffrec", "l-diffrec", "lda", "poisson"}
    assert capability(DiffRec(ITEMS), BoundedLikelihood) is None
    assert capability(DiffRec(ITEMS, DiffRecConfig(head=Multinomial())), BoundedLikelihood) is not None
    assert capability(Popularity(ITEMS), BoundedLikelihood) is None
