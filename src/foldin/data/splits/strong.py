"""Strong generalization: users are split, and held-out users are folded in from a random part of their items."""

import math
from collections.abc import Collection

import numpy as np

from foldin.data.histories import Histories
from foldin.data.log.events import EventLog
from foldin.data.log.report import ReadReport
from foldin.data.splits.base import HeldOut, Split, catalog_of
from foldin.data.splits.weighed import Targets, targets_of, weighed
from foldin.errors import SplitError
from foldin.tensors import Array, Bool, Int64

__all__ = ["held_out_users", "strong", "users_count"]


def users_count(share: float, users: int, what: str, of: str = "users") -> int:
    """The size of each of two held-out groups.

    Args:
        share: a share below 1, or a number.
        users: number of all users, or of other things that are held out.
        what: name of the argument, for messages.
        of: what is held out, for messages.

    Raises:
        SplitError: the groups leave nothing to train on, or `share` is not a positive number.
    """
    if not math.isfinite(share):
        raise SplitError(f"{what} = {share:g}: a share below 1 or a number of {of} was expected")
    count = int(share) if share >= 1 else max(1, round(share * users))
    if share <= 0 or 2 * count >= users:
        raise SplitError(
            f"{what} = {share:g}: two held-out groups of {count:,} leave none of the {users:,} {of} to train on"
        )
    return count


def strong(
    log: EventLog,
    *,
    held_out: float = 0.1,
    target_share: float = 0.2,
    min_events: int = 5,
    seed: int = 0,
    targets: Collection[str] = (),
) -> Split:
    """Strong generalization: users are split, and held-out users are folded in from a random 80 % of their items.

    The catalog contains the items of the training users; events of held-out users with other items are dropped. A held-out
    user with fewer than five items in the catalog is folded in from all of them and has no targets.

    Of a log that keeps repeats, a held-out user with five events is folded in from the first 80 % of them, in their order, since
    what is taken again depends on the order; the targets are the items of the others.

    Args:
        held_out: users held out for validation, and as many for the test: a share below 1, or a number.
        target_share: share of a held-out user's items that become targets.
        min_events: users with fewer items are dropped first.
        targets: kinds of events that may be targets; all kinds if empty. A share of the items with such an event is then held
            out, at least one, with all events of these items.

    Source: liang2018, section 4.1 and the authors' code.

    Raises:
        SplitError: no user is left to train on, or there is no event of a kind in `targets`.
    """
    if not 0 < target_share < 1:
        raise SplitError(f"target_share must be in (0, 1), not {target_share:g}")
    log = log.core(user_events=min_events, repeat=False)
    allowed = targets_of(log, targets)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(log.histories))
    count = users_count(held_out, len(order), "held_out")
    groups = {"validation": order[:count], "test": order[count : 2 * count]}
    train_users = np.sort(order[2 * count :])
    trained = log.histories.select(train_users)
    items = np.flatnonzero(trained.counts())
    new = np.full(log.histories.n_items, -1)
    new[items] = np.arange(len(items))
    train, report, held = trained.reindex(new, len(items)), log.report, dict[str, HeldOut]()
    for name, users in groups.items():
        held[name], report = held_out_users(log, users, new, len(items), target_share, allowed, rng, name, report)
    split = Split(
        train=train,
        train_users=log.users.gather(train_users),
        catalog=catalog_of(log.items[items], train),
        protocol="strong",
        seed=seed,
        report=report,
        kinds=log.kinds,
        style=log.style,
        reading=log.reading,
        validation=held["validation"],
        test=held["test"],
    )
    return weighed(split)


def held_out_users(
    log: EventLog,
    users: Int64[Array, " users"],
    new: Int64[Array, " items"],
    n_items: int,
    share: float,
    allowed: Targets | None,
    rng: np.random.Generator,
    name: str,
    report: ReadReport,
) -> tuple[HeldOut, ReadReport]:
    """(held-out users with a random share of their items as targets, report with the events that were dropped).

    Args:
        new: index of each item in the catalog of the split; −1 for one that is not there.
        n_items: size of that catalog.
        share: share of a user's items that become targets.
        name: name of the group, for the report.
    """
    all_events = log.histories.select(users)
    events = all_events.reindex(new, n_items)
    report = report.noted(
        all_events.n_events - events.n_events,
        f"{name} events with items that no training user has (dropped from the split)",
    )
    keeps = log.reading.keeps_repeats
    is_target = np.concatenate(
        [_late(part, share) if keeps else _targets(part, share, allowed, rng) for part in events.parts()]
    )
    targets = events.where(is_target)
    if keeps and allowed is not None:
        targets = targets.where(allowed(targets))
    distinct = targets.distinct()
    report = report.noted(
        targets.n_events - distinct.n_events, f"{name} events with a target again (dropped from the split)"
    )
    shown = events.where(~is_target)
    return HeldOut.under(log.reading, fold_in=shown, targets=distinct, users=log.users.gather(users)), report


def _targets(
    events: Histories, share: float, allowed: Targets | None, rng: np.random.Generator
) -> Bool[Array, " events"]:
    """Whether each event is one with a target: a share of the items of a user with five or more.

    If only some events may be targets, it is a share of the items that have one, and at least one of them.
    """
    items = events.distinct()
    enough = items.lengths >= 5
    if allowed is not None:
        items = events.where(allowed(events)).distinct()
    lengths = items.lengths
    per_user = np.where(enough, (lengths * share).astype(np.int64), 0)
    if allowed is not None:
        per_user = np.where(enough, np.maximum(per_user, lengths > 0), 0)
    chosen = _random_ranks(items, rng) < np.repeat(per_user, lengths)
    return chosen if items is events else np.isin(events.pair_keys(), items.where(chosen).pair_keys())


def _late(events: Histories, share: float) -> Bool[Array, " events"]:
    """Whether each event is among the last ones of a user with five or more, for a log that keeps repeats."""
    lengths = events.lengths
    late = np.where(lengths >= 5, (lengths * share).astype(np.int64), 0)
    return np.arange(events.n_events) >= np.repeat(events.offsets[1:] - late, lengths)


def _random_ranks(histories: Histories, rng: np.random.Generator) -> Int64[Array, " events"]:
    """Each event's position in a random order of its user's events."""
    order = np.lexsort((rng.random(histories.n_events), histories.users()))
    ranks = np.empty(histories.n_events, dtype=np.int64)
    ranks[order] = np.arange(histories.n_events) - np.repeat(histories.offsets[:-1], histories.lengths)
    return ranks
