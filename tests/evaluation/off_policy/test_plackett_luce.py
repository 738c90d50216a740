"""Probabilities of items drawn one by one, against sums over all lists."""

from itertools import permutations

import numpy as np
import pytest

from foldin.errors import ConfigError, ShapeError
from foldin.evaluation import draw_probabilities, place_probabilities
from tests.evaluation.off_policy.worlds import list_probability

WEIGHTS = {
    "even": np.ones(6),
    "uneven": np.array([5.0, 1.0, 0.2, 2.0, 0.7, 3.0]),
    "far apart": np.exp([0.0, -3.0, -9.0, -9.5, -18.0, -30.0]),
}


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
def test_items_at_places_are_sums_over_all_lists(weights):
    expected = np.zeros((6, 6))
    for items in permutations(range(6)):
        for place, item in enumerate(items):
            expected[item, place] += list_probability(weights, items)
    for k in (1, 3, 6):
        found = place_probabilities(np.log(weights) + 4.2, np.arange(6), k)
        assert found == pytest.approx(expected[:, :k], rel=1e-9)
    some = place_probabilities(np.log(weights), np.array([4, 1]), 3)
    assert some == pytest.approx(expected[[4, 1], :3], rel=1e-9)


def test_the_second_place_of_many_items_has_a_closed_form():
    """P(i second) = Σ_{a ≠ i} λ_a λ_i / (1 − λ_a)."""
    weights = np.random.default_rng(0).lognormal(0.0, 2.0, 300)
    share = weights / weights.sum()
    odds = share / (1.0 - share)
    chosen = np.array([int(share.argmax()), int(share.argmin()), 17])
    found = place_probabilities(np.log(weights), chosen, 2)
    assert found[:, 0] == pytest.approx(share[chosen], rel=1e-11)
    assert found[:, 1] == pytest.approx(share[chosen] * (odds.sum() - odds[chosen]), rel=1e-11)


def test_every_place_has_one_item_and_no_item_has_two_places():
    weights = np.random.default_rng(1).normal(0.0, 1.0, 40)
    found = place_probabilities(weights, np.arange(40), 30)
    assert found.sum(axis=0) == pytest.approx(np.ones(30), abs=1e-10)
    assert (found.sum(axis=1) < 1.0).all()
    assert place_probabilities(weights, np.arange(40), 50)[:, :40].sum(axis=1) == pytest.approx(np.ones(40), abs=1e-10)


def test_items_without_weight_and_places_without_items_have_probability_zero():
    weights = np.array([0.0, -np.inf, 1.0])
    found = place_probabilities(weights, np.array([1, 0, 2]), 4)
    assert found[0].tolist() == [0.0] * 4
    first = 1.0 / (1.0 + np.e)
    assert found[1] == pytest.approx([first, 1.0 - first, 0.0, 0.0])
    assert found[1:].sum(axis=1) == pytest.approx([1.0, 1.0])
    assert place_probabilities(weights, np.array([1]), 2).tolist() == [[0.0, 0.0]]


def test_draws_are_given_those_above():
    weights = WEIGHTS["uneven"]
    left = weights.sum() - np.array([0.0, 2.0, 2.0 + 0.2])
    assert draw_probabilities(np.log(weights), np.array([3, 2, 5])) == pytest.approx(weights[[3, 2, 5]] / left)
    zero = np.array([0.0, -np.inf, 0.0])
    assert draw_probabilities(zero, np.array([1, 2, 0])).tolist() == [0.0, 0.5, 1.0]
    assert draw_probabilities(zero, np.array([2, 0, 1])).tolist() == [0.5, 1.0, 0.0]
    # The mass that is left is not the small difference of two large numbers.
    assert draw_probabilities(np.array([0.0, -60.0, -61.0]), np.array([0, 1]))[1] == pytest.approx(1 / (1 + np.exp(-1)))


def test_what_has_no_such_probabilities_is_refused():
    with pytest.raises(ShapeError, match="distinct items"):
        place_probabilities(np.zeros(3), np.array([1, 1]), 2)
    with pytest.raises(ShapeError, match="k = 0"):
        place_probabilities(np.zeros(3), np.array([1]), 0)
    with pytest.raises(ConfigError, match="practically fixed"):
        place_probabilities(np.array([0.0, -1e5, -2e5]), np.array([0]), 2)
