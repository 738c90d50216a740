"""Items that come after the training: larger models against those that were trained with the items."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from foldin.data import Catalog, Histories
from foldin.errors import ConfigError, FitError, RunError, ShapeError
from foldin.models import (
    ContentKNNConfig,
    EASEConfig,
    ExtendsItems,
    FeatureReader,
    FeatureRows,
    FromTitles,
    KeepsForNewItems,
    MultDAEConfig,
    MultVAEConfig,
    PersonalPopularityConfig,
    PopularityConfig,
    ProductOfExpertsConfig,
    RepeatMixtureConfig,
    SemanticIdsConfig,
    capability,
)
from foldin.models.enlarged import extended_shares
from foldin.models.start import log_shares
from foldin.training import fit
from tests.models.cold import CATALOG, COLD, ITEMS, TRAIN
from tests.models.test_cold_items import CONFIGS

# The catalog with two of its items without events at the end, and a third one that is there in training.
NEW = np.array([9, 16])
ORDER = np.concatenate((np.setdiff1d(np.arange(ITEMS), NEW), NEW))
LARGER, KNOWN = Catalog(CATALOG.table[ORDER]), ITEMS - len(NEW)
SMALLER = Catalog(LARGER.table.head(KNOWN))
PLACES = np.argsort(ORDER)
WITH_NEW = TRAIN.reindex(PLACES, ITEMS)
WITHOUT = TRAIN.reindex(np.where(PLACES < KNOWN, PLACES, -1), KNOWN)
TOLD = np.array([0, 1, 3, 4, 5])  # users with a history
USERS = [[0, 2, 6], [1, 3], [], [7, 11, 13], [KNOWN], [5, KNOWN + 1, 0]]


def trained(config, catalog, train):
    model = config.model_class(len(catalog), config, seed=5)
    reader = capability(model, FeatureReader)
    if reader is not None:
        reader.describe(catalog)
    fit(model, train, seed=5)
    return model


def histories(n_items: int = ITEMS) -> Histories:
    return Histories.from_lists([[item for item in user if item < n_items] for user in USERS], n_items)


@pytest.mark.parametrize("name", ["contentknn", "ease"])
def test_without_training_the_scores_are_those_of_a_training_with_the_items(name):
    config = CONFIGS[name]
    before = trained(config, SMALLER, WITHOUT)
    larger, whole = before.with_new_items(LARGER), trained(config, LARGER, WITH_NEW)
    assert torch.allclose(larger.logits(histories()), whole.logits(histories()), rtol=0, atol=1e-6)
    assert whole.logits(histories())[:2, KNOWN:].abs().max() > 0.05
    # Twice, one after the other, as at once.
    first = before.with_new_items(Catalog(LARGER.table.head(KNOWN + 1)))
    again = first.with_new_items(LARGER)
    assert torch.allclose(again.logits(histories()), whole.logits(histories()), rtol=0, atol=1e-6)
    assert before.n_items == KNOWN


def test_ease_takes_weights_dislikes_and_a_factor_into_account():
    config = EASEConfig(regularization=2.0, oldest=0.5, features=FeatureRows(weight=3.0, cold_factor=2.5))
    weights = np.random.default_rng(0).uniform(0.5, 3.0, TRAIN.n_events).astype(np.float32)
    dislikes = Histories.from_lists([[1, 4]] * len(TRAIN), KNOWN)

    def weighted(train: Histories) -> Histories:
        own = dislikes.reindex(np.arange(KNOWN), train.n_items)
        return replace(train, weights=weights, dislikes=own)

    larger = trained(config, SMALLER, weighted(WITHOUT)).with_new_items(LARGER)
    whole = trained(config, LARGER, weighted(WITH_NEW))
    disliked = Histories.from_lists([[3], [], [], [0, KNOWN], [], []], ITEMS)
    asked = replace(histories().select(TOLD), dislikes=disliked.select(TOLD))
    assert torch.allclose(larger.logits(asked), whole.logits(asked), rtol=0, atol=1e-6)


def cut(whole):
    """A model of the smaller catalog, as trained as one of the larger."""
    small = type(whole)(KNOWN, whole.config, seed=1)
    small.features = whole.features
    small.describe(SMALLER)
    state = small.state()
    for name, value in whole.state().items():
        if name == "log_share":
            share = value[:KNOWN].double().exp()
            state[name] = (share / share.sum()).log().float()
        elif not name.startswith("profiles."):
            state[name] = value[:KNOWN] if value.shape[:1] == (ITEMS,) and name != "features.map" else value
    small.load_state(state)
    parts = getattr(small, "profiles", None) or getattr(getattr(small, "side", None), "profiles", None)
    if parts is not None:
        parts.set(small.described())
    return small


@pytest.mark.parametrize("name", ["contentknn", "als", "multvae", "sasrec", "two-tower"])
def test_a_learned_map_makes_of_features_what_it_makes_in_training(name):
    if name == "als":
        pytest.importorskip("implicit")
    config = CONFIGS[name]
    short = {"epochs": 3} if hasattr(config, "epochs") else {}
    whole = trained(config.with_settings(short), LARGER, WITH_NEW)
    small = cut(whole)
    larger = small.with_new_items(LARGER)
    assert torch.allclose(larger.logits(histories()), whole.logits(histories()), rtol=1e-5, atol=1e-5)
    known = small.logits(histories(KNOWN))[:2], larger.logits(histories())[:2, :KNOWN]
    constant = (known[1] - known[0]).mean(dim=1, keepdim=True) if whole.has_likelihood else 0.0
    assert torch.allclose(known[0] + constant, known[1], atol=1e-5)
    told = LARGER.table.with_columns(
        genres=pl.when(pl.col("item") == "i9").then(pl.lit("A|B")).otherwise(pl.col("genres")),
        title=pl.when(pl.col("item") == "i9").then(pl.lit("even number")).otherwise(pl.col("title")),
    )
    changed = small.with_new_items(Catalog(told)).logits(histories())
    assert changed[0, KNOWN] > larger.logits(histories())[0, KNOWN]  # it is to the taste of the first user now
    assert torch.allclose(changed[0, KNOWN + 1 :], larger.logits(histories())[0, KNOWN + 1 :], atol=1e-5)


def test_the_share_of_a_new_item_is_that_of_training_with_it():
    counts = WITH_NEW.counts()
    found = extended_shares(log_shares(counts[:KNOWN]), LARGER)
    assert torch.allclose(found, log_shares(counts), atol=1e-6)
    weighted = extended_shares(log_shares(10.0 * counts[:KNOWN]), LARGER).exp()
    assert float(weighted.sum()) == pytest.approx(1.0)
    assert weighted[KNOWN:].max() <= weighted[:KNOWN].min() * (1 + 1e-6)


def test_what_ease_keeps_for_new_items_does_not_belong_to_its_state():
    model = trained(CONFIGS["ease"], SMALLER, WITHOUT)
    other = trained(CONFIGS["ease"], SMALLER, WITHOUT.select(np.arange(30)))
    kept = capability(model, KeepsForNewItems).kept_for_new_items()
    other.load_state(model.state())
    other.take_kept(kept)
    assert torch.equal(
        other.with_new_items(LARGER).logits(histories()), model.with_new_items(LARGER).logits(histories())
    )
    with pytest.raises(RunError, match=r"'precision' of the shape \(17,\) was expected"):
        other.take_kept({"precision": torch.ones(3)})
    fresh = EASEConfig(features=FeatureRows()).model_class(KNOWN, CONFIGS["ease"])
    assert fresh.kept_for_new_items() == {}
    assert "train it again" in fresh.lacks(ExtendsItems)
    with pytest.raises(ConfigError, match="train it again"):
        fresh.with_new_items(LARGER)


def test_in_a_product_the_experts_with_features_decide_among_new_items():
    config = ProductOfExpertsConfig(experts=(ContentKNNConfig(), EASEConfig(regularization=1.0)), held_out=0.3)
    model = config.model_class(KNOWN, config, seed=5)
    model.describe(SMALLER)
    fit(model, WITHOUT, seed=5)
    model.weights = torch.tensor([[2.0, 0.5]], dtype=torch.float64)
    larger = model.with_new_items(LARGER)
    content, linear = model.experts
    cold = SMALLER.cold
    known = histories(KNOWN)
    own = content.with_new_items(LARGER).logits(histories()).double().numpy()
    plain = linear.logits(known).double().numpy()
    mean = plain[:, ~cold].mean(axis=1, keepdims=True)
    plain = np.where(np.concatenate((cold, [True, True])), mean, np.pad(plain, ((0, 0), (0, 2))))
    expected = 2.0 * (own - own.max(axis=1, keepdims=True)) + 0.5 * (plain - plain.max(axis=1, keepdims=True))
    found = larger.logits(histories()).double().numpy()
    assert np.allclose(found[TOLD], expected[TOLD], atol=1e-5)
    assert np.allclose(np.exp(found[2]).sum(), 1.0, atol=1e-5)
    assert larger.columns_of_new() == {"title", "genres", "size"}
    assert model.n_items == KNOWN


def test_models_that_cannot_take_new_items_say_why():
    def reason(config):
        return config.model_class(KNOWN, config).lacks(ExtendsItems)

    assert reason(EASEConfig()) == reason(MultVAEConfig()) == "its setting features is none"
    assert "tokens = log: only tokens from titles" in reason(SemanticIdsConfig())
    assert "none of its experts" in reason(ProductOfExpertsConfig(experts=(PopularityConfig(), EASEConfig())))
    assert "an expert of it does not" in reason(RepeatMixtureConfig(experts=(MultDAEConfig(latent_dim=2),)))
    assert capability(PersonalPopularityConfig().model_class(KNOWN), ExtendsItems) is None
    with pytest.raises(ConfigError, match="its setting features is none"):
        MultVAEConfig().model_class(KNOWN, MultVAEConfig(latent_dim=2)).with_new_items(LARGER)


def test_tokens_of_titles_are_there_for_new_items():
    config = SemanticIdsConfig(
        tokens=FromTitles(levels=2, codebook_size=4, embedding_dim=4), embedding_dim=8, n_layers=1, epochs=1
    )
    model = config.model_class(KNOWN, config, seed=5)
    model.describe(SMALLER)
    fit(model, WITHOUT, seed=5)
    larger = model.with_new_items(LARGER)
    assert model.columns_of_new() == {"title"}
    other = model.with_items(LARGER.titles[KNOWN:])
    assert torch.equal(larger.logits(histories()), other.logits(histories()))
    assert list(larger.titles) == LARGER.titles


def test_a_catalog_must_begin_with_the_items_of_the_model():
    model = trained(CONFIGS["contentknn"], SMALLER, WITHOUT)
    for other in (SMALLER, CATALOG):
        with pytest.raises(ShapeError, match="a catalog of the 18 items of the model, and of others after them"):
            model.with_new_items(other)
    with pytest.raises(FitError, match="give the model its catalog"):
        ContentKNNConfig().model_class(KNOWN).with_new_items(LARGER)
    assert COLD.sum() == 3
