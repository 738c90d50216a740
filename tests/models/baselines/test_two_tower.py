"""The two-tower model against its equations, written down anew with NumPy."""

import numpy as np
import pytest
import torch

from foldin.data import Histories
from foldin.errors import FitError
from foldin.models import FeatureVectors, OnnxGraph, TwoTowerConfig, UserFeatures, capability
from foldin.models.baselines._two_tower_trainer import _some_events
from foldin.training import fit
from tests.models.cold import COLD, ITEMS, TRAIN, USERS, described, trained

SMALL = {"embedding_dim": 6, "epochs": 3, "batch_size": 20, "learning_rate": 0.02}


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("hidden_dims", [(), (5,)], ids=["linear", "deep"])
def test_scores_are_the_product_of_the_two_towers(hidden_dims):
    model = trained(TwoTowerConfig(**SMALL, hidden_dims=hidden_dims, features=FeatureVectors(cold_factor=2.0)))
    state = {name: one.numpy().astype(np.float64) for name, one in model.state().items()}
    mapped = model.described().toarray().astype(np.float64) @ state["features.map"]
    first = mapped.shape[1] // 2
    read, scored = state["read_rows"] + mapped[:, :first], state["scored_rows"] + mapped[:, first:]
    some = USERS.select(np.array([0, 1, 3]))
    x = state["start"] + some.csr().toarray() @ read / np.sqrt(some.lengths)[:, None]

    def tower(rows, name):
        return rows if not hidden_dims else np.tanh(rows) @ state[f"{name}.weights.0"].T + state[f"{name}.biases.0"]

    expected = unit(tower(x, "user")) @ unit(tower(scored, "item")).T / 0.1 + np.where(COLD, np.log(2.0), 0.0)
    assert np.allclose(model.logits(some).numpy(), expected, atol=1e-4)
    assert not state["read_rows"][COLD].any()
    assert not state["scored_rows"][COLD].any()
    nobody = model.logits(Histories.empty(1, ITEMS))
    assert torch.equal(nobody[0], model.log_share)


def test_features_alone_score_all_items():
    model = trained(TwoTowerConfig(**SMALL, free_rows=False, features=FeatureVectors(columns=("genres",))))
    scores = model.logits(USERS)[0]
    # Items with equal features have equal scores.
    assert torch.allclose(scores[0::2], scores[0].expand(ITEMS // 2), atol=1e-5)
    assert torch.allclose(scores[1::2], scores[1].expand(ITEMS // 2), atol=1e-5)
    assert scores[0] > scores[1]


def test_targets_are_distinct_random_events_of_each_user():
    histories = Histories.from_lists([[3, 1, 2, 5], [], [7], [8, 9, 4]], ITEMS)
    found = _some_events(histories, 3, torch.Generator().manual_seed(1))
    assert len(set(found.tolist())) == len(found)
    assert np.bincount(histories.users()[found], minlength=4).tolist() == [3, 0, 1, 3]
    drawn = {tuple(sorted(_some_events(histories, 3, torch.Generator().manual_seed(s))[:3])) for s in range(20)}
    assert len(drawn) == 4  # each of the four events is left out at times


def test_features_of_users_are_needed_where_they_are_read():
    model = described(TwoTowerConfig(**SMALL, user_features=UserFeatures()))
    assert capability(model, OnnxGraph) is None
    assert "would lose the features of the users" in model.lacks(OnnxGraph)
    with pytest.raises(FitError, match="the training users have none; see with_user_features"):
        fit(model, TRAIN)


def test_vectors_of_features_begin_with_other_numbers_than_those_of_items():
    model = described(TwoTowerConfig(features=FeatureVectors(), hidden_dims=(), embedding_dim=16))
    drawn, rows = model.side.map.detach().flatten(), model.read_rows.detach().flatten()
    n = min(len(drawn), len(rows))
    assert abs(float(torch.corrcoef(torch.stack([drawn[:n], rows[:n]]))[0, 1])) < 0.3
