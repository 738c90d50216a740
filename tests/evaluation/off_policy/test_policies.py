"""Models with rankers as policies: their probabilities are those by which the rankers draw."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from foldin.data import Histories
from foldin.errors import ConfigError, ShapeError, SupportError
from foldin.evaluation import LoggedFeedback, PropensityOf, ips, policy_of, self_normalized_ips
from foldin.ranking import Eligibility, Exact, Gumbel, PosteriorSample, rank, scores
from tests.evaluation.off_policy.worlds import list_probability
from tests.small import ITEMS, trained

USERS = Histories.from_lists([[0, 2, 4], [1, 3], []], ITEMS)
MANY = 1500  # lists


@pytest.fixture(scope="module")
def model():
    return trained("mixture")


@pytest.fixture(scope="module")
def logged(model):
    """(lists of a hot policy, the context of each)."""
    contexts = np.arange(MANY) % 3
    lists = rank(model, USERS.select(contexts), 2, ranker=Gumbel(1.5), keys=range(1, MANY + 1))
    return lists, contexts


def weights_of(model, context: int, temperature: float) -> np.ndarray:
    """p(item)^{1/T} of what the user has not taken, from the scores that the library shows."""
    p = scores(model, USERS).double().exp().numpy()[context]
    p[USERS.of(context)] = 0.0
    return p ** (1.0 / temperature)


def test_the_policy_that_drew_a_list_gives_its_propensities(model, logged):
    lists, contexts = logged
    log = LoggedFeedback.of_lists(lists, np.zeros((MANY, 2)), contexts)
    found = policy_of(model, Gumbel(1.5)).probabilities(log, USERS)
    assert found == pytest.approx(lists.propensity, rel=1e-9)
    at_places = policy_of(model, Gumbel(1.5)).probabilities(log, USERS, propensity_of=PropensityOf.AT_PLACE)
    assert at_places[:, 0] == pytest.approx(lists.propensity[:, 0], rel=1e-6)


def test_the_probabilities_do_not_depend_on_blocks(model, logged, monkeypatch):
    lists, contexts = logged
    log = LoggedFeedback.of_lists(lists, np.zeros((MANY, 2)), contexts)
    for ranker in (Gumbel(0.7), Exact()):
        together = policy_of(model, ranker).probabilities(log, USERS)
        possible = policy_of(model, ranker).possible(USERS, 2)
        with monkeypatch.context() as patch:
            patch.setattr(type(model), "block", lambda self: 1)
            assert policy_of(model, ranker).probabilities(log, USERS) == pytest.approx(together, rel=1e-5)
            assert (policy_of(model, ranker).possible(USERS, 2) == possible).all()


def chance(context: int, item: int, place: int) -> float:
    """Probability of a reward: higher for items of the user's taste, which a colder policy lists more often."""
    return (0.15 + 0.6 * ((item + context) % 2 == 0)) / (1 + place)


@pytest.mark.parametrize(
    ("of", "cascade"),
    [(PropensityOf.GIVEN_ABOVE, False), (PropensityOf.GIVEN_ABOVE, True), (PropensityOf.AT_PLACE, False)],
    ids=["whole list", "cascade", "at place"],
)
def test_the_value_of_a_colder_policy_is_found_in_lists_of_a_hotter_one(model, logged, of, cascade):
    lists, contexts = logged
    rates = np.array(
        [[chance(c, i, j) for j, i in enumerate(row)] for c, row in zip(contexts, lists.items, strict=True)]
    )
    rewards = (np.random.default_rng(5).random((MANY, 2)) < rates).astype(float)
    log = LoggedFeedback.of_lists(lists, rewards, contexts)
    if of is not log.propensity_of:
        own = policy_of(model, Gumbel(1.5)).probabilities(log, USERS, propensity_of=of)
        log = replace(log, propensities=own, propensity_of=of)
    target = policy_of(model, Gumbel(0.8)).probabilities(log, USERS)
    truth = 0.0
    for context in range(3):
        weights = weights_of(model, context, 0.8)
        for pair in permutations(np.flatnonzero(weights), 2):
            reward = chance(context, pair[0], 0) + chance(context, pair[1], 1)
            truth += list_probability(weights, pair) * reward / 3.0
    mean = log.rewards.sum(axis=1).mean()
    for estimate in (ips, self_normalized_ips):
        found = estimate(log, target, cascade=cascade)
        error = found.values.std() / np.sqrt(MANY)
        assert abs(found.value - truth) < 4.0 * error
        assert found.mean_weight == pytest.approx(1.0, abs=0.3)
        assert found.effective_size < MANY
    assert abs(mean - truth) > 0.01  # so that the weights have something to do


