"""Simulated repeats against the enumeration of every history and every type of user."""

import itertools

import numpy as np
import pytest

from foldin.data import Histories, SimulatedRepeats, read_log
from foldin.errors import DataError

SMALL = SimulatedRepeats(
    tastes=np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]),
    shares=np.array([0.4, 0.6]),
    new=np.array([1.0, 0.5]),
    kernel=np.array([0.3, 2.0]),  # an event is forgotten after two others
)


def joint(items: tuple[int, ...]) -> float:
    """p(items), an event after the other, summed over the types."""
    total = 0.0
    for share, taste, new in zip(SMALL.shares, SMALL.tastes, SMALL.new, strict=True):
        p = share
        for at, item in enumerate(items):
            weights = {back: SMALL.kernel[back - 1] for back in (1, 2) if at - back >= 0}
            again = sum(weight for back, weight in weights.items() if items[at - back] == item)
            p *= (new * taste[item] + again) / (new + sum(weights.values()))
        total += p
    return total


def test_the_next_item_is_that_of_the_joint_distribution_of_all_histories():
    assert sum(joint(one) for one in itertools.product(range(3), repeat=4)) == pytest.approx(1.0)
    histories = [*itertools.product(range(3), repeat=3), (), (1,), (2, 2)]
    found = SMALL.probabilities(Histories.from_lists(histories, 3))
    expected = [[joint((*one, item)) / joint(one) if one else joint((item,)) for item in range(3)] for one in histories]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_histories_are_drawn_from_it():
    drawn = SMALL.histories(20_000, 3, seed=1).items.reshape(-1, 3)
    counts = np.bincount(drawn @ [9, 3, 1], minlength=27)
    expected = np.array([joint(one) for one in itertools.product(range(3), repeat=3)]) * len(drawn)
    # χ² with 26 degrees of freedom exceeds 60 with a probability below 2e-4.
    assert ((counts - expected) ** 2 / expected).sum() < 60


def test_the_same_seed_gives_the_same_log_with_its_events_in_order():
    simulated = SimulatedRepeats.random(30, seed=2)
    table = simulated.table(20, 8, seed=3)
    assert table.equals(simulated.table(20, 8, seed=3))
    assert not table.equals(simulated.table(20, 8, seed=4))
    log = read_log(table, repeats="keep")
    assert log.histories.n_events == 160
    ids = log.items["item"].to_list()
    assert [ids[item] for item in log.histories.of(0)] == table.filter(table["user"] == log.users[0])["item"].to_list()
    assert simulated.kernel.argmax() == 6
    assert simulated.kernel.max() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shares": np.ones(3) / 3}, "not arrays of the shapes"),
        ({"shares": np.array([0.4, 0.4])}, "shares: probabilities that sum to 1"),
        ({"tastes": np.array([[1.5, -0.5, 0.0], [0.0, 0.0, 1.0]])}, "tastes: probabilities that sum to 1"),
        ({"new": np.zeros(2)}, "new must be positive"),
        ({"kernel": np.array([-1.0])}, "kernel not negative"),
    ],
    ids=str,
)
def test_what_is_no_simulation_is_refused(changes, message):
    fields = {name: getattr(SMALL, name) for name in ("tastes", "shares", "new", "kernel")}
    with pytest.raises(DataError, match=message):
        SimulatedRepeats(**{**fields, **changes})
    with pytest.raises(DataError, match="3 items, the histories 4"):
        SMALL.probabilities(Histories.empty(1, 4))
