"""Whoever a model knows nothing of is given what is popular, never the catalog in the order of its ids."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from foldin.data import Histories
from foldin.errors import ShapeError
from foldin.models import MODELS, PopularStart, Recommender, dislikes_inform, has_capability
from foldin.ranking import Approximate, Beam, WithSpread, scores
from foldin.training import fit
from tests.lists import recommend
from tests.small import SETTINGS, describe

ITEMS = 30
ALONE, NEVER = 3, 4  # an item that is taken with no other, and one that nobody takes
STARTS = [name for name in MODELS if has_capability(MODELS[name].model_class, PopularStart)]
SCORED_BY_ITEMS = ["itemknn", "ease", "edlae", "sansa", "slim", "elsa"]


def log() -> Histories:
    """The later an item's id, the more popular it is; ids alone are the worst of orders."""
    rng = np.random.default_rng(1)
    able = np.setdiff1d(np.arange(ITEMS), (ALONE, NEVER))
    weight = (1.0 + able) ** 2
    lists = [rng.choice(able, 6, replace=False, p=weight / weight.sum()) for _ in range(80)]
    return Histories.from_lists([*lists, [ALONE], [ALONE]], ITEMS)


TRAIN = log()
POPULAR = np.argsort(-TRAIN.counts(), kind="stable")


def trained(name: str, **more: object) -> Recommender:
    settings = {**SETTINGS.get(name, {}), **more}
    config = MODELS[name]().with_settings({**settings, **({"epochs": 2} if "epochs" in settings else {})})
    model = config.model_class(ITEMS, config, seed=0)
    describe(model)
    fit(model, TRAIN, seed=0)
    return model


@pytest.mark.parametrize("name", STARTS)
def test_an_empty_history_gets_the_most_popular_items(name):
    model = trained(name)
    users = Histories.from_lists([[], [7, 9], []], ITEMS)
    found = recommend(model, users, 6)
    assert found.items[[0, 2]].tolist() == [POPULAR[:6].tolist()] * 2
    assert (np.diff(found.scores[0]) < 0).any()
    assert model.given_popularity(users).tolist() == [True, False, True]
    assert (found.items[1] != POPULAR[:6]).any()
    # Denied and seen items stay out of it.
    assert recommend(model, users, 3, deny=POPULAR[:2]).items[0].tolist() == POPULAR[2:5].tolist()
    seen = Histories.from_lists([[int(POPULAR[0])], [], []], ITEMS)
    assert recommend(model, users, 2, seen=seen).items[0].tolist() == POPULAR[1:3].tolist()


@pytest.mark.parametrize("name", SCORED_BY_ITEMS)
def test_a_history_of_items_that_say_nothing_does_too(name):
    model = trained(name)
    users = Histories.from_lists([[NEVER], [ALONE], [NEVER, ALONE, NEVER], [NEVER, 9]], ITEMS)
    assert not model.speaking()[[NEVER, ALONE]].any()
    assert model.given_popularity(users).tolist() == [True, True, True, False]
    for user in range(3):
        expected = [item for item in POPULAR.tolist() if item not in users.of(user)][:6]
        assert recommend(model, users, 6).items[user].tolist() == expected


@pytest.mark.parametrize("name", STARTS)
def test_a_user_of_whom_only_dislikes_are_known_is_given_popularity_where_they_change_no_score(name):
    model = trained(name)
    nobody = Histories.empty(1, ITEMS)
    against = replace(Histories.from_lists([[7, 9]], ITEMS), weights=np.ones(2, np.float32))
    same = torch.allclose(scores(model, replace(nobody, dislikes=against)), scores(model, nobody))
    assert model.given_popularity(replace(nobody, dislikes=against)).tolist() == [same]
    assert dislikes_inform(model) == (not same)
    assert not model.given_popularity(replace(Histories.from_lists([[8]], ITEMS), dislikes=against)).any()
    if name in SCORED_BY_ITEMS:  # a dislike of an item that says nothing
        mute = replace(Histories.from_lists([[NEVER]], ITEMS), weights=np.ones(1, np.float32))
        assert model.given_popularity(replace(nobody, dislikes=mute)).all()


