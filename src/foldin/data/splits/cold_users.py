"""Cold users: some users are held out with all their events, and what is known of them are their features."""

import numpy as np

from foldin.data.histories import Histories
from foldin.data.log.events import EventLog
from foldin.data.log.report import ReadReport
from foldin.data.splits.base import HeldOut, Split, catalog_of
from foldin.data.splits.strong import users_count
from foldin.data.splits.weighed import Targets, targets_of, weighed
from foldin.errors import SplitError
from foldin.tensors import Array, Int64

__all__ = ["cold_users"]


def cold_users(log: EventLog, *, held_out: float = 0.1, min_events: int = 5, seed: int = 0) -> Split:
    """Cold users: users are split as in `strong`; held-out users have an empty history, and all their items are targets.

    The split has no features of the users yet: `with_user_features` adds them, fitted on the training users, from a table such as
    `EventLog.user_features`. Without them, every held-out user is given the same list.

    Args:
        held_out: users held out for validation, and as many for the test: a share below 1, or a number.
        min_events: users with fewer items are dropped first.

    Source: schein2002 (held-out groups without ratings).

    Raises:
        SplitError: no user is left to train on.
    """
    log = log.core(user_events=min_events, repeat=False)
    allowed, order = targets_of(log, ()), np.random.default_rng(seed).permutation(len(log.histories))
    count = users_count(held_out, len(order), "held_out")
    groups = {"validation": order[:count], "test": order[count : 2 * count]}
    train_users = np.sort(order[2 * count :])
    trained = log.histories.select(train_users)
    items = np.flatnonzero(trained.counts())
    if len(items) == 0:
        raise SplitError("no training user took an item")
    new = np.full(log.histories.n_items, -1, dtype=np.int64)
    new[items] = np.arange(len(items))
    train, report, held = trained.reindex(new, len(items)), log.report, dict[str, HeldOut]()
    for name, users in groups.items():
        held[name], report = _unknown(log, users, new, len(items), allowed, name, report)
    return weighed(
        Split(
            train=train,
            train_users=log.users.gather(train_users),
            catalog=catalog_of(log.items[items], train),
            protocol="cold-users",
            seed=seed,
            report=report,
            kinds=log.kinds,
            style=log.style,
            reading=log.reading,
            validation=held["validation"],
            test=held["test"],
        )
    )


def _unknown(
    log: EventLog,
    users: Int64[Array, " users"],
    new: Int64[Array, " items"],
    n_items: int,
    allowed: Targets | None,
    name: str,
    report: ReadReport,
) -> tuple[HeldOut, ReadReport]:
    """(held-out users without a history, report with the events that were dropped)."""
    events = log.histories.select(users)
    wanted = events if allowed is None else events.where(allowed(events))
    targets = wanted.reindex(new, n_items).distinct()
    report = report.noted(
        events.n_events - targets.n_events,
        f"{name} events with items that no training user has, or with a target again, or that cannot be targets (dropped from "
        "the split)",
    )
    return HeldOut(
        fold_in=Histories.empty(len(events), n_items), targets=targets, users=log.users.gather(users)
    ), report
