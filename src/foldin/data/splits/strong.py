"""Strong generalization: users are split, and held-out users show a random part of their items."""

import math

import numpy as np

from foldin.data.histories import Histories
from foldin.data.log.events import EventLog
from foldin.data.splits.base import HeldOut, Split, catalog_of
from foldin.errors import SplitError
from foldin.tensors import Array, Int64

__all__ = ["strong"]


def _people_count(share: float, people: int, what: str) -> int:
    if not math.isfinite(share):
        raise SplitError(f"{what} = {share:g}: a share below 1 or a number of people was expected")
    count = int(share) if share >= 1 else max(1, round(share * people))
    if share <= 0 or 2 * count >= people:
        raise SplitError(
            f"{what} = {share:g}: two held-out groups of {count:,} leave nobody of {people:,} people to train on"
        )
    return count


def strong(
    log: EventLog, *, held_out: float = 0.1, target_share: float = 0.2, min_events: int = 5, seed: int = 0
) -> Split:
    """Strong generalisation: people are split, held-out people show a random 80 % of their items.

    The catalogue is that of training people; of a held-out person's items, those outside it are left out. A held-out
    person with fewer than five items there shows all of them and has no targets.

    Args:
        held_out: people of the validation and of the test group, each: a share below 1, or a number.
        target_share: share of a held-out person's items that become targets.
        min_events: people with fewer items are left out first.

    Source: liang2018, section 4.1 and the authors' code.

    Raises:
        SplitError: nobody is left to train on.
    """
    if not 0 < target_share < 1:
        raise SplitError(f"target_share must be in (0, 1), not {target_share:g}")
    log = log.core(user_events=min_events, repeat=False)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(log.histories))
    count = _people_count(held_out, len(order), "held_out")
    groups = {"validation": order[:count], "test": order[count : 2 * count]}
    train_people = np.sort(order[2 * count :])
    everyone = log.histories
    items = np.flatnonzero(everyone.select(train_people).counts())
    new = np.full(everyone.n_items, -1, dtype=np.int64)
    new[items] = np.arange(len(items))
    report = log.report
    held: dict[str, HeldOut] = {}
    for name, people in groups.items():
        all_events = everyone.select(people)
        events = all_events.reindex(new, len(items))
        report = report.noted(
            all_events.n_events - events.n_events,
            f"{name} events on items that no training person has (left out of the split)",
        )
        lengths = events.lengths
        targets_per_user = np.where(lengths >= 5, (lengths * target_share).astype(np.int64), 0)
        ranks = _random_ranks(events, rng)
        is_target = ranks < np.repeat(targets_per_user, lengths)
        held[name] = HeldOut(
            fold_in=events.where(~is_target), targets=events.where(is_target), people=log.people.gather(people)
        )
    train = everyone.select(train_people).reindex(new, len(items))
    return Split(
        train=train,
        train_people=log.people.gather(train_people),
        catalog=catalog_of(log.items[items], train),
        protocol="strong",
        seed=seed,
        report=report,
        **held,
    )


def _random_ranks(histories: Histories, rng: np.random.Generator) -> Int64[Array, " events"]:
    """Each event's place in a random order of its person's events."""
    order = np.lexsort((rng.random(histories.n_events), histories.users()))
    ranks = np.empty(histories.n_events, dtype=np.int64)
    ranks[order] = np.arange(histories.n_events) - np.repeat(histories.offsets[:-1], histories.lengths)
    return ranks
