"""Leave-last-out: the last item of each user is the test target, the one before it the validation target."""

from collections.abc import Callable
from functools import partial

import numpy as np

from foldin.data.histories import Histories
from foldin.data.log.events import EventLog
from foldin.data.order import one_of_each
from foldin.data.splits.base import HeldOut, Split, catalog_of
from foldin.errors import SplitError
from foldin.tensors import Array, Bool, Int64

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
    places = _places if histories.on_disk else partial(_known, _places(histories))
    train = histories.by_parts(lambda part: part.where(places(part)[1] > 2))
    before_test = histories.by_parts(lambda part: part.where(places(part)[1] > 1))
    targets = [histories.by_parts(partial(_target, places, place)) for place in (1, 2)]
    unseen = int((train.counts()[targets[0].items] == 0).sum())
    report = log.report.noted(
        unseen, "test targets whose items have no training event (they are ranked, and count as missed)"
    )
    again = histories.n_events - before_test.n_events - targets[0].n_events
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


_Places = tuple[Bool[Array, " events"], Int64[Array, " events"]]


def _places(histories: Histories) -> _Places:
    """Of each event: whether it is the first of its user with its item, and the place from the end of the latest item until
    then, 1 for the last item.
    """
    is_first = one_of_each(histories.pair_keys())  # every event, unless items repeat
    items = histories.where(is_first)
    so_far = np.cumsum(is_first) - np.repeat(items.offsets[:-1], histories.lengths)
    return is_first, 1 + np.repeat(items.lengths, histories.lengths) - so_far


def _known(places: _Places, histories: Histories) -> _Places:
    """The places of events that were computed already."""
    return places


def _target(places: Callable[[Histories], _Places], place: int, histories: Histories) -> Histories:
    is_first, from_end = places(histories)
    return histories.where(is_first & (from_end == place))
