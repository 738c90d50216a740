"""What a log of lists must hold, and what is refused."""

import numpy as np
import pytest

from foldin.errors import ConfigError, ShapeError, SupportError
from foldin.evaluation import LoggedFeedback, PropensityOf, check_support, ips, table_probabilities
from foldin.ranking import RankedLists

GOOD = {
    "items": np.array([[2, 0], [1, -1]]),
    "propensities": np.array([[0.5, 0.25], [0.1, 0.0]]),
    "rewards": np.array([[1.0, 0.0], [0.5, 0.0]]),
    "contexts": np.array([0, 3]),
}


def test_a_log_shows_what_it_holds():
    log = LoggedFeedback(**GOOD)
    assert len(log) == 2
    assert log.listed.tolist() == [[True, True], [True, False]]
    shown = repr(log)
    assert "2 lists of 2 items, in 2 contexts" in shown
    assert "0.75" in shown  # mean reward of a list
    assert "0.1" in shown
    assert "given the items above it" in shown


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"items": np.array([2, 0])}, "lists and places"),
        ({"items": np.zeros((0, 2), int)}, "lists and places"),
        ({"items": np.array([[2.0, 0.0], [1.0, -1.0]])}, "items must be whole numbers, not float64"),
        ({"items": np.array([[2, 2], [1, -1]])}, "list 0 has an item twice"),
        ({"items": np.array([[2, 0], [1, -2]])}, "items from −1, met 0 and -2"),
        ({"propensities": np.ones((2, 3))}, r"propensities have the shape \(2, 3\)"),
        ({"propensities": np.array([[0.5, 1.2], [0.1, 0.0]])}, "not 1.2 at place 2 of list 0"),
        ({"propensities": np.array([[0.5, np.nan], [0.1, 0.0]])}, "not nan at place 2 of list 0"),
        ({"rewards": np.array([[1.0, np.inf], [0.5, 0.0]])}, "finite, not inf at place 2 of list 0"),
        ({"rewards": np.array([[1.0, 0.0], [0.5, 2.0]])}, "an empty place has a reward: 2 at place 2 of list 1"),
        ({"contexts": np.array([0])}, "one for each of 2 lists"),
        ({"contexts": np.array([0, -1])}, "contexts count from 0"),
        ({"possible": np.ones((3, 3), bool)}, "at least 4 contexts and 3 items"),
        ({"possible": np.ones((4, 3))}, "a table of booleans"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_log_that_cannot_be_is_refused(change, message):
    with pytest.raises(ShapeError, match=message):
        LoggedFeedback(**{**GOOD, **change})


def test_what_the_logging_policy_never_lists_is_refused():
    with pytest.raises(SupportError, match="propensity 0 at place 1 of list 1"):
        LoggedFeedback(**{**GOOD, "propensities": np.array([[0.5, 0.25], [0.0, 0.0]])})
    possible = np.ones((4, 3), bool)
    assert LoggedFeedback(**GOOD, possible=possible).possible is possible
    possible = possible.copy()
    possible[3, 1] = False
    with pytest.raises(SupportError, match="the item at place 1 of list 1 is not among those"):
        LoggedFeedback(**GOOD, possible=possible)


def test_single_items_are_lists_of_one():
    log = LoggedFeedback.of_items(np.array([3, 1]), np.array([0.5, 1.0]), np.array([True, False]))
    assert log.items.tolist() == [[3], [1]]
    assert log.rewards.tolist() == [[1.0], [0.0]]
    assert log.contexts.tolist() == [0, 1]
    assert LoggedFeedback.of_items([3], [0.5], [1.0], [7]).contexts.tolist() == [7]


def lists(**more) -> RankedLists:
    return RankedLists(np.array([[2, 0], [1, -1]]), np.zeros((2, 2)), **more)


def test_the_propensities_of_lists_keep_their_meaning():
    exact = lists(propensity=np.array([[0.5, 0.25], [1.0, 0.0]]), inverse_propensity=np.array([[2.0, 4.0], [1.0, 0.0]]))
    log = LoggedFeedback.of_lists(exact, np.zeros((2, 2)))
    assert log.propensity_of is PropensityOf.GIVEN_ABOVE
    assert log.propensities is exact.propensity
    estimated = lists(
        propensity=np.array([[0.5, 0.0], [1.0, 0.0]]),
        propensity_se=np.zeros((2, 2)),
        inverse_propensity=np.array([[2.0, 101.0], [1.0, 0.0]]),
    )
    log = LoggedFeedback.of_lists(estimated, np.zeros((2, 2)), np.array([4, 4]))
    assert log.propensity_of is PropensityOf.IN_LIST
    assert log.propensities[0] == pytest.approx([1 / 2, 1 / 101])  # never 0, though no draw listed the item
    assert log.contexts.tolist() == [4, 4]
    with pytest.raises(ConfigError, match="draw them with Gumbel or PosteriorSample"):
        LoggedFeedback.of_lists(lists(), np.zeros((2, 2)))


def test_a_table_of_probabilities_gives_those_of_the_logged_items():
    q, p = np.array([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]]), np.array([[0.1, 0.9, 0.0], [1.0, 0.0, 0.0]])
    log = LoggedFeedback.of_items(
        np.array([1, 2, 0]), np.array([0.5, 0.5, 0.2]), np.array([1.0, 2.0, 3.0]), np.array([0, 1, 1]), possible=q > 0
    )
    assert table_probabilities(log, p)[:, 0].tolist() == [0.9, 0.0, 1.0]
    assert ips(log, table_probabilities(log, p)).value == pytest.approx((1.8 + 0.0 + 15.0) / 3)
    with pytest.raises(SupportError, match="in 1 of 2 contexts, such as item 2 in context 0"):
        table_probabilities(log, np.array([[0.1, 0.8, 0.1], [1.0, 0.0, 0.0]]))
    with pytest.raises(ShapeError, match="sum to 1"):
        table_probabilities(log, p / 2)
    with pytest.raises(ShapeError, match="at least 2 contexts and 3 items"):
        table_probabilities(log, p[:1])
    with pytest.raises(ShapeError, match="single items; the lists have 2 places"):
        table_probabilities(LoggedFeedback(**GOOD), p)


def test_support_is_a_matter_of_what_is_possible():
    check_support(np.array([[True, False]]), np.array([[True, True]]))
    with pytest.raises(SupportError, match="in 2 of 3 contexts, such as item 1 in context 8"):
        check_support(
            np.ones((3, 2), bool), np.array([[True, True], [True, False], [False, True]]), contexts=np.array([7, 8, 9])
        )
    with pytest.raises(ShapeError, match="the target's table"):
        check_support(np.ones((3, 2), bool), np.ones((2, 2), bool))
