"""Bounds of recommenders on log p(history): below it, made of their terms, and the models' own where those are known."""

import itertools

import numpy as np
import pytest
import torch
from scipy.special import gammaln, psi

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
    nobody = Histories.empty(0, 8)
    # The whole bound without its users: that of no users at all.
    whole = trainer.bound(users, items, 0.0) - trainer.bound(model.fold_in(nobody), items, 0.0)
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
