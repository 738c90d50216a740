"""The users that are held out from training, and their targets."""

import numpy as np
import pytest

from foldin.data import Histories
from foldin.errors import FitError
from foldin.models.ensemble._hold_out import hold_out

RNG = np.random.default_rng(0)
TRAIN = Histories.from_lists([RNG.integers(0, 30, RNG.integers(0, 25)).tolist() for _ in range(80)], 30)


def test_a_share_of_the_users_is_held_out_with_a_fifth_of_their_items():
    kept, held = hold_out(TRAIN, 0.25)
    chosen = np.array([int(one) for one in held.users])
    able = [user for user in range(80) if len(set(TRAIN.of(user).tolist())) >= 2]
    assert len(chosen) == round(0.25 * len(able))
    assert set(chosen.tolist()) <= set(able)
    assert sorted([*kept.tolist(), *chosen.tolist()]) == list(range(80))
    for at, user in enumerate(chosen):
        items = set(TRAIN.of(user).tolist())
        targets = held.targets.of(at).tolist()
        assert len(targets) == len(set(targets)) == max(1, int(0.2 * len(items)))
        # Every event with another item is seen, in its order, repeated ones included.
        assert held.fold_in.of(at).tolist() == [item for item in TRAIN.of(user).tolist() if item not in targets]


def test_it_is_the_same_at_every_call():
    (kept, held), (again, other) = hold_out(TRAIN, 0.1), hold_out(TRAIN, 0.1)
    assert kept.tolist() == again.tolist()
    assert held.targets.fingerprint() == other.targets.fingerprint()


def test_somebody_is_left_to_train_on_and_somebody_to_learn_from():
    two = Histories.from_lists([[1, 2, 3], [1, 4]], 5)
    for share in (0.001, 0.999):
        kept, held = hold_out(two, share)
        assert (len(kept), len(held)) == (1, 1)
    for lists in ([[1, 2, 3]], [[1], [2, 2, 2]]):
        with pytest.raises(FitError, match="no training user with two items can be held out"):
            hold_out(Histories.from_lists(lists, 5), 0.5)
