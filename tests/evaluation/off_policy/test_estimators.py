"""Estimates from logged lists: exact where all lists can be written down, and unbiased where lists are drawn."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from foldin.errors import ConfigError, ShapeError, SupportError
from foldin.evaluation import (
    LoggedFeedback,
    PropensityOf,
    doubly_robust,
    folds_by_context,
    importance_weights,
    ips,
    self_normalized_ips,
    studentized_interval,
)
from tests.evaluation.off_policy.worlds import World, arrays

LOGGING, TARGET = World((4.0, 1.0, 2.0, 0.5), 3), World((0.3, 2.0, 1.0, 3.0), 3)
LISTS = LOGGING.lists
WHOLE = {one: at for at, one in enumerate(LISTS)}
RNG = np.random.default_rng(0)
OF_LISTS, OF_ITEMS, OF_PLACES = RNG.normal(size=(24, 3)), RNG.normal(size=4), RNG.normal(size=(4, 3))
# What the reward of an item depends on, the event of the propensities, and whether weights are those of a cascade.
REWARDS = {
    "whole list": lambda one, j: OF_LISTS[WHOLE[tuple(one)], j],
    "above": lambda one, j: OF_ITEMS[one[j]] + 0.7 * sum(OF_ITEMS[a] ** 2 for a in one[:j]),
    "place": lambda one, j: OF_PLACES[one[j], j],
    "item": lambda one, j: OF_ITEMS[one[j]],
}
CASES = [
    ("whole list", PropensityOf.GIVEN_ABOVE, False),
    ("above", PropensityOf.GIVEN_ABOVE, True),
    ("place", PropensityOf.AT_PLACE, False),
    ("item", PropensityOf.IN_LIST, False),
]
EACH = pytest.mark.parametrize(("depends_on", "of", "cascade"), CASES, ids=[case[0] for case in CASES])


def probabilities(world: World, lists, of: PropensityOf) -> np.ndarray:
    if of is PropensityOf.GIVEN_ABOVE:
        return np.array([world.given_above(one) for one in lists])
    if of is PropensityOf.AT_PLACE:
        return arrays(lists, lambda one, j: world.at_place(one[j], j))
    return arrays(lists, lambda one, j: world.in_list(one[j]))


def logged(lists, reward, of=PropensityOf.GIVEN_ABOVE, contexts=None) -> LoggedFeedback:
    own = np.arange(len(lists)) if contexts is None else contexts
    return LoggedFeedback(np.array(lists), probabilities(LOGGING, lists, of), arrays(lists, reward), own, of)


def expectation(estimate) -> float:
    """The expected estimate from a log of one list, over all lists that the logging policy may draw."""
    return sum(LOGGING.probability(one) * estimate([one]) for one in LISTS)


@EACH
def test_ips_is_unbiased_over_all_lists(depends_on, of, cascade):
    reward = REWARDS[depends_on]

    def estimate(lists):
        return ips(logged(lists, reward, of), probabilities(TARGET, lists, of), cascade=cascade).value

    assert expectation(estimate) == pytest.approx(TARGET.value(reward), rel=1e-12)


@EACH
def test_doubly_robust_is_unbiased_for_any_predictions_of_the_same_kind(depends_on, of, cascade):
    reward = REWARDS[depends_on]

    def wrong(one, j):
        return 0.3 - 2.0 * reward(one, j) ** 2

    def estimate(lists):
        found = doubly_robust(
            logged(lists, reward, of),
            probabilities(TARGET, lists, of),
            predicted=arrays(lists, wrong),
            expected=np.full(len(lists), TARGET.value(wrong)),
            cascade=cascade,
        )
        return found.value

    assert expectation(estimate) == pytest.approx(TARGET.value(reward), rel=1e-12)


@EACH
def test_the_expectation_of_a_weight_is_one(depends_on, of, cascade):
    weights = importance_weights(logged(LISTS, REWARDS["item"], of), probabilities(TARGET, LISTS, of), cascade=cascade)
    q = np.array([LOGGING.probability(one) for one in LISTS])
    if of is PropensityOf.IN_LIST:
        assert q @ weights.mean(axis=1) == pytest.approx(1.0, rel=1e-12)
    else:
        assert q @ weights == pytest.approx(np.ones(3), rel=1e-12)


def test_an_assumption_saves_variance_and_a_wrong_one_costs_truth():
    q = np.array([LOGGING.probability(one) for one in LISTS])
    variances, means = [], []
    for _, of, cascade in CASES:
        log, target = logged(LISTS, REWARDS["whole list"], of), probabilities(TARGET, LISTS, of)
        weights = importance_weights(log, target, cascade=cascade)[:, 1]
        variances.append(q @ weights**2 - (q @ weights) ** 2)
        means.append(q @ ips(log, target, cascade=cascade).values)
    assert variances[0] > variances[1] > variances[2] > variances[3]
    truth = TARGET.value(REWARDS["whole list"])
    assert means[0] == pytest.approx(truth, rel=1e-12)
    assert all(abs(mean - truth) > 0.01 for mean in means[1:])


def test_perfect_predictions_leave_no_variance():
    reward = REWARDS["whole list"]
    found = doubly_robust(
        logged(LISTS, reward),
        probabilities(TARGET, LISTS, PropensityOf.GIVEN_ABOVE),
        predicted=arrays(LISTS, reward),
        expected=np.full(len(LISTS), TARGET.value(reward)),
    )
    assert found.values == pytest.approx(np.full(24, TARGET.value(reward)))


def single(weights, rewards, **options) -> LoggedFeedback:
    """Lists of one item, drawn with probability ½, so that a target of half a weight has that weight."""
    return LoggedFeedback.of_items(
        np.zeros(len(weights), int), np.full(len(weights), 0.5), np.array(rewards), **options
    )


def test_the_numbers_of_a_worked_example():
    weights, rewards = np.array([2.0, 0.5, 0.0, 1.0]), [1.0, 0.0, 1.0, 3.0]
    log, target = single(weights, rewards), (weights / 2.0)[:, None]
    found = ips(log, target)
    assert found.values == pytest.approx([2.0, 0.0, 0.0, 3.0])
    assert (found.value, found.mean_weight, found.largest_weight) == pytest.approx((5.0 / 4, 3.5 / 4, 2.0))
    assert found.effective_size == pytest.approx(3.5**2 / (4.0 + 0.25 + 1.0))
    assert self_normalized_ips(log, target).value == pytest.approx(5.0 / 3.5)
    clipped = ips(log, target, clip=1.5)
    assert clipped.value == pytest.approx(4.5 / 4)
    assert (clipped.clip, clipped.clipped, clipped.mean_weight) == pytest.approx((1.5, 0.25, 3.5 / 4))
    assert "clipped at 1.5" in repr(clipped)
    assert "clipped" not in repr(found)
    assert found.as_dict()["value"] == found.value
    assert found.as_dict()["low"] is None  # four contexts give no interval


@EACH
def test_self_normalized_weights_follow_a_shift_of_all_rewards(depends_on, of, cascade):
    log, target = logged(LISTS, REWARDS["item"], of), probabilities(TARGET, LISTS, of)
    before = self_normalized_ips(log, target, cascade=cascade)
    after = self_normalized_ips(replace(log, rewards=log.rewards + 10.0), target, cascade=cascade)
    assert after.value == pytest.approx(before.value + 30.0)
    assert before.values.mean() == pytest.approx(before.value)
    weights = importance_weights(log, target, cascade=cascade)
    gains = weights * log.rewards
    pooled = 3.0 * gains.sum() / weights.sum()
    by_place = (gains.sum(axis=0) / weights.sum(axis=0)).sum()
    assert before.value == pytest.approx(pooled if of is PropensityOf.IN_LIST else by_place)


@EACH
def test_of_a_log_with_every_list_once_all_estimates_are_exact(depends_on, of, cascade):
    """Logged by equal weights, the log is its own expectation; the second target lists without chance."""
    uniform, reward, fixed = World((1.0,) * 4, 3), REWARDS[depends_on], (2, 0, 3)
    log = LoggedFeedback(np.array(LISTS), probabilities(uniform, LISTS, of), arrays(LISTS, reward), np.arange(24), of)
    anywhere = of is PropensityOf.IN_LIST
    certain = arrays(LISTS, lambda one, j: float(one[j] in fixed if anywhere else one[j] == fixed[j]))
    for target, truth in (
        (probabilities(TARGET, LISTS, of), TARGET.value(reward)),
        (certain, sum(reward(fixed, j) for j in range(3))),
    ):
        for estimate in (ips, self_normalized_ips):
            found = estimate(log, target, cascade=cascade)
            assert found.value == pytest.approx(truth, rel=1e-12)
            assert found.mean_weight == pytest.approx(1.0)


def test_the_logging_policy_itself_has_the_mean_reward():
    log = logged(LISTS, REWARDS["whole list"])
    for estimate in (ips, self_normalized_ips):
        found = estimate(log, log.propensities)
        assert found.value == pytest.approx(log.rewards.sum(axis=1).mean())
        assert found.effective_size == pytest.approx(24.0)


def test_empty_places_count_for_nothing():
    log = LoggedFeedback(
        np.array([[0, 1], [1, -1]]),
        np.array([[0.5, 0.5], [0.5, 0.0]]),
        np.array([[1.0, 1.0], [1.0, 0.0]]),
        np.arange(2),
    )
    target = np.array([[0.25, 0.5], [1.0, 0.0]])
    assert importance_weights(log, target) == pytest.approx(np.array([[0.5, 0.5], [2.0, 2.0]]))
    assert importance_weights(replace(log, propensity_of=PropensityOf.IN_LIST), target)[1, 1] == 1.0
    assert ips(log, target).value == pytest.approx((1.0 + 2.0) / 2)
    found = doubly_robust(log, target, predicted=np.array([[1.0, 1.0], [1.0, np.nan]]), expected=np.ones(2))
    assert found.value == pytest.approx(1.0)


def test_the_spread_of_the_values_is_that_of_a_ratio():
    """The jackknife of a ratio, an independent estimate of its standard error, agrees with the linearization."""
    rng = np.random.default_rng(1)
    weights = rng.gamma(2.0, 0.5, 400).clip(0, 2)
    log, target = single(weights, rng.normal(3.0, 1.0, 400)), (weights / 2.0)[:, None]
    found = self_normalized_ips(log, target)
    gains = weights * log.rewards[:, 0]
    left_out = (gains.sum() - gains) / (weights.sum() - weights)
    jackknife = np.sqrt(399 / 400 * ((left_out - left_out.mean()) ** 2).sum())
    assert found.values.std(ddof=1) / 20.0 == pytest.approx(jackknife, rel=0.01)
    low, high = found.interval()
    assert (high - low) / 2 == pytest.approx(1.96 * jackknife, rel=0.1)


def test_lists_of_one_context_are_one_observation():
    rng = np.random.default_rng(2)
    of_context = np.repeat(rng.normal(size=40), 25)  # all 25 lists of a context have nearly one reward
    log = single(np.ones(1000), of_context + 0.01 * rng.normal(size=1000), contexts=np.repeat(np.arange(40), 25))
    found = ips(log, np.full((1000, 1), 0.5))
    assert found.per_context() == pytest.approx(log.rewards.reshape(40, 25).mean(axis=1))
    assert found.per_context().mean() == pytest.approx(found.value)
    wide, narrow = found.interval(), found.interval(fixed_contexts=True)
    assert (wide[1] - wide[0]) / (narrow[1] - narrow[0]) == pytest.approx(5.0, rel=0.15)
    uneven = ips(single(np.ones(12), np.arange(12.0), contexts=np.array([0] * 11 + [5])), np.full((12, 1), 0.5))
    assert uneven.per_context().mean() == pytest.approx(5.5)  # the mean over lists, not over contexts


def test_intervals_cover_the_value_as_often_as_they_say():
    q, p, means = np.array([0.6, 0.3, 0.1]), np.array([0.2, 0.3, 0.5]), np.array([0.1, 0.5, 0.7])
    rng, inside, runs = np.random.default_rng(3), 0, 200
    for _ in range(runs):
        items = rng.choice(3, 300, p=q)
        log = LoggedFeedback.of_items(items, q[items], (rng.random(300) < means[items]).astype(float))
        low, high = ips(log, p[items][:, None]).interval()
        inside += low <= p @ means <= high
    assert scipy.stats.binom.ppf(0.001, runs, 0.95) <= inside <= scipy.stats.binom.ppf(0.999, runs, 0.97)


def logged_by_users(rng: np.random.Generator, users: int, lists: int) -> tuple[LoggedFeedback, np.ndarray, float]:
    """(log, probabilities of the target, its value) of users who take nearly all that is listed, or nearly nothing."""
    q, p, means = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5]), np.array([0.2, 0.0, -0.1])
    fond = rng.choice([0.15, 0.75], users)
    of_user = np.repeat(np.arange(users), lists)
    items = rng.choice(3, users * lists, p=q)
    taken = rng.random(len(items)) < fond[of_user] + means[items]
    log = LoggedFeedback.of_items(items, q[items], taken.astype(float), clusters=of_user)
    return log, p[items][:, None], 0.45 + p @ means


def test_intervals_of_few_users_with_many_lists_each_count_the_users():
    rng, runs, inside, of_lists = np.random.default_rng(5), 120, 0, 0
    for _ in range(runs):
        log, target, truth = logged_by_users(rng, users=25, lists=20)
        found = self_normalized_ips(log, target)
        low, high = found.interval()
        inside += low <= truth <= high
        half = 1.96 * found.values.std(ddof=1) / np.sqrt(len(log))  # as if each list were another user's
        of_lists += abs(found.value - truth) <= half
    assert scipy.stats.binom.ppf(0.001, runs, 0.95) <= inside
    assert of_lists < scipy.stats.binom.ppf(0.001, runs, 0.8)


def test_clusters_are_what_intervals_count_and_the_contexts_if_there_are_none():
    log, target, _ = logged_by_users(np.random.default_rng(6), users=12, lists=3)
    found = ips(log, target)
    assert found.per_cluster() == pytest.approx(found.values.reshape(12, 3).mean(axis=1))
    assert found.per_context() == pytest.approx(found.values)
    assert found.interval() == pytest.approx(studentized_interval(found.values.reshape(12, 3).mean(axis=1)))
    assert found.as_dict()["clusters"] == 12
    assert "36 contexts in 12 clusters" in repr(found)
    assert "36 contexts and 12 clusters" in repr(log)
    for before in (replace(log, clusters=None), replace(log, clusters=None, contexts=log.clusters)):
        alone = ips(before, target)
        assert alone.per_cluster() == pytest.approx(alone.per_context())
        assert "clusters" not in repr(alone)
    with pytest.raises(ShapeError, match="clusters: one for each of 36 lists"):
        replace(log, clusters=np.arange(3))
    with pytest.raises(ShapeError, match="clusters must be whole numbers"):
        replace(log, clusters=np.full(36, 0.5))


def test_folds_keep_contexts_whole_and_cross_fitting_is_unbiased():
    contexts = np.repeat(np.arange(90, 30, -1), 3)
    folds = folds_by_context(contexts, 4, seed=1)
    assert [len(set(folds[contexts == one])) for one in set(contexts)] == [1] * 60
    assert np.bincount(folds).tolist() == [45] * 4
    assert (folds != folds_by_context(contexts, 4, seed=2)).any()
    for wrong in (1, 61):
        with pytest.raises(ShapeError, match="as many as there are contexts"):
            folds_by_context(contexts, wrong)


def cross_fitted(items, rewards, folds) -> np.ndarray:
    """Mean reward of each item in the other folds, for each list."""
    table = np.zeros((len(items), 3))
    for fold in np.unique(folds):
        for item in range(3):
            there = (folds != fold) & (items == item)
            table[folds == fold, item] = rewards[there].mean() if there.any() else 0.0
    return table


def test_predictions_of_other_folds_are_unbiased_and_shorten_the_interval():
    q, p, means = np.array([0.6, 0.3, 0.1]), np.array([0.1, 0.2, 0.7]), np.array([5.0, 6.0, 4.0])
    rng, errors, widths = np.random.default_rng(4), [], []
    for _ in range(150):
        items = rng.choice(3, 120, p=q)
        rewards = means[items] + rng.normal(size=120)
        log, target = LoggedFeedback.of_items(items, q[items], rewards), p[items][:, None]
        table = cross_fitted(items, rewards, folds_by_context(log.contexts, 5))
        predicted = table[np.arange(120), items][:, None]
        better = doubly_robust(log, target, predicted=predicted, expected=table @ p)
        errors.append(better.value - p @ means)
        widths.append((better.values.std(), ips(log, target).values.std()))
    assert abs(np.mean(errors)) < 4.0 * np.std(errors) / np.sqrt(150)
    assert all(one < 0.6 * other for one, other in widths)


def test_a_policy_that_the_log_does_not_support_is_refused():
    log = single(np.ones(3), [1.0, 1.0, 0.0])
    with pytest.raises(SupportError, match="no logged list could have come from the target policy, judged by place 1"):
        ips(log, np.zeros((3, 1)))
    pair = LoggedFeedback(np.array([[0, 1]]), np.full((1, 2), 0.5), np.ones((1, 2)), np.array([0]))
    with pytest.raises(SupportError, match="judged by place 2"):
        ips(pair, np.array([[0.5, 0.0]]), cascade=True)
    with pytest.raises(SupportError, match="next to nothing in common"):
        ips(replace(pair, propensities=np.full((1, 2), 1e-200)), np.ones((1, 2)))


def test_what_cannot_be_weighted_is_refused():
    log = single(np.ones(3), [1.0, 1.0, 0.0])
    half = np.full((3, 1), 0.5)
    with pytest.raises(ShapeError, match="the shape \\(3,\\)"):
        ips(log, half[:, 0])
    for wrong in (1.5, -0.1, np.nan):
        with pytest.raises(ShapeError, match="must lie in"):
            ips(log, np.full((3, 1), wrong))
    with pytest.raises(ConfigError, match="the item anywhere in the list"):
        ips(replace(log, propensity_of=PropensityOf.IN_LIST), half, cascade=True)
    for clip in (0.5, np.nan):
        with pytest.raises(ConfigError, match="at least 1"):
            ips(log, half, clip=clip)
    with pytest.raises(ShapeError, match="3 expected ones"):
        doubly_robust(log, half, predicted=half, expected=np.ones(2))
    with pytest.raises(ShapeError, match="not finite"):
        doubly_robust(log, half, predicted=half, expected=np.full(3, np.inf))
