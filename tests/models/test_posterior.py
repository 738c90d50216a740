"""Lists drawn from a posterior: their propensities, and that nobody's draws depend on the others."""

import numpy as np
import pytest
import torch

from foldin.data import Histories
from foldin.errors import ShapeError
from foldin.models import (
    MODELS,
    MixtureOfMultinomials,
    MixtureOfMultinomialsConfig,
    Popularity,
    PopularityConfig,
    PosteriorSampler,
    Recommender,
    has_capability,
    user_key,
)
from foldin.models.streams import history_key, stream, streams
from foldin.ranking import PosteriorSample, WithSpread, rank
from foldin.testing import two_tastes
from foldin.training import fit
from tests.lists import recommend
from tests.small import SETTINGS

CHANCES = np.array([0.005, 0.1, 0.395, 0.5])


class Known(PosteriorSampler, Recommender[PopularityConfig]):
    """Each draw puts one item first, with a known probability."""

    Config = PopularityConfig
    has_likelihood = True
    summary = "known"
    _build = Popularity._build
    trainer = Popularity.trainer
    tensors = Popularity.tensors
    _logits = Popularity._logits

    def block(self) -> int:
        return 1 << 16

    def drawn_logits(self, histories, streams):
        below = CHANCES.cumsum()
        while True:
            for uniform in streams.uniforms(100):
                first = torch.from_numpy((uniform[:, None] >= below[:-1]).sum(axis=1))
                yield 5.0 * torch.nn.functional.one_hot(first, 4)


def explored(draws: int, count: int = 4000):
    users = Histories.empty(count, 4)
    keys = [user_key(user) for user in range(count)]
    return rank(Known(4), users, 1, ranker=PosteriorSample(1, draws), keys=keys)


@pytest.fixture(scope="module")
def many():
    return explored(1000)


def test_an_item_is_listed_as_often_as_its_probability_says(many):
    counts = np.bincount(many.items[:, 0], minlength=4) / len(many.items)
    assert np.abs(counts - CHANCES).max() < 4 * np.sqrt(0.25 / len(many.items))


@pytest.mark.parametrize("item", range(4))
def test_the_propensity_of_a_listed_item_is_unbiased(many, item):
    p = CHANCES[item]
    found = many.propensity[many.items[:, 0] == item, 0]
    assert found.mean() == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / 1000 / len(found)))
    errors = many.propensity_se[many.items[:, 0] == item, 0]
    assert errors.mean() == pytest.approx(np.sqrt(p * (1 - p) / 1000), rel=0.12)


@pytest.mark.parametrize("item", range(4))
def test_weights_by_inverse_propensity_restore_the_total(many, item):
    """E[weight · listed] is 1 whatever the propensity, up to (1 − p)^(n + 1)."""
    listed = many.items[:, 0] == item
    total = (listed * many.inverse_propensity[:, 0]).mean()
    error = (listed * many.inverse_propensity[:, 0]).std() / np.sqrt(len(listed))
    assert total == pytest.approx(1 - (1 - CHANCES[item]) ** 1001, abs=4 * error)
    assert total > 0.6


def test_few_draws_say_that_they_are_few():
    found = explored(100)
    rare = found.items[:, 0] == 0
    assert rare.sum() > 10
    assert (found.propensity[rare] < 0.05).all()
    assert found.propensity[rare].min() == 0.0  # not 1/100: the list that is shown is not among its own draws
    assert (found.propensity_se > 0.005).all()
    assert found.inverse_propensity.max() == 101.0
    assert found.spread.draws == 100


def test_the_list_does_not_depend_on_the_number_of_draws():
    assert (explored(2, 200).items == explored(500, 200).items).all()


def test_users_have_draws_of_their_own_and_equal_ones_the_same():
    assert len(set(explored(2, 200).items[:, 0].tolist())) > 1
    alike = rank(Known(4), Histories.empty(50, 4), 1, ranker=PosteriorSample(2, 2))
    assert len(set(alike.items[:, 0].tolist())) == 1
    with pytest.raises(ShapeError, match="3 keys of 2 users"):
        rank(Known(4), Histories.empty(2, 4), 1, keys=[1, 2, 3])


def test_more_draws_are_taken_when_exploring():
    model, users = Known(4), Histories.empty(1, 4)
    assert rank(model, users, 1, ranker=WithSpread()).spread.draws == 100
    assert rank(model, users, 1, ranker=PosteriorSample()).spread.draws == 1000


USERS = Histories.from_lists([[0, 2, 4], [1, 3], [], [7], [2, 4, 0, 6, 8, 10], [5, 9], [11], [12, 2]], 20)


@pytest.mark.parametrize(
    "name", [name for name in MODELS if has_capability(MODELS[name].model_class, PosteriorSampler)]
)
def test_a_user_is_drawn_alike_alone_in_any_batch_and_in_any_block(name, monkeypatch):
    kind = MODELS[name].model_class
    model: Recommender = kind(20, kind.Config(**{**SETTINGS.get(name, {}), "epochs": 2}), seed=5)
    fit(model, two_tastes(60, 20), seed=5)

    def found(users):
        return rank(model, users, 4, ranker=PosteriorSample(3, 12))

    together = found(USERS)
    monkeypatch.setattr(kind, "block", lambda self: 12)
    backwards = USERS.select(np.arange(len(USERS))[::-1].copy())
    for other, order in ((found(USERS), slice(None)), (found(backwards), slice(None, None, -1))):
        assert (other.items[order] == together.items).all()
        assert np.allclose(other.spread.sd[order], together.spread.sd, atol=1e-5)
        assert np.allclose(other.propensity[order], together.propensity, atol=1e-9)
    for user in (0, 2, 5):
        alone = found(USERS.rows(user, user + 1))
        assert (alone.items[0] == together.items[user]).all()
        assert np.allclose(alone.spread.mean[0], together.spread.mean[user], atol=1e-5)


def test_draws_of_classes_average_to_the_list():
    model = MixtureOfMultinomials(20, MixtureOfMultinomialsConfig(n_components=4, epochs=5), seed=5)
    fit(model, two_tastes(60, 20), seed=5)
    fixed = recommend(model, USERS, 4, exclude_seen=False)
    found = recommend(model, USERS, 4, ranker=WithSpread(draws=2000), exclude_seen=False).spread
    assert np.abs(found.mean - np.exp(fixed.scores)).max() < 5 * found.sd.max() / np.sqrt(2000)


def test_streams_are_keyed_and_each_use_has_its_own():
    assert history_key([3, 1]) == history_key(np.array([3, 1], dtype=np.int32))
    assert len({history_key(one) for one in ([], [0], [0, 1], [1, 0], [0, 0])}) == 5
    assert user_key("a") != user_key("b")
    drawn = {stream(seed, use, key).random() for seed in (0, 1) for use in ("shown", "spread") for key in (1, 2)}
    assert len(drawn) == 8
    both, alone = streams(4, "shown", [7, 9]), streams(4, "shown", [9])
    assert (both.normals(5)[1] == alone.normals(5)[0]).all()
    assert both.shared.random() == alone.shared.random()


def test_gammas_of_users_have_their_moments():
    drawn = np.exp([streams(at, "shown", [1, 2]).log_gammas(np.array([[0.2, 3.0], [1.0, 5.0]])) for at in range(3000)])
    assert drawn.mean(axis=0) == pytest.approx(np.array([[0.2, 3.0], [1.0, 5.0]]), rel=0.15)
