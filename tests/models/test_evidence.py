"""Models that read weights and dislikes, against their formulas written out; and those that read neither."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from foldin.data import Histories
from foldin.models import (
    ALS,
    EASE,
    IALS,
    MODELS,
    SLIM,
    ALSConfig,
    Dislikes,
    EASEConfig,
    IALSConfig,
    ItemKNN,
    ItemKNNConfig,
    MultVAE,
    MultVAEConfig,
    SLIMConfig,
    WeightedEvents,
    capability,
    has_capability,
)
from foldin.models.divided import BY_USERS
from foldin.models.evidence import read_and_predicted, summed_rows
from foldin.models.linear.als import _weights
from foldin.ranking import Eligibility, attributions, scores
from foldin.training import fit
from tests.small import ITEMS, trained

W, D = [3.0, 1.0, 2.0, 1.0, 0.5, 4.0, 1.0, 2.0], [2.0, 1.0]


def plain() -> Histories:
    return Histories.from_lists([[0, 1, 2], [2, 0], [1, 3], [3]], 4)


def judged() -> Histories:
    """Weighted events of four users, two of whom dislike an item."""
    dislikes = replace(Histories.from_lists([[3], [], [0], []], 4), weights=np.float32(D))
    return replace(plain(), weights=np.float32(W), dislikes=dislikes)


def matrix() -> np.ndarray:
    """The signed matrix of `judged`, an entry at a time."""
    x = np.zeros((4, 4))
    for (user, item), weight in zip(((0, 0), (0, 1), (0, 2), (1, 2), (1, 0), (2, 1), (2, 3), (3, 3)), W, strict=True):
        x[user, item] = weight
    x[0, 3], x[2, 0] = -2.0, -1.0
    return x


def test_ease_regresses_signed_rows_on_each_other():
    model = EASE(4, EASEConfig(regularization=2.0))
    fit(model, judged())
    x = matrix()
    precision = np.linalg.inv(x.T @ x + 2 * np.eye(4))
    weights = np.eye(4) - precision / np.diag(precision)
    assert np.allclose(scores(model, judged()).numpy(), x @ weights, atol=1e-4)


def test_ease_by_users_is_ease_by_items():
    few = judged().rows(0, 1)
    model = EASE(4, EASEConfig(regularization=2.0))
    fit(model, few)  # fewer users than half the items
    x = matrix()[:1]
    precision = np.linalg.inv(x.T @ x + 2 * np.eye(4))
    assert np.allclose(model.weights.numpy(), np.eye(4) - precision / np.diag(precision), atol=1e-5)


def test_slim_has_the_signed_gram():
    model = SLIM(4, SLIMConfig(regularization=1.0, sparsity=0.01))
    fit(model, judged())
    x, w = matrix(), model.weights.double().numpy()
    gradient = x.T @ x @ w - x.T @ x + 1.0 * w + 0.01
    off = ~np.eye(4, dtype=bool)
    assert np.abs(gradient[off & (w > 0)]).max(initial=0.0) < 5e-3
    assert gradient[off & (w == 0)].min(initial=0.0) > -5e-3


def test_als_folds_in_dislikes_as_a_preference_of_zero():
    model = ALS(4, ALSConfig(embedding_dim=2, regularization=0.5, confidence=4.0, iterations=3))
    fit(model, judged())
    y, x = model.item_factors.double().numpy(), matrix()
    for user, row in enumerate(x):
        c = np.where(row != 0.0, 4.0 * np.abs(row), 1.0)
        wanted = np.linalg.solve(y.T @ (c[:, None] * y) + 0.5 * np.eye(2), y.T @ (c * (row > 0)))
        assert np.allclose(model.fold_in(judged())[user].numpy(), wanted, atol=1e-4)
    assert np.array_equal(_weights(judged(), 1.0).toarray(), x.astype(np.float32))


def test_the_package_of_als_reads_negative_entries_as_dislikes():
    from implicit.cpu.als import AlternatingLeastSquares
    from threadpoolctl import threadpool_limits

    solver = AlternatingLeastSquares(
        factors=2, regularization=0.5, alpha=4.0, iterations=200, random_state=1, use_cg=False
    )
    with threadpool_limits(1, "blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package warns of threads
        solver.fit(_weights(judged(), 1.0), show_progress=False)
    x, y, users = matrix(), solver.item_factors.astype(float), solver.user_factors.astype(float)
    for item in range(4):
        c = np.where(x[:, item] != 0.0, 4.0 * np.abs(x[:, item]), 1.0)
        wanted = np.linalg.solve(users.T @ (c[:, None] * users) + 0.5 * np.eye(2), users.T @ (c * (x[:, item] > 0)))
        assert np.allclose(y[item], wanted, atol=1e-3)


def test_ials_has_the_target_zero_for_dislikes():
    config = IALSConfig(embedding_dim=2, regularization=0.1, exponent=1.0, unobserved_weight=0.3, epochs=3)
    model = IALS(4, config)
    fit(model, judged())
    y = model.item_factors.double().numpy()
    for user, row in enumerate(matrix()):
        strength = np.abs(row)
        penalty = 0.1 * (strength.sum() + 0.3 * 4)
        left = y.T @ ((strength + 0.3)[:, None] * y) + penalty * np.eye(2)
        wanted = np.linalg.solve(left, y.T @ np.maximum(row, 0.0))
        assert np.allclose(model.fold_in(judged())[user].numpy(), wanted, atol=1e-4)


@torch.no_grad()
def test_the_input_row_of_an_autoencoder_is_signed_and_has_unit_length():
    model = MultVAE(4, MultVAEConfig(hidden_dims=(), latent_dim=2))
    x = matrix()
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    wanted = x @ model.network.encoder[0].detach().numpy() + model.network.encoder_bias[0].detach().numpy()
    mu, logvar = model.posterior(judged())
    assert np.allclose(torch.cat((mu, logvar), dim=1).detach().numpy(), wanted, atol=1e-5)


@torch.no_grad()
def test_the_likelihood_of_training_counts_events_by_weight_and_no_dislike():
    model = MultVAE(4, MultVAEConfig(hidden_dims=(), latent_dim=2))
    read, predicted = read_and_predicted(judged(), 1.0, torch.device("cpu"))
    # The events of `judged` with each user's dislikes after them.
    assert read.weights.tolist() == [3.0, 1.0, 2.0, -2.0, 1.0, 0.5, 4.0, 1.0, -1.0, 2.0]
    mu, _ = model.posterior(judged())
    logs = torch.log_softmax(model.decode(mu), dim=1).detach().double().numpy()
    found = model.network.log_likelihood(mu, *predicted).detach().numpy()
    assert np.allclose(found, (np.maximum(matrix(), 0.0) * logs).sum(axis=1), atol=1e-4)


@pytest.mark.parametrize("name", ["popularity", "plsa", "lda", "mixture", "poisson"])
def test_an_event_of_weight_two_is_two_events_for_a_model_of_counts(name):
    rng = np.random.default_rng(0)
    lists = [rng.choice(ITEMS, 5, replace=False) for _ in range(30)]
    weights = rng.integers(1, 4, 150).astype(np.float32)
    twice = [np.repeat(items, weights[5 * at : 5 * at + 5].astype(int)) for at, items in enumerate(lists)]
    few = {"epochs": 3} if "epochs" in MODELS[name].__dataclass_fields__ else {}
    by_weight = trained(name, replace(Histories.from_lists(lists, ITEMS), weights=weights), **few)
    by_events = trained(name, Histories.from_lists(twice, ITEMS), **few)
    read = Histories.from_lists(twice[:3], ITEMS)
    weighted = replace(Histories.from_lists(lists[:3], ITEMS), weights=weights[:15])
    assert np.allclose(scores(by_weight, weighted).numpy(), scores(by_events, read).numpy(), atol=5e-3)
    assert isinstance(capability(by_weight, WeightedEvents).use_of_weights(), str)


def test_itemknn_takes_the_similarities_of_a_dislike_from_the_scores():
    model = ItemKNN(4, ItemKNNConfig(shrinkage=1.0))
    fit(model, judged())
    similarity = np.zeros((4, 4))
    for item in range(4):
        np.add.at(similarity[item], model.neighbors[item].numpy(), model.similarities[item].numpy())
    x = np.maximum(matrix(), 0.0)
    norms = np.sqrt((x**2).sum(axis=0))
    wanted = x.T @ x / (np.outer(norms, norms) + 1.0)
    np.fill_diagonal(wanted, 0.0)
    assert np.allclose(similarity, wanted, atol=1e-5)
    assert np.allclose(scores(model, judged()).numpy()[[0, 2]], (matrix() @ wanted.T)[[0, 2]], atol=1e-5)


@torch.no_grad()
def test_ones_are_no_weights():
    train = Histories.from_lists([[0, 2, 4, 6], [1, 3, 5], [2, 4, 8], [7, 9, 1], [0, 6, 8]] * 4, ITEMS)
    ones, read = replace(train, weights=np.ones(train.n_events, np.float32)), slice(0, 3)
    for name in ("ease", "als", "ials", "itemknn", "popularity"):
        first, second = trained(name, train), trained(name, ones)
        assert torch.allclose(scores(first, train)[read], scores(second, ones)[read], atol=1e-4), name
    encoder = MultVAE(ITEMS, MultVAEConfig(hidden_dims=(), latent_dim=2))
    assert torch.allclose(encoder.posterior(train)[0], encoder.posterior(ones)[0], atol=1e-6)


def test_models_without_the_capability_do_not_see_dislikes_and_none_is_listed():
    train = Histories.from_lists([[0, 2, 4], [1, 3, 5], [2, 4, 0], [3, 1, 7]], ITEMS)
    disliking = replace(train, dislikes=Histories.from_lists([[6], [8], [10], [12]], ITEMS))
    for name in ("sasrec", "popularity", "plsa"):
        assert not has_capability(MODELS[name].model_class, Dislikes)
        few = {"epochs": 1} if "epochs" in MODELS[name].__dataclass_fields__ else {}
        assert torch.equal(
            scores(trained(name, train, **few), train), scores(trained(name, disliking, **few), disliking)
        )
    for seen in (True, False):
        eligible = Eligibility.of(disliking, exclude_seen=seen)
        hidden = eligible.mask().numpy()
        assert hidden[np.arange(4), [6, 8, 10, 12]].all()
        assert hidden.sum() == (16 if seen else 4)


def test_an_attribution_compares_weighted_histories():
    model = EASE(4, EASEConfig(regularization=2.0))
    fit(model, judged())
    one = judged().rows(0, 1)
    (found,) = attributions(model, [0, 1, 2], np.array([3]), weights=W[:3], dislikes=one.dislikes)
    effects = dict(found.raised_by + found.lowered_by)
    for place, (item, weight) in enumerate(zip((0, 1, 2), W[:3], strict=True)):
        assert effects[place] == pytest.approx(weight * float(model.weights[item, 3]), abs=1e-4)


def test_an_item_that_is_disliked_twice_has_one_entry_with_both():
    twice = replace(Histories.from_lists([[3, 3], [], [], []], 4), weights=np.float32([2.0, 1.0]))
    rows = summed_rows(replace(plain(), dislikes=twice), 1.0)
    assert rows.toarray()[0].tolist() == [1.0, 1.0, 1.0, -3.0]
    assert rows.indptr.tolist() == [0, 4, 6, 8, 9]


def test_what_workers_read_of_a_batch_has_its_dislikes():
    counts = BY_USERS.counts(judged())
    assert counts["events"].tolist() == [3, 2, 2, 1]
    assert counts["read"].tolist() == [4, 2, 3, 1]
