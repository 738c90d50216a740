"""ELSA against its loss, written out with the dense matrix of items by items."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from foldin.data import Histories
from foldin.models import ELSA, ELSAConfig
from foldin.ranking import scores
from foldin.testing import two_tastes
from foldin.training import Step, fit
from tests.models.test_recency import rows

USERS = Histories.from_lists([[0, 1, 2], [2, 0], [1, 3, 0, 2], [3], [4, 2]], 6)


def dense_loss(vectors: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """‖x / ‖x‖ − x̂ / ‖x̂‖‖², with x̂ = x (A Aᵀ − I), mean over users."""
    A = F.normalize(vectors, dim=1)
    predicted = x @ (A @ A.T - torch.eye(len(A), dtype=A.dtype))
    return (F.normalize(x, dim=1) - F.normalize(predicted, dim=1)).square().sum(dim=1).mean()


def loss_of(model: ELSA, users: Histories) -> torch.Tensor:
    return model.trainer(users).phases[0].loss(users, Step(number=0, planned=1), torch.Generator()).value


@pytest.mark.parametrize("oldest", [1.0, 0.3])
def test_loss_and_gradient_are_those_of_the_dense_matrix(oldest):
    model = ELSA(6, ELSAConfig(embedding_dim=3, oldest=oldest), seed=2)
    with torch.no_grad():
        model.vectors.mul_(torch.tensor([[1.0], [2.0], [0.5], [3.0], [1.0], [0.2]]))  # training does not keep lengths
    loss = loss_of(model, USERS)
    loss.backward()
    exact = model.vectors.detach().double().requires_grad_()
    expected = dense_loss(exact, torch.from_numpy(rows(USERS, oldest)))
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    assert model.vectors.grad.abs().max() > 0.01
    assert torch.allclose(model.vectors.grad.double(), exact.grad, atol=1e-5)


def test_an_item_that_a_user_takes_twice_has_the_entry_two():
    model = ELSA(6, ELSAConfig(embedding_dim=3), seed=2)
    twice = Histories.from_lists([[0, 1, 0], [2, 2, 2, 5], [4, 4]], 6)
    x = torch.from_numpy(twice.csr().toarray()).double()
    assert x.max() == 3.0
    assert loss_of(model, twice).item() == pytest.approx(
        dense_loss(model.vectors.detach().double(), x).item(), abs=1e-5
    )
    assert twice.items.tolist() == [0, 1, 0, 2, 2, 2, 5, 4, 4]


def test_a_history_of_one_item_teaches_nothing():
    model = ELSA(6, ELSAConfig(embedding_dim=3), seed=2)
    loss_of(model, Histories.from_lists([[0], [3], [5, 5]], 6)).backward()
    assert (model.vectors.grad == 0.0).all()


@pytest.fixture(scope="module")
def trained() -> ELSA:
    """A model in whose log item 12 is taken with no other, and item 13 by nobody."""
    tastes = two_tastes(60, 12)
    lists = [tastes.of(user).tolist() for user in range(60)]
    model = ELSA(14, ELSAConfig(embedding_dim=4, batch_size=20, epochs=15), seed=1)
    result = fit(model, Histories.from_lists([*lists, [12], [12, 12]], 14), seed=1)
    losses = [record.terms["train/loss"] for record in result.records]
    assert losses[-1] < losses[0] - 0.2
    return model


def test_no_item_explains_itself(trained):
    vectors = trained.unit_vectors().detach().double()
    assert (vectors @ vectors.T - torch.eye(14)).diagonal()[:12].abs().max() < 1e-6
    assert not trained.vectors[12:].any()
    assert trained.speaking().tolist() == [True] * 12 + [False] * 2


def test_items_outside_the_history_have_the_scores_of_the_matrix_without_its_diagonal(trained):
    vectors = trained.unit_vectors().detach()
    users = Histories.from_lists([[0, 2], [5, 1, 3]], 14)
    x = torch.from_numpy(users.csr().toarray())
    expected, found = x @ (vectors @ vectors.T - torch.eye(14)), scores(trained, users)
    unseen = x == 0
    assert torch.allclose(found[unseen], expected[unseen], atol=1e-5)
    # Items of one taste are near each other, and far from those of the other.
    assert found[0, 4:12:2].min() > found[0, 1:12:2].max()


def test_a_history_of_items_without_a_vector_gets_the_popular_ones(trained):
    users = Histories.from_lists([[12], [13, 12]], 14)
    assert trained.given_popularity(users).all()
    popular = trained.log_share.exp()
    assert torch.equal(scores(trained, users), popular.expand(2, 14))
    assert np.argmax(popular.numpy()) < 12
