"""Items without training events: scored by their features alone, stored with the run, and without a leak."""

import numpy as np
import polars as pl
import pytest
import torch

from foldin.data import Catalog, Histories
from foldin.errors import ConfigError, DataError, FitError, ShapeError
from foldin.models import (
    ALSConfig,
    ContentKNNConfig,
    EASEConfig,
    FeatureDecoder,
    FeatureReader,
    FeatureRows,
    FeatureVectors,
    ItemFeatures,
    ItemRows,
    MultVAEConfig,
    ProductOfExpertsConfig,
    RegressedItems,
    SASRecConfig,
    TwoTowerConfig,
    capability,
)
from foldin.runs import load_run, save_run
from foldin.training import fit
from tests.lists import recommend
from tests.models.cold import CATALOG, COLD, ITEMS, TRAIN, USERS, described, trained

VAE = {"hidden_dims": (16,), "latent_dim": 8, "epochs": 25, "batch_size": 20, "learning_rate": 0.02}
SEQUENCES = {"embedding_dim": 16, "max_length": 12, "epochs": 15, "batch_tokens": 200, "learning_rate": 0.01}
TOWERS = {"embedding_dim": 16, "epochs": 20, "batch_size": 20, "learning_rate": 0.02}
CONFIGS = {
    "contentknn": ContentKNNConfig(columns=("title", "genres")),
    "ease": EASEConfig(regularization=1.0, features=FeatureRows(regularization=0.1)),
    "als": ALSConfig(embedding_dim=2, regularization=0.1, features=RegressedItems(regularization=0.1)),
    "multvae": MultVAEConfig(**VAE, features=FeatureDecoder(dropout=0.5)),
    "sasrec": SASRecConfig(**SEQUENCES, features=FeatureVectors(columns=("title", "genres"))),
    "two-tower": TwoTowerConfig(**TOWERS, features=FeatureVectors(columns=("title", "genres"))),
}
_KEPT = {}


@pytest.fixture(params=CONFIGS)
def model(request):
    if request.param == "als":
        pytest.importorskip("implicit")
    if request.param not in _KEPT:
        _KEPT[request.param] = trained(CONFIGS[request.param])
    return _KEPT[request.param]


def test_items_without_events_are_listed_for_the_taste_of_their_features(model):
    lists = recommend(model, USERS, 2, allow=COLD)
    assert lists.items[0].tolist() in ([4, 16], [16, 4])
    assert lists.items[1, 0] == lists.items[3, 0] == 9
    everything = recommend(model, USERS, ITEMS, exclude_seen=False)
    assert all(set(row.tolist()) == set(range(ITEMS)) for row in everything.items)
    assert np.isfinite(everything.scores).all()


def test_a_history_with_such_items_has_finite_scores(model):
    assert torch.isfinite(model.logits(Histories.from_lists([[4], [9, 4], [4, 0]], ITEMS))).all()


def test_a_stored_run_scores_alike_and_keeps_its_features(model, tmp_path):
    save_run(tmp_path / "run", model=model, catalog=CATALOG, info={})
    loaded = load_run(tmp_path / "run").model
    assert torch.equal(loaded.logits(USERS), model.logits(USERS))
    assert loaded.features.as_dict() == model.features.as_dict()
    fit(loaded, TRAIN, seed=5)  # from the features that were stored
    assert torch.isfinite(loaded.logits(USERS)).all()
    (tmp_path / "run" / "features.json").write_text("{}")
    with pytest.raises(Exception, match=r"features.json: damaged"):
        load_run(tmp_path / "run")


def test_what_is_known_of_hidden_items_does_not_matter_for_the_others(model):
    changed = CATALOG.table.with_columns(
        title=pl.when(pl.Series(COLD)).then(pl.lit("something else")).otherwise(pl.col("title")),
        size=pl.when(pl.Series(COLD)).then(1e6).otherwise(pl.col("size")),
    )
    other = type(model)(ITEMS, model.config, seed=5)
    capability(other, ItemFeatures).describe(Catalog(changed))
    fit(other, TRAIN, seed=5)
    assert other.features.as_dict() == model.features.as_dict()
    before, after = (one.logits(USERS)[:, ~COLD] for one in (model, other))
    if model.has_likelihood:  # up to a constant for each user
        before, after = before - before[:, :1], after - after[:, :1]
    assert torch.allclose(before, after, atol=2e-5)


def test_the_factor_scales_their_scores_alone(model):
    if isinstance(model.config, ContentKNNConfig):
        pytest.skip("no factor")
    boosted = described(model.config.with_settings({"features.cold_factor": 4.0}))
    boosted.load_state(model.state())
    before, after = model.logits(USERS.select(np.array([0, 1]))), boosted.logits(USERS.select(np.array([0, 1])))
    assert torch.allclose(after[:, ~COLD], before[:, ~COLD])
    wanted = before + np.log(4.0) if model.has_likelihood else 4.0 * before
    assert torch.allclose(after[:, COLD], wanted[:, COLD], atol=1e-6)


def test_a_model_with_features_needs_a_catalog_with_them(model):
    kind = type(model)
    with pytest.raises(
        FitError, match=f"{kind.__name__} learns from features of the items: give the model its catalog"
    ):
        fit(kind(ITEMS, model.config), TRAIN)
    with pytest.raises(ShapeError, match="the model knows 3 items, the catalog 20"):
        kind(3, model.config).describe(CATALOG)
    with pytest.raises(DataError, match=r"has only ids of items|no column 'title'"):
        kind(ITEMS, model.config).describe(Catalog.from_ids(CATALOG.ids, np.ones(ITEMS, np.int64)))


@pytest.mark.parametrize("config", [EASEConfig(), ALSConfig(), MultVAEConfig(), SASRecConfig(), TwoTowerConfig()])
def test_without_the_option_nothing_is_read(config):
    model = config.model_class(ITEMS, config)
    assert model.lacks(FeatureReader) == "its setting features is none"
    assert capability(model, ItemFeatures) is None
    model.describe(Catalog.from_ids(CATALOG.ids))
    assert model.features is None


def test_only_the_named_columns_are_read():
    model = described(ContentKNNConfig(columns=("genres",)))
    assert set(model.features.names) == {"genres=A", "genres=B", "genres=C"}
    with pytest.raises(DataError, match="no column 'colour'; there are item, title, genres, size, count"):
        described(ContentKNNConfig(columns=("colour",)))


def test_training_with_features_cannot_start_from_another_catalog():
    for name in ("multvae", "sasrec"):
        assert "cannot start from another run" in described(CONFIGS[name]).lacks(ItemRows)


def test_experts_of_a_product_read_features_too(tmp_path):
    experts = (ContentKNNConfig(), MultVAEConfig(**{**VAE, "epochs": 2}, features=FeatureDecoder()))
    model = trained(ProductOfExpertsConfig(experts=experts, refit=True))
    save_run(tmp_path / "run", model=model, catalog=CATALOG, info={})
    loaded = load_run(tmp_path / "run").model
    assert torch.equal(loaded.logits(USERS), model.logits(USERS))
    assert np.isfinite(recommend(model, USERS, 3, allow=COLD).scores).all()


def test_settings_are_read_from_text():
    config = EASEConfig.from_texts(
        {"features": "rows", "features.weight": "10", "features.columns": "genres,title", "features.cold_factor": "4"}
    )
    assert config.features == FeatureRows(weight=10.0, columns=("genres", "title"), cold_factor=4.0)
    assert EASEConfig.from_dict(config.as_dict()) == config
    with pytest.raises(ConfigError, match="one of rows, none was expected"):
        EASEConfig.from_texts({"features": "columns"})
