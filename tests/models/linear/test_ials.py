"""iALS against its objective, written out over all pairs of users and items."""

import numpy as np
import pytest
import torch

from foldin.data import Histories
from foldin.models import IALS, IALSConfig
from foldin.testing import two_tastes
from foldin.training import fit

TRAIN = Histories.from_lists(
    [[0, 1, 2], [2, 0], [1, 3, 0, 2], [3], [1, 2, 1], []], 5
)  # an item twice, and one of nobody
CASES = [
    IALSConfig(embedding_dim=3, regularization=0.1, unobserved_weight=0.2, epochs=1),
    IALSConfig(embedding_dim=3, regularization=0.2, unobserved_weight=0.05, exponent=0.5, epochs=1),
    IALSConfig(embedding_dim=2, regularization=0.5, unobserved_weight=0.7, exponent=0.0, epochs=1),
    IALSConfig(embedding_dim=3, regularization=0.1, unobserved_weight=0.2, oldest=0.3, epochs=1),
]


def weights_of(histories: Histories, oldest: float) -> list[tuple[int, int, float]]:
    """(user, item, weight) of each event, which falls from 1 for the newest to `oldest`."""
    found = []
    for user in range(len(histories)):
        items = histories.of(user).tolist()
        for place, item in enumerate(items):
            found.append((user, item, 1 - (1 - oldest) * (len(items) - 1 - place) / max(1, len(items) - 1)))
    return found


def objective(X: torch.Tensor, Y: torch.Tensor, histories: Histories, config: IALSConfig) -> torch.Tensor:
    """The sum over all pairs, a pair at a time."""
    events = weights_of(histories, config.oldest)
    total = config.unobserved_weight * sum((x @ y) ** 2 for x in X for y in Y)
    for user, item, weight in events:
        total = total + weight * (X[user] @ Y[item] - 1.0) ** 2
    for side, place, others in ((X, 0, len(Y)), (Y, 1, len(X))):
        for at, vector in enumerate(side):
            count = sum(event[2] for event in events if event[place] == at)
            scale = (count + config.unobserved_weight * others) ** config.exponent
            total = total + config.regularization * scale * vector.square().sum()
    return total


def slope(of: torch.Tensor, value: torch.Tensor) -> float:
    return float(torch.autograd.grad(value, of, retain_graph=True)[0].abs().max())


@pytest.mark.parametrize("config", CASES, ids=["counts", "roots of counts", "the same for all", "recency"])
def test_each_half_of_an_epoch_ends_where_the_gradient_is_zero(config):
    model = IALS(5, config, seed=3)
    before = model.item_factors.double().requires_grad_()
    X = model.fold_in(TRAIN).double().requires_grad_()
    assert slope(X, objective(X, before, TRAIN, config)) < 1e-4
    result = fit(model, TRAIN)
    Y = model.item_factors.double().requires_grad_()
    value = objective(X, Y, TRAIN, config)
    assert slope(Y, value) < 1e-4
    # Elsewhere it is not zero, and what was reported is this objective.
    assert slope(X, value) > 1e-2
    assert result.records[-1].terms["alternate/loss"] == pytest.approx(value.item() / len(TRAIN), rel=1e-5)


def test_the_loss_never_rises_and_the_end_is_a_minimum_over_both_sides():
    config = IALSConfig(embedding_dim=2, regularization=0.05, unobserved_weight=0.1, epochs=60)
    train = two_tastes(20, 8)
    model = IALS(8, config, seed=1)
    X, Y = model.fold_in(train).double(), model.item_factors.double().requires_grad_()
    assert slope(Y, objective(X, Y, train, config)) > 1.0
    losses = [record.terms["alternate/loss"] for record in fit(model, train).records]
    assert (np.diff(losses) < 1e-6).all()
    assert losses[0] > losses[-1] + 0.05
    X, Y = model.fold_in(train).double().requires_grad_(), model.item_factors.double().requires_grad_()
    value = objective(X, Y, train, config)
    assert slope(X, value) < 1e-4
    assert slope(Y, value) < 1e-2


def test_items_of_nobody_have_no_factors():
    model = IALS(5, CASES[0], seed=3)
    fit(model, TRAIN)
    assert model.speaking().tolist() == [True, True, True, True, False]


def test_blocks_change_nothing(monkeypatch):
    whole, parts = (IALS(5, CASES[0], seed=3) for _ in range(2))
    fit(whole, TRAIN)
    monkeypatch.setattr("foldin.models.linear.ials._BLOCK_BYTES", 4 * 3**2 * 2)
    assert parts.block() == 2
    fit(parts, TRAIN)
    assert torch.allclose(whole.item_factors, parts.item_factors, atol=1e-5)
