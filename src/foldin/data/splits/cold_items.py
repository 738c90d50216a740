"""Cold items: some items are hidden from training altogether, and held-out users are to be given them.

What can be learned of a hidden item are its features alone. All items are ranked, those of training and the hidden ones; the same
users, evaluated on items of training, show what a model pays for listing new items.
"""

from dataclasses import replace

import numpy as np

from foldin.data.log.events import EventLog
from foldin.data.log.report import ReadReport
from foldin.data.splits.base import HeldOut, Split, catalog_of
from foldin.data.splits.strong import held_out_users, users_count
from foldin.errors import SplitError
from foldin.tensors import Array, Bool, Int64

__all__ = ["TARGETS", "cold_items"]

TARGETS = ("cold", "warm")


def cold_items(
    log: EventLog,
    *,
    hidden: float = 0.1,
    held_out: float = 0.1,
    targets: str = "cold",
    target_share: float = 0.2,
    min_events: int = 5,
    seed: int = 0,
) -> Split:
    """Cold items: users are split as in `strong`, and random items are hidden from training, half of them for validation.

    The histories of held-out users have only items of training users that are not hidden. With `targets="cold"`, their targets
    are the hidden items that they took: those of validation for validation users, and those of the test for test users. With
    `targets="warm"`, the targets are a random share of their other items, as in `strong`: the same training, so that one model
    can be evaluated on both. The hidden items are in the catalog, with a count of 0.

    Args:
        hidden: items hidden for validation, and as many for the test: a share of all items below 1, or a number.
        held_out: users held out for validation, and as many for the test: a share below 1, or a number.
        targets: `cold` or `warm`.
        target_share: share of a held-out user's items that become targets, if they are warm.
        min_events: users with fewer items are dropped first.
        seed: seed of the choice of users and items.

    Source: schein2002, section 3 (implicit rating prediction for cold items).

    Raises:
        SplitError: no user or no item is left to train on, or no training user took an item that is not hidden.
    """
    if targets not in TARGETS:
        raise SplitError(f"targets = {targets!r}: one of {', '.join(TARGETS)} was expected")
    if not 0 < target_share < 1:
        raise SplitError(f"target_share must be in (0, 1), not {target_share:g}")
    log = log.core(user_events=min_events, repeat=False)
    rng = np.random.default_rng(seed)
    everyone = log.histories
    users, items = rng.permutation(len(everyone)), rng.permutation(everyone.n_items)
    count = users_count(held_out, len(users), "held_out")
    groups = {"validation": users[:count], "test": users[count : 2 * count]}
    train_users = np.sort(users[2 * count :])
    each = users_count(hidden, len(items), "hidden", "items")
    hidden_for = np.zeros(len(items), np.int64)  # 1 for an item hidden for validation, 2 for the test
    hidden_for[items[:each]], hidden_for[items[each : 2 * each]] = 1, 2
    trained = everyone.select(train_users)
    shown = trained.where(hidden_for[trained.items] == 0)
    kept = np.flatnonzero((shown.counts() > 0) | (hidden_for > 0))
    if shown.n_events == 0:
        raise SplitError(f"hidden = {hidden:g}: no training user took an item that is not hidden")
    new = np.full(len(items), -1, dtype=np.int64)
    new[kept] = np.arange(len(kept))
    train = shown.reindex(new, len(kept))
    report = log.report.noted(
        trained.n_events - shown.n_events, f"training events with one of {2 * each:,} hidden items (dropped from the split)"
    )
    held: dict[str, HeldOut] = {}
    for place, (name, group) in enumerate(groups.items(), 1):
        if targets == "cold":
            held[name], report = _given_hidden(log, group, new, len(kept), hidden_for, place, name, report)
        else:
            warm = replace(log, histories=everyone.where(hidden_for[everyone.items] == 0))
            held[name], report = held_out_users(warm, group, new, len(kept), target_share, rng, name, report)
    return Split(
        train=train,
        train_users=log.users.gather(train_users),
        catalog=catalog_of(log.items[kept], train),
        protocol="cold-items",
        seed=seed,
        report=report,
        kinds=log.kinds,
        style=log.style,
        reading=log.reading,
        validation=held["validation"],
        test=held["test"],
    )


def _given_hidden(
    log: EventLog,
    users: Int64[Array, " users"],
    new: Int64[Array, " items"],
    n_items: int,
    hidden_for: Int64[Array, " items"],
    place: int,
    name: str,
    report: ReadReport,
) -> tuple[HeldOut, ReadReport]:
    """(held-out users whose targets are the items hidden for them, report with the events that were dropped)."""
    events = log.histories.select(users)

    def part(chosen: Bool[Array, " events"]) -> Bool[Array, " events"]:
        return chosen & (new[events.items] >= 0)

    shown = events.where(part(hidden_for[events.items] == 0)).reindex(new, n_items)
    wanted = events.where(part(hidden_for[events.items] == place)).reindex(new, n_items)
    distinct = wanted.distinct()
    report = report.noted(
        wanted.n_events - distinct.n_events, f"{name} events with a target again (dropped from the split)"
    )
    report = report.noted(
        events.n_events - shown.n_events - wanted.n_events,
        f"{name} events with items of the other hidden group, or that no training user has (dropped from the split)",
    )
    return HeldOut(fold_in=shown, targets=distinct, users=log.users.gather(users)), report
