"""SLIM against the conditions of its minimum, and against another solver of elastic nets."""

import numpy as np
import pytest
import torch

from foldin.data import Histories
from foldin.errors import CapacityError, FitError
from foldin.models import SLIM, SLIMConfig
from foldin.models.linear import _coordinate_descent
from foldin.ranking import scores
from foldin.training import fit
from tests.lists import recommend
from tests.models.test_recency import rows

ITEMS = 25


def log(users: int = 80) -> Histories:
    """Histories whose items are popular to different degrees; a few repeat an item."""
    rng = np.random.default_rng(7)
    weight = 1.0 / (1.0 + np.arange(ITEMS))
    lists = [rng.choice(ITEMS, rng.integers(2, 12), replace=False, p=weight / weight.sum()) for _ in range(users)]
    lists[0] = np.append(lists[0], lists[0][:1])
    return Histories.from_lists(lists, ITEMS)


def weights_of(train: Histories, **settings: float) -> torch.Tensor:
    model = SLIM(train.n_items, SLIMConfig(**settings))
    fit(model, train)
    return model.weights.double()


def steps_left(gram: torch.Tensor, found: torch.Tensor, ridge: float, lasso: float) -> torch.Tensor:
    """How far the conditions of Karush, Kuhn and Tucker are from holding, as a change of each weight.

    The gradient (G + β) w − g + λ is zero where a weight is positive, and not negative where it is zero.
    """
    gradient = (gram @ found - gram + ridge * found + lasso) / (gram.diagonal() + ridge).unsqueeze(1)
    left = torch.where(found > 0, gradient.abs(), (-gradient).clamp(min=0.0))
    return left.fill_diagonal_(0.0)


@pytest.mark.parametrize(("ridge", "lasso"), [(1.0, 0.5), (10.0, 3.0), (5.0, 0.0)])
def test_the_conditions_of_the_minimum_hold(ridge, lasso):
    train = log()
    found = weights_of(train, regularization=ridge, sparsity=lasso)
    X = torch.from_numpy(train.csr().toarray()).double()
    assert (found >= 0).all()
    assert (found.diagonal() == 0).all()
    assert found.any()
    assert steps_left(X.T @ X, found, ridge, lasso).max() < 2e-5
    assert steps_left(X.T @ X, 1.01 * found, ridge, lasso).max() > 1e-4


def test_another_solver_of_elastic_nets_finds_the_same():
    linear_model = pytest.importorskip("sklearn.linear_model")
    train, ridge, lasso = log(), 2.0, 1.5
    found, X = weights_of(train, regularization=ridge, sparsity=lasso).numpy(), train.csr().toarray().astype(float)
    # Its squared error is a mean over users, and its penalties are shares of a sum.
    net = linear_model.ElasticNet(
        alpha=(ridge + lasso) / len(train),
        l1_ratio=lasso / (ridge + lasso),
        fit_intercept=False,
        positive=True,
        tol=1e-12,
        max_iter=100_000,
    )
    for item in range(ITEMS):
        others = np.delete(np.arange(ITEMS), item)
        assert np.allclose(found[others, item], net.fit(X[:, others], X[:, item]).coef_, atol=5e-5)


def test_blocks_of_columns_and_tiles_of_items_change_nothing(monkeypatch):
    whole = weights_of(log(), regularization=1.0, sparsity=0.5)
    monkeypatch.setattr(_coordinate_descent, "_TILE", 4)
    monkeypatch.setattr(_coordinate_descent, "_BLOCK_BYTES", 4 * ITEMS * 7)
    assert torch.allclose(weights_of(log(), regularization=1.0, sparsity=0.5), whole, atol=2e-5)


def test_a_penalty_above_all_counts_leaves_no_weight_and_popularity():
    train = log()
    model = SLIM(ITEMS, SLIMConfig(sparsity=float(train.counts().max()) + 1.0))
    fit(model, train)
    assert not model.weights.any()
    user = Histories.from_lists([[3, 4]], ITEMS)
    assert model.given_popularity(user).all()
    popular = [item for item in np.argsort(-train.counts(), kind="stable").tolist() if item not in (3, 4)]
    assert recommend(model, user, 5).items[0].tolist() == popular[:5]


def test_items_without_a_weight_follow_in_the_order_of_popularity():
    train = log()
    model = SLIM(ITEMS, SLIMConfig(regularization=1.0, sparsity=12.0))
    fit(model, train)
    item = int(model.weights.any(dim=1).nonzero()[-1])
    related = set(model.weights[item].nonzero()[:, 0].tolist())
    user = Histories.from_lists([[item]], ITEMS)
    listed = [one for one in recommend(model, user, ITEMS).items[0].tolist() if one >= 0]
    assert 0 < len(related) < ITEMS - 1
    assert set(listed[: len(related)]) == related
    popular = np.argsort(-train.counts(), kind="stable").tolist()
    assert listed[len(related) :] == [one for one in popular if one not in related and one != item]
    with torch.no_grad():
        assert torch.equal(model.padded_logits(torch.tensor([[item, -1]])), scores(model, user))


def test_its_rows_are_weighted_by_recency():
    train, ridge, lasso = log(), 1.0, 0.5
    model = SLIM(ITEMS, SLIMConfig(regularization=ridge, sparsity=lasso, oldest=0.3))
    fit(model, train)
    x = torch.from_numpy(rows_of_sums(train, 0.3))
    assert steps_left(x.T @ x, model.weights.double(), ridge, lasso).max() < 2e-5
    assert torch.allclose(scores(model, train).double(), x @ model.weights.double(), atol=1e-5)


def rows_of_sums(histories: Histories, oldest: float) -> np.ndarray:
    """The weighted users × items matrix, in which an item has the sum of the weights of its events."""
    alone = [rows(Histories.from_lists([range(length)], ITEMS), oldest)[0] for length in histories.lengths]
    x = np.zeros((len(histories), ITEMS))
    for user in range(len(histories)):
        np.add.at(x[user], histories.of(user), alone[user][: histories.lengths[user]])
    return x


def test_what_does_not_converge_or_fit_is_named(monkeypatch):
    monkeypatch.setattr(_coordinate_descent, "MOST_SWEEPS", 1)
    with pytest.raises(FitError, match=r"SLIM: .* do not reach the minimum; regularization = 1e-06 or sparsity = 0 is"):
        weights_of(log(), regularization=1e-6, sparsity=0.0)
    with pytest.raises(
        CapacityError, match=r"SLIM of 100,000,000 items needs 40 PB; .* are free; leave out rare items"
    ):
        SLIM(100_000_000)