def test_items_anywhere_in_the_list_are_sums_over_places(model, logged):
    lists, contexts = logged
    log = LoggedFeedback.of_lists(lists, np.zeros((MANY, 2)), contexts)
    few = LoggedFeedback(log.items[:3], log.propensities[:3], log.rewards[:3], contexts[:3])
    found = policy_of(model, Gumbel(2.0)).probabilities(few, USERS, propensity_of=PropensityOf.IN_LIST)
    for at in range(3):
        weights = weights_of(model, at, 2.0)
        pairs = list(permutations(np.flatnonzero(weights), 2))
        for place, item in enumerate(few.items[at]):
            expected = sum(list_probability(weights, pair) for pair in pairs if item in pair)
            assert found[at, place] == pytest.approx(expected, rel=1e-5)


def test_a_ranker_without_chance_lists_or_does_not(model):
    own = rank(model, USERS, 2).items
    items = np.array([own[0], own[0][::-1], own[1], [own[2][0], own[2][1]]])
    log = LoggedFeedback(items, np.full((4, 2), 0.5), np.zeros((4, 2)), np.array([0, 0, 1, 2]))
    policy = policy_of(model, Exact())
    assert policy.probabilities(log, USERS).tolist() == [[1.0, 1.0], [0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]
    anywhere = policy.probabilities(log, USERS, propensity_of=PropensityOf.IN_LIST)
    assert anywhere.tolist() == [[1.0, 1.0]] * 4
    assert np.flatnonzero(policy.possible(USERS, 2)[0]).tolist() == sorted(own[0])


def test_items_that_the_log_cannot_hold_are_refused(model, logged):
    lists, contexts = logged
    everything = policy_of(model, Gumbel(1.5)).possible(USERS, 2)
    assert (~everything[0]).nonzero()[0].tolist() == [0, 2, 4]  # what the user has taken
    log = LoggedFeedback.of_lists(lists, np.zeros((MANY, 2)), contexts, possible=everything)
    policy = policy_of(model, Gumbel(0.8))
    assert policy.probabilities(log, USERS) == pytest.approx(policy.probabilities(replace(log, possible=None), USERS))
    again = Eligibility.of(USERS, exclude_seen=False)
    with pytest.raises(SupportError, match="in 2 of 3 contexts, such as item 0 in context 0"):
        policy.probabilities(log, USERS, eligible=again)


def test_what_is_no_policy_of_this_log_is_refused(model, logged):
    lists, contexts = logged
    log = LoggedFeedback.of_lists(lists, np.zeros((MANY, 2)), contexts)
    with pytest.raises(ConfigError, match="PosteriorSample has no exact probabilities"):
        policy_of(model, PosteriorSample())
    with pytest.raises(ConfigError, match="needs a model with a density"):
        policy_of(trained("itemknn"), Gumbel())
    policy = policy_of(model, Gumbel())
    with pytest.raises(ShapeError, match="contexts to 2 and items to"):
        policy.probabilities(log, USERS.rows(0, 2))
    with pytest.raises(ShapeError, match="the eligible items are those of 2 contexts"):
        policy.probabilities(log, USERS, eligible=Eligibility.of(USERS.rows(0, 2)))
    with pytest.raises(ShapeError, match="possible: 21 items"):
        policy.probabilities(replace(log, possible=np.ones((3, 21), bool)), USERS)
