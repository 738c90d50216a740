"""Leave-last-out: the last item of each user is the test target, the one before it the validation target."""

from collections.abc import Callable, Collection
from functools import partial

import numpy as np

from foldin.data.histories import Histories
from foldin.data.log.events import EventLog
from foldin.data.order import one_of_each
from foldin.data.splits.base import HeldOut, Split, catalog_of
from foldin.data.splits.weighed import Targets, targets_of, weighed
from foldin.errors import SplitError
from foldin.tensors import Array, Bool, Int64

__all__ = ["last_out"]


def last_out(log: EventLog, *, min_events: int = 3, targets: Collection[str] = ()) -> Split:
    """Leave-last-out: the last item of each user is the test target, the one before it the validation target.

    The catalog is that of the whole log, as in the published tables: an item seen only as a target is ranked too.

    Args:
        min_events: users with fewer items are dropped; at least 3.
        targets: kinds of events that may be targets; all kinds if empty. The last two items with such an event are then the
            targets, given all events before the first with the item; users with fewer than two such items have no targets.

    Of a log that keeps repeats, the targets are the items of the last two events, which may have been taken before.

    Source: kang2018, section IV.
    """
    if min_events < 3:
        raise SplitError(f"last-out needs three events of a user: min_events must be at least 3, not {min_events}")
    log = log.core(user_events=min_events, repeat=False)
    histories = log.histories
    keeps = log.reading.keeps_repeats
    of = partial(_places, targets_of(log, targets), keeps)
    places = of if histories.on_disk else partial(_known, of(histories))
    train = histories.by_parts(lambda part: part.where(places(part)[1] > 2))
    before_test = histories.by_parts(lambda part: part.where(places(part)[1] > 1))
    last, before_last = (histories.by_parts(partial(_target, places, place)) for place in (1, 2))
    unseen = int((train.counts()[last.items] == 0).sum())
    report = log.report.noted(
        unseen, "test targets whose items have no training event (they are ranked, and count as missed)"
    )
    again = histories.n_events - before_test.n_events - last.n_events
    why = "" if keeps else " with items that the user already has"
    report = report.noted(again, f"events after the test target{why} (dropped from the split)")
    split = Split(
        train=train,
        train_users=log.users,
        validation=HeldOut.under(log.reading, fold_in=train, targets=before_last, users=log.users),
        test=HeldOut.under(log.reading, fold_in=before_test, targets=last, users=log.users),
        catalog=catalog_of(log.items, train),
        protocol="last-out",
        seed=None,
        report=report,
        kinds=log.kinds,
        style=log.style,
        reading=log.reading,
    )
    return weighed(split)


_Places = tuple[Bool[Array, " events"], Int64[Array, " events"]]


def _places(allowed: Targets | None, keeps: bool, histories: Histories) -> _Places:
    """Of each event: whether it is the first of its user with its item, and the place from the end of the latest item until
    then, 1 for the last item.

    If only some events may be targets, only items with one of them count; a user with fewer than two has no places below 3.
    If repeats are kept, every event counts as the first of its item.
    """
    if keeps:
        is_first = np.ones(histories.n_events, dtype=bool) if allowed is None else allowed(histories)
    else:
        keys = histories.pair_keys()
        is_first = one_of_each(keys)  # every event, unless items repeat
        if allowed is not None:
            is_first &= np.isin(keys, keys[allowed(histories)])
    items = histories.where(is_first)
    so_far = np.cumsum(is_first) - np.repeat(items.offsets[:-1], histories.lengths)
    from_end = 1 + np.repeat(items.lengths, histories.lengths) - so_far
    if allowed is not None:
        from_end[np.repeat(items.lengths < 2, histories.lengths)] = 3
    return is_first, from_end


def _known(places: _Places, histories: Histories) -> _Places:
    """The places of events that were computed already."""
    return places


def _target(places: Callable[[Histories], _Places], place: int, histories: Histories) -> Histories:
    is_first, from_end = places(histories)
    return histories.where(is_first & (from_end == place))
