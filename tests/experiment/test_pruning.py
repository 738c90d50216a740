"""When a trial is given up."""

import pytest

from foldin.experiment.pruning import is_hopeless


def rising(top, per_epoch, epochs=100):
    return {epoch: min(top, per_epoch * epoch) for epoch in range(1, epochs + 1)}


FAST = [(0.40 + 0.001 * number, rising(0.40 + 0.001 * number, 0.05)) for number in range(6)]
SLOW = (0.45, rising(0.45, 0.01))  # the best in the end, and behind all others for forty epochs


def test_a_trial_that_learns_as_slowly_as_one_of_the_best_goes_on():
    trial = rising(0.46, 0.008)
    assert not any(is_hopeless(trial, [*FAST, SLOW], epoch) for epoch in range(1, 101))
    assert is_hopeless(trial, FAST, 20)


def test_a_trial_that_is_twice_as_slow_as_all_of_the_best_ends():
    trial = rising(0.46, 0.004)
    assert [is_hopeless(trial, [*FAST, SLOW], epoch) for epoch in (10, 40)] == [True, True]
    assert not is_hopeless(rising(0.46, 0.0051), [*FAST, SLOW], 40)


def test_its_best_epoch_counts():
    trial = {1: 0.3, **dict.fromkeys(range(2, 11), 0.0)}
    five = [(0.4, dict.fromkeys(range(1, 11), 0.2))] * 5
    assert not is_hopeless(trial, five, 10)


@pytest.mark.parametrize("finished", [FAST[:4], [(0.5, {})] * 9, [(None, rising(0.4, 0.1))] * 9])
def test_never_with_fewer_than_five_curves(finished):
    assert not is_hopeless({1: 0.0, 40: 0.0}, finished, 40)
