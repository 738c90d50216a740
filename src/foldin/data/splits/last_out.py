"""Leave-last-out: the last item of each user is the test, the one before it validation."""

import numpy as np

from foldin.data.log.events import EventLog
from foldin.data.order import one_of_each
from foldin.data.splits.base import HeldOut, Split, catalog_of
from foldin.errors import SplitError

__all__ = ["last_out"]


def last_out(log: EventLog, *, min_events: int = 3) -> Split:
    """Leave-last-out: the last item is the test, the one before it validation.

    The catalog is that of the whole log, as in the published tables: an item seen only as a target is ranked too.

    Args:
        min_events: users with fewer items are dropped; at least 3.

    Source: kang2018, section IV.
    """
    if min_events < 3:
        raise SplitError(f"last-out needs three events of a user: min_events must be at least 3, not {min_events}")
    log = log.core(user_events=min_events, repeat=False)
    histories = log.histories
    new = one_of_each(histories.pair_keys())  # the first event of a user with an item: all events, unless items repeat
    before = np.concatenate(([0], np.cumsum(new)))
    taken = before[1:] - np.repeat(before[histories.offsets[:-1]], histories.lengths)
    from_end = 1 + np.repeat(before[histories.offsets[1:]] - before[histories.offsets[:-1]], histories.lengths) - taken
    train, before_test = histories.where(from_end > 2), histories.where(from_end > 1)
    unseen = int((train.counts()[histories.where(new & (from_end == 1)).items] == 0).sum())
    return Split(
        train=train,
        train_users=log.users,
        validation=HeldOut(fold_in=train, targets=histories.where(new & (from_end == 2)), users=log.users),
        test=HeldOut(fold_in=before_test, targets=histories.where(new & (from_end == 1)), users=log.users),
        catalog=catalog_of(log.items, train),
        protocol="last-out",
        seed=None,
        report=log.report.noted(
            unseen, "test targets whose items have no training event (they are ranked, and count as missed)"
        ),
        kinds=log.kinds,
    )
