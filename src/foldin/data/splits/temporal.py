"""Two global cut times: training before the first, validation between them, test after the second."""

from collections.abc import Collection

import numpy as np

from foldin.data.histories import Histories
from foldin.data.log.events import EventLog
from foldin.data.parts import JoinedArrays, quantiles
from foldin.data.splits.base import HeldOut, Split, catalog_of
from foldin.data.splits.weighed import Targets, targets_of, weighed
from foldin.errors import SplitError
from foldin.tensors import Array, Bool, Int64

__all__ = ["temporal"]


def temporal(
    log: EventLog, *, validation_share: float = 0.1, test_share: float = 0.1, targets: Collection[str] = ()
) -> Split:
    """Two global cut times: train before the first, validate between them, test after the second.

    The targets of a user are the items of a window, given all their earlier events. A user whose first event is inside a
    window is folded in from the first 80 % of their events there (a single event is the target of an empty history). Items that
    the user already has are no targets, unless the log keeps repeats.

    Args:
        validation_share, test_share: share of all events in each window.
        targets: kinds of events that may be targets; all kinds if empty. Other events of a window are neither targets nor seen.

    Raises:
        SplitError: the log has no absolute times, or a window is empty.
    """
    if log.histories.times is None:
        raise SplitError(f"{log.report.source}: the temporal protocol needs a column of absolute times (--time)")
    if not (validation_share > 0 and test_share > 0) or validation_share + test_share >= 1:
        raise SplitError(f"windows of {validation_share:g} and {test_share:g} of the events leave nothing to train on")
    histories, times = log.histories, log.histories.times
    first, second = quantiles(times, (1 - validation_share - test_share, 1 - test_share))
    early = histories.by_parts(lambda part: part.where(_times(part) < first))
    if not early.n_events or not any(_within(part, first, second).any() for part in histories.parts()):
        raise SplitError(
            f"{log.report.source}: too many events share one time: a window before {first} or {second} is empty"
        )
    items, users = np.flatnonzero(early.counts()), np.flatnonzero(early.lengths)
    new = np.full(histories.n_items, -1, dtype=np.int64)
    new[items] = np.arange(len(items))
    train = early.select(users).reindex(new, len(items))
    report = log.report
    allowed = targets_of(log, targets)
    held: dict[str, HeldOut] = {}
    for name, start, end in (("validation", first, second), ("test", second, int(times.max()) + 1)):
        held[name], lost, again = _window(log, new, len(items), int(start), int(end), allowed)
        report = report.noted(
            lost, f"{name} events with items that have no event before the first cut (dropped from the split)"
        )
        what = "a target again" if log.reading.keeps_repeats else "items that the user already has"
        report = report.noted(again, f"{name} events with {what} (not targets)")
    split = Split(
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
    return weighed(split)


def _times(histories: Histories) -> Int64[Array, " events"]:
    assert histories.times is not None
    return histories.times


def _within(histories: Histories, start: int, end: int) -> Bool[Array, " events"]:
    times = _times(histories)
    return (times >= start) & (times < end)


def _window(
    log: EventLog, new: Int64[Array, " items"], n_items: int, start: int, end: int, allowed: Targets | None
) -> tuple[HeldOut, int, int]:
    """(users with events in [start, end) with items of the catalog, number of events there with other items, number of events
    there with items that are shown or a target already).
    """
    shown, targets, active = JoinedArrays(), JoinedArrays(), []
    first = lost = again = 0
    for part in log.histories.parts():
        until = part.where(_times(part) < end)
        known = until.reindex(new, n_items)
        inside = _times(known) >= start
        lost += int((_times(until) >= start).sum()) - int(inside.sum())
        users = np.flatnonzero(np.bincount(known.users()[inside], minlength=len(known)))
        chosen = known.select(users)
        is_target = _is_target(chosen, start)
        before, taken = chosen.where(~is_target), chosen.where(is_target)
        if allowed is not None:
            taken = taken.where(allowed(taken))
        fresh = taken if log.reading.keeps_repeats else taken.without(before)
        wanted = fresh.distinct()  # of several events with one item, the first is the target
        again += taken.n_events - wanted.n_events
        shown.append(before.lengths, before.arrays())
        targets.append(wanted.lengths, wanted.arrays())
        active.append(first + users)
        first += len(part)
    fold_in, wanted = (Histories(n_items=n_items, **one.arrays()) for one in (shown, targets))
    ids = log.users.gather(np.concatenate(active))
    return HeldOut.under(log.reading, fold_in=fold_in, targets=wanted, users=ids), lost, again


def _is_target(chosen: Histories, start: int) -> Bool[Array, " events"]:
    """The events from `start` on; of users whose first event is there, the last fifth by time, in any order of the history."""
    times = _times(chosen)
    inside = times >= start
    per_user = np.bincount(chosen.users()[inside], minlength=len(chosen))
    arrived = per_user == chosen.lengths
    by_time = np.lexsort((times, chosen.users()))
    place = np.empty(chosen.n_events, dtype=np.int64)
    place[by_time] = np.arange(chosen.n_events) - np.repeat(chosen.offsets[:-1], chosen.lengths)
    late = place >= np.repeat((per_user * 4) // 5, chosen.lengths)
    return inside & (late | ~np.repeat(arrived, chosen.lengths))
