"""Models that read features of users, on a simulated log: a feature tells the taste of a user, events too."""

import numpy as np
import polars as pl
import pytest
import torch

from foldin.data import Features, cold_users, split_log, with_user_features
from foldin.errors import ConfigError, ShapeError
from foldin.evaluation import evaluate
from foldin.models import ItemRows, MultVAEConfig, OnnxGraph, PopularityConfig, TwoTowerConfig, UserFeatures, capability
from foldin.runs import export_onnx, load_run, save_run
from foldin.serve.engine.registry import Registry
from foldin.testing import two_tastes
from foldin.training import fit
from tests.conftest import make_log

LOG = make_log(users=160)
TABLE = pl.DataFrame(
    {
        "user": LOG.users,
        # Told by the taste of a user in nine of ten cases.
        "group": ["a" if (int(user[1:]) + (int(user[1:]) % 10 == 9)) % 2 else "b" for user in LOG.users],
        "age": [float(at % 7) for at in range(LOG.users.len())],
    }
)
SPLIT = split_log(LOG.with_users(TABLE), "cold-users", held_out=30)
VAE = MultVAEConfig(
    hidden_dims=(16,),
    latent_dim=8,
    epochs=30,
    batch_size=25,
    learning_rate=0.02,
    beta=0.05,
    user_features=UserFeatures(),
)
TOWERS = TwoTowerConfig(embedding_dim=16, epochs=30, batch_size=25, learning_rate=0.02, user_features=UserFeatures())
_KEPT = {}


def trained(config):
    model = config.model_class(len(SPLIT.catalog), config, seed=2)
    fit(model, SPLIT.train, seed=2)
    return model


@pytest.fixture(params=[VAE, TOWERS], ids=["multvae", "two-tower"])
def model(request):
    if type(request.param) not in _KEPT:
        _KEPT[type(request.param)] = trained(request.param)
    return _KEPT[type(request.param)]


def test_users_without_events_are_given_the_items_of_their_group(model):
    popular = trained(PopularityConfig())
    found, base = (evaluate(one, SPLIT.test, metrics=("recall@10",), likelihood=False) for one in (model, popular))
    assert found.values("recall@10").mean() > 1.2 * base.values("recall@10").mean()
    assert torch.isfinite(model.logits(SPLIT.test.fold_in)).all()


def test_a_stored_run_scores_alike(model, tmp_path):
    save_run(tmp_path / "run", model=model, catalog=SPLIT.catalog, info={})
    loaded = load_run(tmp_path / "run").model
    assert torch.equal(loaded.logits(SPLIT.test.fold_in), model.logits(SPLIT.test.fold_in))
    assert torch.equal(loaded.users.map, model.users.map)


def test_what_cannot_give_features_is_refused_in_a_sentence(model, tmp_path):
    plain = two_tastes(3, len(SPLIT.catalog))
    with pytest.raises(ShapeError, match="reads features of the users, and these histories have none"):
        model.logits(plain)
    narrow = with_user_features(cold_users(LOG, held_out=30), TABLE, ("group",)).train
    with pytest.raises(ShapeError, match=r"reads 4 columns of features of the users, and these histories have 2"):
        model.logits(narrow)
    assert capability(model, OnnxGraph) is None
    assert capability(model, ItemRows) is None
    with pytest.raises(ConfigError, match="would lose the features of the users"):
        export_onnx(model, SPLIT.catalog, tmp_path / "graph.onnx")
    save_run(tmp_path / "run", model=model, catalog=SPLIT.catalog, info={})
    with pytest.raises(ShapeError, match="it can only be asked from Python, for histories with user_features"):
        Registry().load(tmp_path / "run", "run")


def test_the_features_are_a_further_input_of_the_first_layer():
    model = trained(MultVAEConfig(hidden_dims=(), latent_dim=4, epochs=2, batch_size=40, user_features=UserFeatures()))
    some = SPLIT.train.rows(0, 5)
    state = {name: one.numpy().astype(np.float64) for name, one in model.state().items()}
    bag = some.csr().toarray() @ state["encoder.0"] / np.sqrt(some.lengths)[:, None]
    first = bag + state["encoder_bias.0"] + some.user_features.toarray() @ state["user_features.map"]
    mu, logvar = model.posterior(some)
    assert np.allclose(np.hstack((mu.detach().numpy(), logvar.detach().numpy())), first, atol=1e-5)
    assert np.abs(state["user_features.map"]).max() > 1e-3


def test_features_of_held_out_users_change_nothing_that_is_learned():
    hidden = SPLIT.test.users.to_list()
    other = TABLE.with_columns(age=pl.when(pl.col("user").is_in(hidden)).then(1e6).otherwise("age"))
    changed = split_log(LOG.with_users(other), "cold-users", held_out=30)
    assert isinstance(changed.user_features, Features)
    one, two = (TOWERS.model_class(len(SPLIT.catalog), TOWERS.with_settings({"epochs": 2}), seed=2) for _ in range(2))
    fit(one, SPLIT.train, seed=2)
    fit(two, changed.train, seed=2)
    assert all(torch.equal(value, two.state()[name]) for name, value in one.state().items())
