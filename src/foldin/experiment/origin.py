"""The origin of a comparison in time: what was known before a cut, and which items known users took from then on.

Two models that were trained on events before the cut are compared on the same users, each folded in from the history before the
cut. Users and items have external ids here, since the catalogs of the two models differ.
"""

import re
from dataclasses import dataclass, replace
from time import time as clock

import numpy as np
import polars as pl

from foldin.data import EventLog, Histories, Note
from foldin.data.log.times import day_of
from foldin.data.parts import quantiles
from foldin.errors import ConfigError, EmptyLogError, SplitError
from foldin.tensors import Array, Bool

__all__ = ["Origin", "ahead_of_clock", "cut_log", "latest_cut", "newest_time", "until_now"]

_SECONDS = {"h": 3_600, "d": 86_400, "w": 7 * 86_400}


@dataclass(frozen=True, eq=False, kw_only=True)
class Origin:
    """A log, cut at a time.

    Args:
        time: seconds since 1970 of the cut; the latest events are those from this time on.
        before: log of the earlier events, with the users and items that have any.
        users: external ids of the users who are compared: those with earlier events and with a target.
        histories: their earlier events, over the items of the whole log.
        targets: items that they took from the cut on for the first time, each once; of a log that keeps repeats, all items that
            they took from then on.
        items: external ids of the items of the whole log.
        newcomers: number of users whose first event is among the latest ones; they are not compared.
    """

    time: int
    before: EventLog
    users: pl.Series
    histories: Histories
    targets: Histories
    items: pl.Series
    newcomers: int

    def __len__(self) -> int:
        return len(self.histories)


def newest_time(*histories: Histories, now: float | None = None) -> int | None:
    """Seconds since 1970 of the newest event that is not ahead of the clock.

    None where an event has no time, or there is no such event.

    Args:
        now: time of the clock, in seconds since 1970; that of this machine if None.
    """
    now = clock() if now is None else now
    newest = []
    for one in histories:
        if one.n_events and one.times is None:
            return None
        times = one.times if one.times is not None else np.empty(0, dtype=np.int64)
        times = times if not len(times) or times.max() <= now else times[times <= now]
        newest += [int(times.max())] if len(times) else []
    return max(newest, default=None)


def until_now(log: EventLog, now: float | None = None) -> EventLog:
    """The log without the events that are ahead of the clock, which a note counts; users and items without others are left out.

    One device whose clock is a day ahead would otherwise be all there is of the latest day, and a model that was trained on its
    events would seem to know every event until tomorrow.

    Args:
        now: time of the clock, in seconds since 1970; that of this machine if None.

    Raises:
        EmptyLogError: all events are ahead of it.
    """
    every, at = log.histories, clock() if now is None else now
    if every.times is None or not every.n_events or every.times.max() <= at:
        return log
    past = every.by_parts(lambda part: part.where(_before(part, int(at) + 1)))
    if not past.n_events:
        raise EmptyLogError(f"{log.report.source}: all {every.n_events:,} events are ahead of this machine's clock")
    ahead = every.n_events - past.n_events
    note = Note("events are ahead of this machine's clock and are left out", ahead, dropped=True, warning=True)
    some = replace(log, histories=past, report=log.report.extended([note]))
    users = (past.lengths > 0) | (every.lengths == 0)
    items = (past.counts() > 0) | (every.counts() == 0)  # an item without any event may be known by its features
    return some.keep(np.flatnonzero(users), np.flatnonzero(items), "")


def ahead_of_clock(log: EventLog, now: float | None = None) -> str | None:
    """A sentence on the events that `until_now` leaves out, which names the latest of them; None if there are none.

    Args:
        now: time of the clock, in seconds since 1970; that of this machine if None.
    """
    every, at = log.histories, clock() if now is None else now
    if every.times is None or not every.n_events or every.times.max() <= at:
        return None
    ahead, last = int((every.times > at).sum()), int(every.times.argmax())
    user = int(np.searchsorted(every.offsets, last, side="right")) - 1
    latest = f"that of the user {log.users[user]!r} with the item {log.items['item'][int(every.items[last])]!r}"
    return (
        f"{ahead:,} events of {log.report.source} are ahead of this machine's clock and are left out; the latest is {latest}, on "
        f"{day_of(int(every.times[last]))}"
    )


def latest_cut(log: EventLog, latest: str = "1d", *, after: int | None = None) -> int:
    """The time, in seconds since 1970, from which on the events of a log are its latest ones.

    Args:
        latest: a duration before the newest event, such as `12h`, `1d` or `2w`, or a share of all events below 1, such as `0.1`.
        after: time of the newest event that a model was trained on; only later events are the latest ones.

    Raises:
        ConfigError: neither a duration nor a share.
        SplitError: the log has no absolute times.
    """
    times = log.histories.times
    if times is None:
        raise SplitError(
            f"{log.report.source}: the latest events can only be told with a column of absolute times (--time)"
        )
    if found := re.fullmatch(r"(\d{1,6})([hdw])", latest):
        cut = int(times.max()) + 1 - int(found[1]) * _SECONDS[found[2]]
    elif re.fullmatch(r"0?\.\d+", latest) and float(latest) > 0.0:
        cut = quantiles(times, (1.0 - float(latest),))[0]
    else:
        raise ConfigError(f"latest = {latest!r}: a duration such as 12h, 1d or 2w, or a share below 1, was expected")
    return cut if after is None else max(cut, after + 1)


def cut_log(log: EventLog, time: int) -> Origin:
    """A log, cut at a time in seconds since 1970.

    Raises:
        SplitError: the log has no absolute times, or no event is before the cut.
    """
    if log.histories.times is None:
        raise SplitError(f"{log.report.source}: a cut in time needs a column of absolute times (--time)")
    every = log.histories
    early = every.by_parts(lambda part: part.where(_before(part, time)))
    if not early.n_events:
        raise SplitError(
            f"{log.report.source}: all {every.n_events:,} events are among the latest ones, none is before them"
        )
    late = every.by_parts(lambda part: part.where(~_before(part, time)))
    rule = log.reading.weighting
    wanted = late if rule is None else late.by_parts(lambda part: part.where(rule.liked(part, log.kinds)))
    targets = wanted.by_parts(Histories.distinct)
    targets = targets if log.reading.keeps_repeats else targets.without(early)
    compared = np.flatnonzero((early.lengths > 0) & (targets.lengths > 0))
    before = replace(log, histories=early).keep(np.flatnonzero(early.lengths), np.flatnonzero(early.counts()), "")
    return Origin(
        time=time,
        before=before,
        users=log.users.gather(compared),
        histories=early.select(compared),
        targets=targets.select(compared),
        items=log.items["item"],
        newcomers=int(((early.lengths == 0) & (late.lengths > 0)).sum()),
    )


def _before(part: Histories, time: int) -> Bool[Array, " events"]:
    assert part.times is not None
    return part.times < time
