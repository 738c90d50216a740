"""Models in closed form against brute force."""

import numpy as np
import pytest
import torch

from foldin.data import Histories
from foldin.errors import FitError
from foldin.models import ALS, EASE, ALSConfig, EASEConfig, ItemKNN, ItemKNNConfig, Popularity, PopularityConfig
from foldin.models.linear import ease
from foldin.models.linear._gram import item_gram
from foldin.models.linear._zero_diagonal import inverse_of, weights_of_precision
from foldin.ranking import scores
from foldin.testing import two_tastes
from foldin.training import fit


def dense(histories: Histories) -> torch.Tensor:
    return torch.from_numpy(histories.csr().toarray()).double()


def test_popularity_is_the_smoothed_share():
    train = Histories.from_lists([[0, 1], [1], [1, 2]], 4)
    model = Popularity(4, PopularityConfig(smoothing=0.5))
    fit(model, train)
    expected = torch.tensor([1.5, 3.5, 1.5, 0.5]) / 7.0
    assert torch.allclose(scores(model, Histories.empty(1, 4)).exp(), expected)


def test_popularity_of_the_last_days_counts_those_alone():
    day = 86_400
    train = Histories(
        items=np.array([0, 1, 0, 2, 2], np.int32),
        offsets=np.array([0, 3, 5]),
        n_items=4,
        times=np.array([0, 9 * day, 1 * day, 8 * day + 1, 2 * day]),
    )
    model = Popularity(4, PopularityConfig(smoothing=1.0, window_days=1.0))
    fit(model, train)
    assert torch.allclose(scores(model, Histories.empty(1, 4)).exp(), torch.tensor([1.0, 2.0, 2.0, 1.0]) / 6.0)
    with pytest.raises(FitError, match="window_days needs a log with times"):
        fit(model, Histories.from_lists([[0, 1]], 4))


@pytest.mark.parametrize(("users", "items"), [(40, 12), (9, 30)], ids=["by items", "by users"])
def test_ease_minimizes_the_constrained_ridge_objective(users, items):
    train = two_tastes(users, items)
    model = EASE(items, EASEConfig(regularization=3.0))
    fit(model, train)
    X, B = dense(train), model.weights.double()
    assert (B.diagonal() == 0).all()
    # At the minimum under diag(B) = 0 the gradient Xᵀ(XB − X) + λB is zero off the diagonal.
    gradient = X.T @ (X @ B - X) + 3.0 * B
    gradient.fill_diagonal_(0.0)
    assert gradient.abs().max() < 1e-3


@pytest.mark.parametrize(("oldest", "dtype", "bound"), [(1.0, torch.float64, 1e-12), (0.2, torch.float32, 1e-5)])
def test_ease_is_the_same_by_users_and_by_items(oldest, dtype, bound):
    train = Histories.from_lists([[0, 3, 3, 7], [5, 2], [1, 2, 3, 4, 7], []], 12)  # an item twice, and items of nobody
    model = EASE(12, EASEConfig(regularization=0.5, oldest=oldest))
    by_items, by_users = ease._inverse_by_items(model, train, dtype), ease._inverse_by_users(model, train, dtype)
    assert (by_items * 0.5 - by_users).abs().max() < bound


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_inverse_takes_the_memory_of_its_matrix(dtype):
    rows = dense(two_tastes(40, 12)).to(dtype)
    matrix = rows.T @ rows + torch.eye(12, dtype=dtype)
    expected, memory = torch.linalg.inv(matrix), matrix.data_ptr()
    found = inverse_of(matrix)
    assert found.data_ptr() == memory
    assert found.is_contiguous()
    assert torch.equal(found, found.T)
    assert torch.allclose(found, expected, atol=1e-5)


def test_ease_in_single_precision_is_ease_with_the_memory_of_one_matrix(monkeypatch):
    train, settings = two_tastes(40, 12), EASEConfig(regularization=3.0)
    double, single = EASE(12, settings), EASE(12, settings)
    fit(double, train)
    monkeypatch.setattr("foldin.models.linear._zero_diagonal._DOUBLE_UP_TO", 0)
    taken = []
    monkeypatch.setattr(
        ease, "weights_of_precision", lambda matrix: taken.append(matrix) or weights_of_precision(matrix)
    )
    fit(single, train)
    assert single.weights.data_ptr() == taken[0].data_ptr()
    assert single.weights.is_contiguous()
    assert torch.allclose(single.weights, double.weights, atol=1e-5)


def test_a_penalty_that_leaves_the_matrix_singular_is_named():
    with pytest.raises(FitError, match="EASE: regularization = 1e-300 is too small for this log"):
        fit(EASE(2, EASEConfig(regularization=1e-300)), Histories.from_lists([[0, 1]] * 9, 2))


@pytest.mark.parametrize("advantage", [0.0, 1e9])
def test_the_gram_matrix_is_the_same_by_both_ways(advantage, monkeypatch):
    monkeypatch.setattr("foldin.models.linear._gram._DENSE_ADVANTAGE", advantage)
    train = two_tastes(40, 12)
    assert torch.equal(item_gram(train), (dense(train).T @ dense(train)).float())


def test_itemknn_is_the_sum_of_shrunk_cosines_of_neighbors():
    train = two_tastes(40, 12, seed=4)
    model = ItemKNN(12, ItemKNNConfig(n_neighbors=3, shrinkage=2.0))
    fit(model, train)
    X = dense(train).numpy()
    together, norms = X.T @ X, np.sqrt(X.sum(0))
    similar = together / (np.outer(norms, norms) + 2.0)
    np.fill_diagonal(similar, -1.0)
    kept = np.zeros_like(similar)
    for j in range(12):
        best = np.argsort(-similar[j], kind="stable")[:3]
        kept[best, j] = similar[j, best]
    history = Histories.from_lists([[0, 5, 6]], 12)
    assert np.allclose(scores(model, history).numpy(), dense(history).numpy() @ kept, atol=1e-5)


def test_cosines_of_items_that_users_take_again_are_those_of_their_counts():
    train = Histories.from_lists([[0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1], [0, 0, 0, 2], [1, 1, 1, 2]], 3)
    items = train.items.copy()
    model = ItemKNN(3, ItemKNNConfig(n_neighbors=2, shrinkage=0.0))
    fit(model, train)
    counts = dense(train)
    norms = counts.norm(dim=0)
    cosines = counts.T @ counts / norms.outer(norms)
    for item in range(3):
        for neighbor, similarity in zip(model.neighbors[item].tolist(), model.similarities[item].tolist(), strict=True):
            assert similarity == pytest.approx(cosines[item, neighbor].item(), abs=1e-6)
    assert (train.items == items).all()


def test_als_folds_in_as_implicit_does():
    pytest.importorskip("implicit")
    from implicit.cpu.als import AlternatingLeastSquares

    train = two_tastes(50, 14, seed=2)
    config = ALSConfig(embedding_dim=6, confidence=8.0, regularization=0.05)
    model = ALS(14, config)
    fit(model, train)
    oracle = AlternatingLeastSquares(factors=6, regularization=0.05, alpha=8.0, num_threads=1)
    oracle.item_factors = model.item_factors.numpy()
    oracle.user_factors = np.zeros((1, 6), np.float32)
    history = Histories.from_lists([[0, 4, 8]], 14)
    found = oracle.recalculate_user([0], history.csr())
    assert np.allclose(model.fold_in(history).numpy(), found, atol=1e-3)
