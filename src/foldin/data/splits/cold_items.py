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
from foldin.data.splits.weighed import Targets, targets_of, weighed
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
    are the hidden items that they took; with `targets="warm"`, a random share of their other items, as in `strong`. The training
    is the same, so that one model can be evaluated on both. The hidden items are in the catalog, with a count of 0.

    Args:
        hidden: items hidden for validation, and as many for the test: a share of all items below 1, or a number.
        held_out: users held out for validation, and as many for the test: a share below 1, or a number.
        targets: `cold` or `warm`.
        target_share: share of a held-out user's items that become targets, if they are warm.
        min_events: users with fewer items are dropped first.

    Source: schein2002 (items without ratings, held out as a group).

    Raises:
        SplitError: no user or no item is left to train on, or no training user took an item that is not hidden.
    """
    _check(targets, target_share)
    log = log.core(user_events=min_events, repeat=False)
    allowed, rng = targets_of(log, ()), np.random.default_rng(seed)
    train_users, groups = _groups(len(log.histories), held_out, rng)
    hidden_for, trained = _hidden_for(log.histories.n_items, hidden, rng), log.histories.select(train_users)
    shown = trained.where(hidden_for[trained.items] == 0)
    kept, new = _catalog(shown.counts(), hidden_for)
    train, held = shown.reindex(new, len(kept)), dict[str, HeldOut]()
    report = log.report.noted(
        trained.n_events - shown.n_events, "training events with a hidden item (dropped from the split)"
    )
    warm = replace(log, histories=log.histories.where(hidden_for[log.histories.items] == 0))
    for place, (name, group) in enumerate(groups.items(), 1):
        if targets == "cold":
            held[name], report = _given_hidden(log, group, new, len(kept), hidden_for, place, allowed, name, report)
        else:
            held[name], report = held_out_users(warm, group, new, len(kept), target_share, allowed, rng, name, report)
    return weighed(
        Split(
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
    )


def _check(targets: str, target_share: float) -> None:
    if targets not in TARGETS:
        raise SplitError(f"targets = {targets!r}: one of {', '.join(TARGETS)} was expected")
    if not 0 < target_share < 1:
        raise SplitError(f"target_share must be in (0, 1), not {target_share:g}")


def _groups(
    n_users: int, held_out: float, rng: np.random.Generator
) -> tuple[Int64[Array, " users"], dict[str, Int64[Array, " users"]]]:
    """(training users, held-out users of each group)."""
    order = rng.permutation(n_users)
    count = users_count(held_out, n_users, "held_out")
    return np.sort(order[2 * count :]), {"validation": order[:count], "test": order[count : 2 * count]}


def _catalog(
    counts: Int64[Array, " items"], hidden_for: Int64[Array, " items"]
) -> tuple[Int64[Array, " kept"], Int64[Array, " items"]]:
    """(items of the catalog: those of training and the hidden ones; index of each item there, −1 for the others)."""
    if not counts.any():
        raise SplitError("no training user took an item that is not hidden")
    kept = np.flatnonzero((counts > 0) | (hidden_for > 0))
    new = np.full(len(counts), -1, dtype=np.int64)
    new[kept] = np.arange(len(kept))
    return kept, new


def _hidden_for(n_items: int, hidden: float, rng: np.random.Generator) -> Int64[Array, " items"]:
    """1 for each item that is hidden for validation, 2 for one that is hidden for the test, 0 for the others."""
    order = rng.permutation(n_items)
    each = users_count(hidden, n_items, "hidden", "items")
    found = np.zeros(n_items, np.int64)
    found[order[:each]], found[order[each : 2 * each]] = 1, 2
    return found


def _given_hidden(
    log: EventLog,
    users: Int64[Array, " users"],
    new: Int64[Array, " items"],
    n_items: int,
    hidden_for: Int64[Array, " items"],
    place: int,
    allowed: Targets | None,
    name: str,
    report: ReadReport,
) -> tuple[HeldOut, ReadReport]:
    """(held-out users whose targets are the items hidden for them, report with the events that were dropped)."""
    events = log.histories.select(users)

    def part(chosen: Bool[Array, " events"]) -> Bool[Array, " events"]:
        return chosen & (new[events.items] >= 0)

    shown = events.where(part(hidden_for[events.items] == 0)).reindex(new, n_items)
    hidden = part(hidden_for[events.items] == place)
    wanted = events.where(hidden if allowed is None else hidden & allowed(events)).reindex(new, n_items)
    distinct = wanted.distinct()
    report = report.noted(
        wanted.n_events - distinct.n_events, f"{name} events with a target again (dropped from the split)"
    )
    report = report.noted(
        events.n_events - shown.n_events - wanted.n_events,
        f"{name} events with items of the other hidden group, or that no training user has, or that cannot be targets "
        "(dropped from the split)",
    )
    return HeldOut.under(log.reading, fold_in=shown, targets=distinct, users=log.users.gather(users)), report
