"""SANSA against EASE, which it becomes with all neighbors, and against its formula with dense matrices."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from foldin.data import Histories
from foldin.errors import CapacityError, FitError
from foldin.models import EASE, SANSA, EASEConfig, SANSAConfig
from foldin.models.linear import _sparse_gram, sansa
from foldin.ranking import scores
from foldin.testing import two_tastes
from foldin.training import fit
from tests.models.linear.test_sparse_factor import ITEMS, log


def judged() -> Histories:
    """The log with weights and with dislikes."""
    train, rng = log(), np.random.default_rng(1)
    against = [rng.choice(ITEMS, 1) for _ in range(len(train))]
    weights = rng.uniform(0.5, 2.0, train.n_events).astype(np.float32)
    return replace(train, weights=weights, dislikes=Histories.from_lists(against, ITEMS))


@pytest.mark.parametrize("head", [1, 6, ITEMS])
@pytest.mark.parametrize(
    ("train", "oldest"), [(log(), 1.0), (log(), 0.3), (judged(), 1.0)], ids=["", "oldest", "signed"]
)
def test_with_all_neighbors_it_is_ease(head, train, oldest, monkeypatch):
    monkeypatch.setattr(_sparse_gram, "_HEAD", head)
    ease = EASE(ITEMS, EASEConfig(regularization=3.0, oldest=oldest))
    model = SANSA(ITEMS, SANSAConfig(regularization=3.0, n_neighbors=ITEMS, oldest=oldest))
    for one in (ease, model):
        fit(one, train)
    assert (scores(ease, train) - scores(model, train)).abs().max() < 1e-5


def trained(**settings: float) -> SANSA:
    model = SANSA(ITEMS, SANSAConfig(**{"regularization": 3.0, "n_neighbors": 3, **settings}))
    fit(model, log())
    return model


def weights_of(model: SANSA) -> torch.Tensor:
    """B, by the dense matrix P = WᵀW."""
    W = torch.diag(model.diagonal.double())
    W.scatter_add_(1, model.neighbors.long(), model.weights.double())
    P = W.t() @ W
    return (torch.eye(ITEMS, dtype=P.dtype) - P / P.diagonal()).fill_diagonal_(0.0)


@pytest.mark.parametrize("share", [0.0, 2.0], ids=["dense products", "sparse products"])
def test_scores_are_those_of_the_dense_matrix(share, monkeypatch):
    monkeypatch.setattr(sansa, "_SPARSE", share)
    model = trained()
    counts = torch.from_numpy(log().counts())
    users = Histories.from_lists([[0, 5, 13], [9], [3, 3, 12]], ITEMS)
    x = torch.from_numpy(users.csr().toarray()).double()
    assert ((model.weights != 0).sum(dim=1) <= 3).all()
    assert (counts[model.neighbors.long()] >= counts.unsqueeze(1)).all()  # neighbors are not less popular
    assert (scores(model, users) - x @ weights_of(model)).abs().max() < 1e-5


def test_no_item_explains_itself():
    found = scores(trained(), Histories.from_lists([[item] for item in range(ITEMS)], ITEMS))
    assert found.diagonal().abs().max() < 1e-6


def test_more_neighbors_come_nearer_to_ease():
    ease = EASE(ITEMS, EASEConfig(regularization=3.0))
    fit(ease, log())
    distances = [(weights_of(trained(n_neighbors=k)) - ease.weights).norm().item() for k in (1, 3, 6, ITEMS)]
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > 0.1
    assert distances[-1] < 1e-5


def test_a_loaded_state_is_what_scores_are_made_of():
    users, one, other = Histories.from_lists([[0, 5, 13]], ITEMS), trained(), trained(regularization=30.0)
    before = scores(one, users)
    one.load_state(other.state())
    assert not torch.allclose(before, scores(one, users), atol=1e-3)
    assert torch.equal(scores(one, users), scores(other, users))


def test_an_item_of_nobody_changes_no_list():
    train = two_tastes(40, 12)
    model = SANSA(13, SANSAConfig(regularization=1.0, n_neighbors=20))
    fit(model, Histories.from_lists([train.of(user) for user in range(40)], 13))
    assert model.speaking().tolist() == [True] * 12 + [False]
    users = Histories.from_lists([[0, 12, 2], [0, 2]], 13)
    assert torch.equal(*scores(model, users))


def test_a_penalty_that_leaves_a_row_infinite_is_named():
    with pytest.raises(FitError, match="SANSA: regularization = 1e-300 is too small for this log"):
        fit(SANSA(3, SANSAConfig(regularization=1e-300)), Histories.from_lists([[0, 1]] * 9, 3))


def test_a_catalog_that_does_not_fit_is_refused_before_anything_is_made():
    with pytest.raises(
        CapacityError, match=r"SANSA of 2,000,000,000 items with 400 neighbors each needs 19 TB; .* fewer neigh"
    ):
        SANSA(2_000_000_000, SANSAConfig(n_neighbors=400))
