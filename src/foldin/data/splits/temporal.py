"""Two global cut times: training before the first, validation between them, test after the second."""

import numpy as np

from foldin.data.log.events import EventLog
from foldin.data.splits.base import HeldOut, Split, catalog_of
from foldin.errors import SplitError
from foldin.tensors import Array, Int64

__all__ = ["temporal"]


def temporal(log: EventLog, *, validation_share: float = 0.1, test_share: float = 0.1) -> Split:
    """Two global cut times: train before the first, validate between them, test after the second.

    The targets of a user are the items of a window, given all their earlier events. A user whose first event is inside a
    window is folded in from the first 80 % of their events there (a single event is the target of an empty history).

    Args:
        validation_share, test_share: share of all events in each window.

    Raises:
        SplitError: the log has no absolute times, or a window is empty.
    """
    if log.histories.times is None:
        raise SplitError(f"{log.report.source}: the temporal protocol needs a column of absolute times (--time)")
    if not (validation_share > 0 and test_share > 0) or validation_share + test_share >= 1:
        raise SplitError(f"windows of {validation_share:g} and {test_share:g} of the events leave nothing to train on")
    times = log.histories.times
    first, second = np.quantile(times, (1 - validation_share - test_share, 1 - test_share), method="higher")
    in_train = times < first
    if not in_train.any() or not ((times >= first) & (times < second)).any():
        raise SplitError(
            f"{log.report.source}: too many events share one time: a window before {first} or {second} is empty"
        )
    items = np.flatnonzero(log.histories.where(in_train).counts())
    users = np.flatnonzero(np.bincount(log.histories.users()[in_train], minlength=len(log.histories)))
    new = np.full(log.histories.n_items, -1, dtype=np.int64)
    new[items] = np.arange(len(items))
    train = log.histories.where(in_train).select(users).reindex(new, len(items))
    report = log.report
    held: dict[str, HeldOut] = {}
    for name, start, end in (("validation", first, second), ("test", second, times.max() + 1)):
        held[name], lost, again = _window(log, new, len(items), int(start), int(end))
        report = report.noted(
            lost, f"{name} events with items that have no event before the first cut (dropped from the split)"
        )
        report = report.noted(again, f"{name} events with items that the user already has (not targets)")
    return Split(
        train=train,
        train_users=log.users.gather(users),
        catalog=catalog_of(log.items[items], train),
        protocol="temporal",
        seed=None,
        report=report,
        kinds=log.kinds,
        style=log.style,
        reading=log.reading,
        validation=held["validation"],
        test=held["test"],
    )


def _window(log: EventLog, new: Int64[Array, " items"], n_items: int, start: int, end: int) -> tuple[HeldOut, int, int]:
    """(users with events in [start, end) with items of the catalog, number of events there with other items, number of events
    there with items that are shown or a target already).
    """
    histories, times = log.histories, log.histories.times
    assert times is not None
    until = histories.where(times < end)
    known = until.reindex(new, n_items)
    assert known.times is not None
    assert until.times is not None
    lost = int((until.times >= start).sum()) - int((known.times >= start).sum())
    inside = known.times >= start
    active = np.flatnonzero(np.bincount(known.users()[inside], minlength=len(known)))
    chosen = known.select(active)
    assert chosen.times is not None
    inside = chosen.times >= start
    per_user = np.bincount(chosen.users()[inside], minlength=len(chosen))
    arrived = per_user == chosen.lengths
    # For users whose first event is in the window: the last fifth of their events by time, in any order of the history.
    by_time = np.lexsort((chosen.times, chosen.users()))
    place = np.empty(chosen.n_events, dtype=np.int64)
    place[by_time] = np.arange(chosen.n_events) - np.repeat(chosen.offsets[:-1], chosen.lengths)
    late = place >= np.repeat((per_user * 4) // 5, chosen.lengths)
    is_target = inside & (late | ~np.repeat(arrived, chosen.lengths))
    shown, taken = chosen.where(~is_target), chosen.where(is_target)
    targets = taken.without(shown).distinct()  # of several events with one item, the first is the target
    held = HeldOut(fold_in=shown, targets=targets, users=log.users.gather(active))
    return held, lost, taken.n_events - targets.n_events
