"""What every model in `MODELS` must do."""

import numpy as np
import pytest
import torch

from foldin.data import Catalog, Histories
from foldin.errors import ConfigError, FitError, RunError, ShapeError
from foldin.models import MODELS, DotProduct, MultVAEConfig, OnnxGraph, PosteriorSampler, Recommender
from foldin.ranking import PosteriorSample, WithSpread, scores
from foldin.runs import load_run, save_run
from foldin.training import fit
from tests.conftest import checkerboard
from tests.lists import recommend

ITEMS = 20
# Small and quick; a model that is not named here is trained with its defaults.
SETTINGS = {
    "itemknn": {"shrinkage": 1.0},
    "ease": {"regularization": 1.0},
    "als": {"factors": 2, "regularization": 0.1},
    "multdae": {"latent": 16, "epochs": 40, "batch_size": 20, "learning_rate": 0.02},
    "recvae": {"hidden": 16, "latent": 8, "epochs": 25, "batch_size": 20, "learning_rate": 0.01},
    "mixture": {"classes": 4, "epochs": 20},
    "plsa": {"topics": 4, "epochs": 30},
    "lda": {"topics": 4, "epochs": 30},
    "poisson": {"factors": 4, "epochs": 30},
    "sasrec": {"width": 16, "length": 12, "epochs": 30, "batch_tokens": 200, "learning_rate": 0.01},
    "semantic": {
        **{"levels": 2, "codes": 6, "vector": 8, "width": 16, "length": 12},
        **{"epochs": 40, "batch_tokens": 200, "learning_rate": 0.01},
    },
    "diffrec": {"hidden": (16, 8), "steps": 5, "epochs": 60, "batch_size": 20, "learning_rate": 0.01},
    "l-diffrec": {
        **{"latent": 12, "hidden": (16,), "steps": 4, "epochs": 60, "batch_size": 20, "learning_rate": 0.02},
        **{"dropout": 0.2, "beta": 0.1},
    },
    "multvae": {"hidden": (16,), "latent": 8, "epochs": 60, "batch_size": 20, "learning_rate": 0.02},
}
PEOPLE = Histories.from_lists([[0, 2, 4], [1, 3], [], [7], [2, 4, 0, 6, 8, 10, 12, 14, 16, 18]], ITEMS)


def trained(name: str, train: Histories | None = None, **settings) -> Recommender:
    kind = MODELS[name].model_class
    model = kind(ITEMS, kind.Config(**{**SETTINGS.get(name, {}), **settings}), seed=5)
    fit(model, checkerboard(60, ITEMS) if train is None else train, seed=5)
    return model


@pytest.fixture(scope="module", params=MODELS)
def named(request) -> tuple[str, Recommender]:
    return request.param, trained(request.param)


@pytest.fixture
def model(named) -> Recommender:
    return named[1]


def test_even_people_are_given_even_items(named):
    name, model = named
    if name == "popularity":
        pytest.skip("popularity gives everybody one list by design")
    lists = recommend(model, PEOPLE, 3).items
    assert (lists[0] % 2 == 0).all()
    assert (lists[1] % 2 == 1).all()
    assert (lists[3] % 2 == 1).all()


def test_popularity_gives_everybody_the_most_taken():
    train = Histories.from_lists([[0, 1], [1, 2], [1]], ITEMS)
    assert recommend(trained("popularity", train), Histories.empty(1, ITEMS), 3).items.tolist() == [[1, 0, 2]]


def test_a_likelihood_model_is_normalised_and_others_say_so(model):
    found = scores(model, PEOPLE)
    assert found.shape == (5, ITEMS)
    assert torch.isfinite(found).all()
    if model.has_likelihood:
        assert torch.allclose(found.exp().sum(1), torch.ones(5), atol=1e-5)


def test_listed_probabilities_are_those_of_the_items_that_may_be_listed(model):
    if not model.has_likelihood:
        pytest.skip("no density")
    found = recommend(model, PEOPLE, ITEMS, deny=[5])
    assert np.allclose(np.exp(found.scores).sum(axis=1), 1.0, atol=1e-5)


def test_an_unseen_person_an_empty_history_and_one_item_are_served(model):
    found = recommend(model, PEOPLE, 4)
    assert found.items.shape == (5, 4)
    assert (found.items >= 0).all()
    assert np.isfinite(found.scores).all()


def test_nobody_is_served_nothing(model):
    assert recommend(model, Histories.empty(0, ITEMS), 3).items.shape == (0, 3)
    assert scores(model, Histories.empty(0, ITEMS)).shape == (0, ITEMS)


def test_a_batch_equals_one_by_one(model, monkeypatch):
    together, every = recommend(model, PEOPLE, 6), scores(model, PEOPLE)
    for user in range(len(PEOPLE)):
        alone = recommend(model, PEOPLE.rows(user, user + 1), 6)
        assert np.allclose(alone.scores[0], together.scores[user], atol=1e-5)
        assert torch.allclose(scores(model, PEOPLE.rows(user, user + 1))[0], every[user], atol=1e-5)
    monkeypatch.setattr(type(model), "block", lambda self: 2)
    blocks = recommend(model, PEOPLE, 6)
    assert np.allclose(blocks.scores, together.scores, atol=1e-5)


