"""EDLAE against regressions of each item on the others, and against its expected loss over all dropouts."""

import itertools

import numpy as np
import pytest
import torch

from foldin.data import Histories
from foldin.errors import CapacityError, FitError
from foldin.models import EASE, EDLAE, EASEConfig, EDLAEConfig
from foldin.ranking import scores
from foldin.testing import two_tastes
from foldin.training import fit
from tests.models.test_recency import TRAIN, rows


def weights_of(train: Histories, **settings: float) -> np.ndarray:
    model = EDLAE(train.n_items, EDLAEConfig(**settings))
    fit(model, train)
    return model.weights.double().numpy()


@pytest.mark.parametrize("dropout", [0.0, 0.2, 0.75])
def test_a_column_is_the_ridge_regression_of_its_item_on_the_others(dropout):
    train = two_tastes(40, 12)
    found, X = weights_of(train, dropout=dropout, regularization=3.0), train.csr().toarray().astype(float)
    penalty = dropout / (1.0 - dropout) * (X**2).sum(axis=0) + 3.0
    for item in range(12):
        others = np.delete(np.arange(12), item)
        # Rows of zeros with the roots of the penalties make it an ordinary least-squares problem.
        left = np.vstack((X[:, others], np.diag(np.sqrt(penalty[others]))))
        right = np.concatenate((X[:, item], np.zeros(11)))
        assert np.allclose(found[others, item], np.linalg.lstsq(left, right, rcond=None)[0], atol=1e-6)
        assert found[item, item] == 0.0


def test_it_minimizes_the_expected_loss_of_dropped_items_over_all_dropouts():
    train, p, ridge = Histories.from_lists([[0, 1, 2], [1, 3], [0, 2, 3], [2, 4], [1, 1, 4, 0]], 5), 0.4, 0.7
    found, X = weights_of(train, dropout=p, regularization=ridge), train.csr().toarray().astype(float)
    for item in range(5):
        others = np.delete(np.arange(5), item)
        left, right = ridge * np.eye(4), np.zeros(4)
        for kept in itertools.product((0.0, 1.0), repeat=4):
            mask = np.array(kept)
            chance = np.prod(np.where(mask > 0, 1.0 - p, p))
            seen = X[:, others] * mask / (1.0 - p)  # what is left is scaled up, so that scores need no dropout
            left += chance * seen.T @ seen
            right += chance * seen.T @ X[:, item]
        assert np.allclose(found[others, item], np.linalg.solve(left, right), atol=1e-6)


def test_without_dropout_it_is_ease_and_with_little_it_is_near():
    train = two_tastes(40, 12)
    ease = EASE(12, EASEConfig(regularization=3.0))
    fit(ease, train)
    without = weights_of(train, dropout=0.0, regularization=3.0)
    assert np.array_equal(without, ease.weights.double().numpy())
    gaps = [np.abs(weights_of(train, dropout=p, regularization=3.0) - without).max() for p in (1e-2, 1e-3, 1e-4)]
    # The distance falls in proportion to p.
    assert gaps[0] > 1e-3
    assert gaps[1] == pytest.approx(gaps[0] / 10, rel=0.1)
    assert gaps[2] == pytest.approx(gaps[1] / 10, rel=0.1)


def test_its_rows_are_weighted_by_recency():
    model = EDLAE(4, EDLAEConfig(dropout=0.25, regularization=2.0, oldest=0.3))
    fit(model, TRAIN)
    x = rows(TRAIN, 0.3)
    counts = x.T @ x
    precision = np.linalg.inv(counts + np.diag(np.diag(counts)) / 3 + 2 * np.eye(4))
    weights = np.eye(4) - precision / np.diag(precision)
    assert np.allclose(scores(model, TRAIN).numpy(), x @ weights, atol=1e-5)


def test_what_cannot_be_solved_or_stored_is_named():
    with pytest.raises(FitError, match="EDLAE: regularization = 1e-300 is too small for this log: its matrix is sing"):
        fit(EDLAE(2, EDLAEConfig(dropout=0.0, regularization=1e-300)), Histories.from_lists([[0, 1]] * 9, 2))
    with pytest.raises(
        CapacityError, match=r"EDLAE of 100,000,000 items needs 40 PB; .* are free; leave out rare items"
    ):
        EDLAE(100_000_000)


def test_items_of_nobody_have_no_weights():
    weights = torch.from_numpy(weights_of(Histories.from_lists([[0, 1], [1, 2], [3]], 5)))
    assert weights[3:].abs().sum() == weights[:, 3:].abs().sum() == 0.0
    assert weights[:3].any(dim=1).all()
