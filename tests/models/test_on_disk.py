"""A model that is trained on mapped histories, a part at a time, is the model that is trained on them in memory."""

from typing import Any

import numpy as np
import pytest
import torch

from foldin.data import Histories
from foldin.models import config_class
from foldin.training import fit

USERS, ITEMS = 120, 50


@pytest.fixture
def both(tmp_path, monkeypatch):
    """(histories in memory, the same mapped and worked on in parts of 90 events)."""
    rng = np.random.default_rng(0)
    lists = [rng.choice(ITEMS, rng.integers(1, 20), replace=False) for _ in range(USERS)]
    whole = Histories.from_lists(lists, ITEMS)
    times = np.sort(rng.integers(1_500_000_000, 1_500_900_000, whole.n_events))
    arrays = {"items": whole.items, "offsets": whole.offsets, "times": times}
    mapped = {}
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
        mapped[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="c")
    monkeypatch.setattr("foldin.data.parts.PART_EVENTS", 90)
    monkeypatch.setattr("foldin.data.parts.WINDOW_PARTS", 1000)  # one window: users in the order of training in memory
    on_disk = Histories(n_items=ITEMS, **mapped)
    assert on_disk.on_disk
    return Histories(n_items=ITEMS, **arrays), on_disk


CASES: list[tuple[str, dict[str, Any], float]] = [
    ("popularity", {}, 0.0),
    ("popularity", {"window_days": 5.0}, 0.0),
    ("ease", {}, 0.0),
    ("ease", {"oldest": 0.5}, 1e-5),
    ("edlae", {}, 0.0),
    ("sansa", {"n_neighbors": 5}, 0.0),
    ("slim", {"regularization": 1.0, "sparsity": 0.5}, 0.0),
    ("elsa", {"embedding_dim": 4, "batch_size": 50, "epochs": 2}, 0.0),
    ("ials", {"embedding_dim": 4, "epochs": 2}, 0.0),
    ("lda", {"n_components": 3, "epochs": 3}, 1e-4),
    ("lda", {"n_components": 3, "epochs": 2, "online": "online", "online.batch_size": 40}, 0.0),
    ("poisson", {"n_components": 3, "epochs": 3}, 1e-4),
    ("poisson", {"n_components": 3, "epochs": 3, "ascent.restart": False}, 1e-4),
    ("multvae", {"hidden_dims": (8,), "latent_dim": 4, "batch_size": 50, "epochs": 2}, 0.0),
    ("recvae", {"hidden_dim": 8, "latent_dim": 4, "batch_size": 50, "epochs": 2}, 0.0),
    ("sasrec", {"embedding_dim": 8, "epochs": 2}, 0.0),
]


@pytest.mark.parametrize(("name", "settings", "tolerance"), CASES, ids=str)
def test_it_learns_the_same(both, name, settings, tolerance):
    states = []
    for train in both:
        config = config_class(name)().with_settings(settings)
        model = config.model_class(ITEMS, config, seed=1)
        fit(model, train, seed=2)
        states.append(model.state())
    for key, value in states[0].items():
        assert torch.allclose(value, states[1][key], rtol=tolerance, atol=tolerance), key