def test_seen_denied_and_not_allowed_items_are_never_listed(model):
    found = recommend(model, PEOPLE, ITEMS, deny=[1, 2], allow=range(1, 12)).items
    for user in range(len(PEOPLE)):
        listed = set(found[user][found[user] >= 0].tolist())
        assert listed == set(range(1, 12)) - {1, 2} - set(PEOPLE.of(user).tolist())
    kept = recommend(model, PEOPLE, ITEMS, exclude_seen=False).items
    assert all(set(row.tolist()) == set(range(ITEMS)) for row in kept)


def test_places_that_stay_empty_are_minus_one(model):
    found = recommend(model, PEOPLE, 4, allow=[0, 3])
    assert (found.items[0] >= 0).sum() == 1
    assert (found.scores[found.items < 0] == -np.inf).all()


def test_scores_come_with_the_item_they_belong_to_best_first(model):
    found = recommend(model, PEOPLE, 8)
    assert (np.diff(found.scores, axis=1) <= 1e-7).all()
    assert all(len(set(row.tolist())) == 8 for row in found.items)


def test_a_rectangle_of_items_is_scored_as_the_history_is(model):
    if not isinstance(model, OnnxGraph):
        pytest.skip("cannot be exported")
    history = torch.full((len(PEOPLE), 12), -1)
    for user in range(len(PEOPLE)):
        history[user, : PEOPLE.lengths[user]] = torch.from_numpy(PEOPLE.of(user))
    with torch.no_grad():
        assert torch.allclose(model.padded_logits(history), model._logits(PEOPLE), atol=1e-5)


def test_an_inner_product_gives_the_scores(model):
    if not isinstance(model, DotProduct):
        pytest.skip("not an inner product")
    some = PEOPLE.select(np.flatnonzero(PEOPLE.lengths))
    vectors, biases = model.item_vectors()
    assert torch.allclose(model.queries(some) @ vectors.t() + biases, model._logits(some), atol=1e-5)


def test_asking_does_not_change_the_model(model):
    before = model.state()
    recommend(model, PEOPLE, 3)
    scores(model, PEOPLE)
    assert all(torch.equal(before[name], value) for name, value in model.state().items())


def test_store_and_load_are_bit_equal(named, tmp_path):
    _, model = named
    catalog = Catalog.from_ids([f"i{k}" for k in range(ITEMS)])
    save_run(tmp_path / "run", model=model, catalog=catalog, info={})
    loaded = load_run(tmp_path / "run")
    assert torch.equal(scores(loaded.model, PEOPLE), scores(model, PEOPLE))
    assert loaded.model.config == model.config
    assert type(loaded.model) is type(model)


def test_the_same_seed_gives_the_same_scores(named):
    name, model = named
    assert torch.equal(scores(trained(name), PEOPLE), scores(model, PEOPLE))


def test_other_catalogues_and_settings_are_refused(model):
    with pytest.raises(ShapeError, match="knows 20 items, the histories are over 7"):
        scores(model, Histories.empty(1, 7))
    with pytest.raises(ShapeError, match="k must be at least 1"):
        recommend(model, PEOPLE, 0)
    with pytest.raises(ShapeError, match=r"deny: item indices must be in \[0, 20\)"):
        recommend(model, PEOPLE, 2, deny=[20])
    with pytest.raises(RunError, match="stored tensors"):
        model.load_state({"other": torch.zeros(1)})
    with pytest.raises(FitError, match="nobody to train on"):
        fit(model, Histories.empty(3, ITEMS))


@pytest.mark.parametrize("name", [n for n in MODELS if n != "multvae"])
def test_the_config_of_another_model_is_refused(name):
    with pytest.raises(ConfigError, match="takes a"):
        MODELS[name].model_class(ITEMS, MultVAEConfig())


def test_a_posterior_s_draws_spread_about_the_list(model):
    if not isinstance(model, PosteriorSampler):
        pytest.skip("no posterior")

    def spread(seed: int = 0, **settings):
        return recommend(model, PEOPLE, 15, ranker=WithSpread(draws=60, seed=seed, **settings))

    def sample(seed: int):
        return recommend(model, PEOPLE, 15, ranker=PosteriorSample(seed, 60))

    lists = spread()
    fixed = recommend(model, PEOPLE, 15)
    assert (lists.items == fixed.items).all()
    found = lists.spread
    assert (found.low <= found.high).all()
    wide = spread(level=0.99).spread
    assert (wide.low <= found.low).all()
    assert (wide.high >= found.high).all()
    narrow = spread(level=0.2).spread
    assert wide.high.sum() > narrow.high.sum()
    assert (found.sd >= 0).all()
    assert ((found.in_top_k >= 0) & (found.in_top_k <= 1)).all()
    assert found.sd.max() > 0
    # Ten items are left to the last person, and all of them are always listed.
    assert (found.in_top_k[4, :10] == 1).all()
    assert found.mean[4, :10].sum() == pytest.approx(1.0, abs=1e-4)
    assert (found.high[4, 10:] == 0).all()
    assert (spread().spread.sd == found.sd).all()
    explored = [sample(seed) for seed in range(1, 9)]
    assert (sample(1).items == explored[0].items).all()
    assert any((one.items != fixed.items).any() for one in explored)
    everything = Histories.from_lists([list(range(ITEMS))], ITEMS)
    for ranker in (WithSpread(), PosteriorSample()):
        empty = recommend(model, everything, 3, ranker=ranker)
        assert (empty.items == -1).all()
        assert (empty.scores == -np.inf).all()
        assert (empty.spread.mean == 0).all()
    with pytest.raises(ShapeError, match="two draws"):
        WithSpread(draws=1)
    with pytest.raises(ShapeError, match="level"):
        PosteriorSample(level=1.0)
