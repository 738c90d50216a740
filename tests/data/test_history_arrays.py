import numpy as np
import pytest

from foldin.data import Histories
from foldin.errors import ShapeError


@pytest.mark.parametrize(
    ("items", "offsets", "message"),
    [
        ([0, 5], [0, 2], "item indices must be in"),
        ([0, 1], [0, 3], "must end at the 2 events"),
        ([0, 1], [1, 2], "start at 0"),
        ([0, 1, 1], [0, 2, 1, 3], "must not decrease"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(items, offsets, message):
    with pytest.raises(ShapeError, match=message):
        Histories(items=np.array(items, np.int32), offsets=np.array(offsets, np.int64), n_items=5)


def test_fingerprint_depends_on_items_users_and_catalog():
    base = Histories.from_lists([[1, 2], [3]], 5)
    others = [
        Histories.from_lists([[1, 2], [4]], 5),
        Histories.from_lists([[1], [2, 3]], 5),
        Histories.from_lists([[1, 2], [3]], 6),
    ]
    assert base.fingerprint() == Histories.from_lists([[1, 2], [3]], 5).fingerprint()
    assert len({base.fingerprint(), *(o.fingerprint() for o in others)}) == 4
