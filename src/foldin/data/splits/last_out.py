"""Leave-last-out: the last item of each user is the test target, the one before it the validation target."""

import numpy as np

from foldin.data.log.events import EventLog
from foldin.data.order import one_of_each
from foldin.data.splits.base import HeldOut, Split, catalog_of
from foldin.errors import SplitError

__all__ = ["last_out"]


def last_out(log: EventLog, *, min_events: int = 3) -> Split:
    """Leave-last-out: the last item of each user is the test target, the one before it the validation target.

    The catalog is that of the whole log, as in the published tables: an item seen only as a target is ranked too.

    Args:
        min_events: users with fewer items are dropped; at least 3.

    Source: kang2018, section IV.
    """
    if min_events < 3:
        raise SplitError(f"last-out needs three events of a user: min_events must be at least 3, not {min_events}")
    log = log.core(user_events=min_events, repeat=False)
    histories = log.histories
    is_first = one_of_each(histories.pair_keys())  # of a user with an item: every event, unless items repeat
    items = histories.where(is_first)
    # For each event: the user's number of items so far, and the position of the latest of them from the end (1 is the last).
    so_far = np.cumsum(is_first) - np.repeat(items.offsets[:-1], histories.lengths)
    from_end = 1 + np.repeat(items.lengths, histories.lengths) - so_far
    train, before_test = histories.where(from_end > 2), histories.where(from_end > 1)
    targets = [histories.where(is_first & (from_end == place)) for place in (1, 2)]
    unseen = int((train.counts()[targets[0].items] == 0).sum())
    report = log.report.noted(
        unseen, "test targets whose items have no training event (they are ranked, and count as missed)"
    )
    again = int((~is_first & (from_end == 1)).sum())
    report = report.noted(
        again, "events after the test target with items that the user already has (dropped from the split)"
    )
    return Split(
        train=train,
        train_users=log.users,
        validation=HeldOut(fold_in=train, targets=targets[1], users=log.users),
        test=HeldOut(fold_in=before_test, targets=targets[0], users=log.users),
        catalog=catalog_of(log.items, train),
        protocol="last-out",
        seed=None,
        report=report,
        kinds=log.kinds,
        style=log.style,
        reading=log.reading,
    )