def test_dislikes_inform_models_that_read_them():
    for name, informed in (("multvae", True), ("popularity", False), ("ease", True), ("als", False), ("sasrec", False)):
        if name == "als":
            pytest.importorskip("implicit")
        assert dislikes_inform(MODELS[name].model_class(ITEMS, MODELS[name]())) == informed


def test_als_gives_popularity_to_whom_nobody_resembles():
    pytest.importorskip("implicit")
    model = trained("als")
    model.item_factors[NEVER] = 0.0
    users = Histories.from_lists([[NEVER]], ITEMS)
    assert recommend(model, users, 4).items[0].tolist() == POPULAR[:4].tolist()
    assert model.given_popularity(users).tolist() == [True]


@pytest.mark.parametrize("shrinkage", [0.0, 20.0, 1e12])
def test_places_that_neighbors_do_not_fill_are_filled_by_popularity(shrinkage):
    model = trained("itemknn", n_neighbors=2, shrinkage=shrinkage)
    users = Histories.from_lists([[25]], ITEMS)
    found = recommend(model, users, ITEMS)
    related = found.scores[0] > 1e-20
    assert 0 < related.sum() < 8
    assert (np.diff(related.astype(int)) <= 0).all()
    rest = found.items[0][~related]
    assert [one for one in POPULAR if one in rest] == rest[rest >= 0].tolist()


@pytest.mark.parametrize("name", ["popularity", "mixture", "multdae"])
def test_models_with_a_start_of_their_own_keep_it(name):
    # Their empty list is learned: popular items stand above the others.
    kind = MODELS[name].model_class
    model = kind(ITEMS, kind.Config(**SETTINGS.get(name, {})), seed=0)
    fit(model, TRAIN, seed=0)
    assert not isinstance(model, PopularStart)
    listed = recommend(model, Histories.empty(1, ITEMS), 8).items[0]
    assert TRAIN.counts()[listed].mean() > 1.5 * TRAIN.counts().mean()


def test_a_diffusion_that_learned_of_nobody_keeps_its_own():
    model = trained("diffrec", empty_share=0.3)
    assert not model.given_popularity(Histories.empty(1, ITEMS)).any()
    assert not torch.equal(scores(model, Histories.empty(1, ITEMS))[0], model.log_share.exp())


def test_an_index_gives_the_same_to_nobody():
    model = trained("sasrec")
    found = recommend(model, Histories.empty(2, ITEMS), 5, ranker=Approximate(model, "Flat"))
    assert found.items.tolist() == [POPULAR[:5].tolist()] * 2


@pytest.mark.parametrize("name", ["ease", "semantic", "lda"])
def test_what_a_user_may_ask_of_a_list(name):
    model = trained(name)
    ranker = Beam(10**9) if name == "semantic" else None
    users = Histories.from_lists([[7, 9], []], ITEMS)
    mask = np.arange(ITEMS) >= 20
    assert set(recommend(model, users, ITEMS, allow=mask, ranker=ranker).items[0].tolist()) - {-1} == set(
        range(20, ITEMS)
    )
    assert (recommend(model, users, 5, deny=mask, ranker=ranker).items < 20).all()
    huge = recommend(model, users, 2_000_000_000, ranker=ranker)
    assert huge.items.shape == (2, ITEMS)
    assert huge.items[:, :5].tolist() == recommend(model, users, 5, ranker=ranker).items.tolist()
    for asked in ({"deny": [2.7]}, {"allow": ["7"]}, {"deny": mask[:3]}, {"allow": 5}, {"deny": [2**40]}):
        with pytest.raises(ShapeError, match=r"^(allow|deny): "):
            recommend(model, users, 3, **asked, ranker=ranker)
    if name == "lda":
        spread = recommend(model, users, 10**9, ranker=WithSpread(draws=4), deny=mask)
        assert spread.items.shape == spread.spread.sd.shape == (2, ITEMS)
        assert (spread.items < 20).all()


def test_an_index_scores_whom_no_vector_tells_anything_of():
    pytest.importorskip("implicit")
    model = trained("als")
    model.item_factors[NEVER] = 0.0
    found = recommend(model, Histories.from_lists([[NEVER], [7]], ITEMS), 4, ranker=Approximate(model, "Flat"))
    assert found.items[0].tolist() == POPULAR[:4].tolist()
