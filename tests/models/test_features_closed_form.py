"""What models with features compute, against dense solutions written down anew."""

import numpy as np
import pytest
import torch

from foldin.data import Histories
from foldin.models import (
    ALSConfig,
    ContentKNNConfig,
    EASEConfig,
    FeatureDecoder,
    FeatureRows,
    MultVAEConfig,
    RegressedItems,
)
from foldin.models.feature_regression import regression_weights
from foldin.ranking import scores
from tests.models.cold import COLD, ITEMS, TRAIN, USERS, described, trained

X = TRAIN.csr().toarray().astype(np.float64)


def features() -> np.ndarray:
    return described(ContentKNNConfig()).described().toarray().astype(np.float64)


def test_ease_is_the_regression_on_all_other_items_of_events_and_features():
    lam, alpha, mu = 2.0, 3.0, 0.5
    model = trained(EASEConfig(regularization=lam, features=FeatureRows(weight=alpha, regularization=mu)))
    f = features()
    expected = np.zeros((ITEMS, ITEMS))
    m = regression_weights(model.described(), ~COLD, mu)
    x = X.copy()
    x[:, COLD] = X[:, ~COLD] @ m
    rows = np.vstack((x, np.sqrt(alpha) * f.T))
    for item in range(ITEMS):
        others = ~COLD & (np.arange(ITEMS) != item)  # only items with events are regressors
        squares = rows[:, others].T @ rows[:, others] + lam * np.eye(int(others.sum()))
        expected[others, item] = np.linalg.solve(squares, rows[:, others].T @ rows[:, item])
    expected[COLD] = m.T @ expected[~COLD]
    np.fill_diagonal(expected, 0.0)
    assert np.allclose(model.weights.numpy(), expected, atol=1e-5)
    assert np.abs(expected[:, COLD]).max() > 0.01


def test_als_predicts_factors_and_does_not_count_such_items_as_refused():
    pytest.importorskip("implicit")
    settings = {"embedding_dim": 3, "regularization": 0.5, "confidence": 4.0}
    plain = trained(ALSConfig(**settings))
    model = trained(ALSConfig(**settings, features=RegressedItems(regularization=0.5)))
    y = model.item_factors.numpy().astype(np.float64)
    assert np.allclose(y[~COLD], plain.item_factors.numpy()[~COLD])
    f = features()
    f = f - f[~COLD].mean(axis=0)
    mean = y[~COLD].mean(axis=0)
    ridge = f[~COLD].T @ f[~COLD] + 0.5 * np.eye(f.shape[1])
    predicted = mean + f[COLD] @ np.linalg.solve(ridge, f[~COLD].T @ (y[~COLD] - mean))
    assert np.allclose(y[COLD], predicted, atol=1e-5)
    known = y[~COLD]
    for history in ([0, 2, 6], [4, 0], [9]):
        own = y[history]
        refused = [item for item in history if not COLD[item]]
        left = known.T @ known + 0.5 * np.eye(3) + 4.0 * own.T @ own - y[refused].T @ y[refused]
        x = np.linalg.solve(left, 4.0 * own.sum(axis=0))
        found = scores(model, Histories.from_lists([history], ITEMS))[0]
        assert np.allclose(found.numpy(), y @ x, atol=1e-4)


def test_neighbors_are_cosines_of_the_profile():
    f = features()
    for length, start in ((None, 0), (2, 1)):
        model = trained(ContentKNNConfig(max_length=length))
        profile = f[[0, 2, 6][start:]].sum(axis=0)
        cosines = f @ profile / (np.linalg.norm(f, axis=1) * np.linalg.norm(profile))
        assert np.allclose(scores(model, USERS)[0].numpy(), cosines, atol=1e-5)


def test_rows_of_the_decoder_are_free_rows_plus_features():
    config = MultVAEConfig(hidden_dims=(), latent_dim=4, epochs=3, batch_size=20, features=FeatureDecoder(dropout=0.3))
    model = trained(config)
    state = {name: one.numpy().astype(np.float64) for name, one in model.state().items()}
    mapped = features() @ state["features.map"]
    weight, bias = state["decoder.0"] + mapped[:, :-1], state["decoder_bias.0"] + mapped[:, -1]
    assert not state["decoder.0"][COLD].any()
    assert not state["decoder_bias.0"][COLD].any()
    assert np.abs(mapped[COLD]).max() > 1e-3
    z = model.posterior(USERS)[0].detach().numpy().astype(np.float64)
    assert np.allclose(model.logits(USERS).numpy(), z @ weight.T + bias, atol=1e-5)
    vectors, biases = model.item_vectors()
    assert np.allclose(vectors.numpy(), weight, atol=1e-6)
    assert np.allclose(biases.numpy(), bias, atol=1e-6)
    # The likelihood that refinement and bounds use is that of the same layer, over all items.
    some = USERS.select(np.array([0, 1, 3]))
    at = torch.from_numpy(z[[0, 1, 3]]).float()
    assert torch.allclose(model.differentiable_log_likelihood(at, some), model.log_likelihood(at, some), atol=1e-4)
