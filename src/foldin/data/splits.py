"""Protocols: how a log becomes training people, validation and test.

A `Split` keeps its parts apart by type: models are given `train`, which is `Histories`; targets live in `HeldOut`,
which nothing below `evaluation` accepts.
"""

import hashlib
import math
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from foldin.data.catalog import Catalog
from foldin.data.events import EventLog
from foldin.data.histories import Histories
from foldin.data.report import ReadReport
from foldin.errors import SplitError
from foldin.tensors import Array, Int64

__all__ = ["DEFAULT_MIN_EVENTS", "PROTOCOLS", "HeldOut", "Split", "last_out", "split_log", "strong", "temporal"]

PROTOCOLS = ("strong", "last-out", "temporal", "given")
DEFAULT_MIN_EVENTS = {"strong": 5, "last-out": 3}


@dataclass(frozen=True, eq=False, kw_only=True)
class HeldOut:
    """People to be judged: what a model may see of them, and what it should have found.

    Args:
        fold_in: what the model sees.
        targets: what is relevant; disjoint from `seen`.
        people: external ids.
        seen: items that are not recommended again; `fold_in` unless the protocol knows more of a person.

    Raises:
        SplitError: a target is among the items seen.
    """

    fold_in: Histories
    targets: Histories
    people: pl.Series
    # None only until __post_init__ puts `fold_in` there.
    seen: Histories = field(default=None)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.seen is None:
            object.__setattr__(self, "seen", self.fold_in)
        sizes = {len(self.fold_in), len(self.targets), len(self.seen), self.people.len()}
        if len(sizes) != 1:
            raise SplitError(f"fold-in, targets, seen items and people differ in number: {sorted(sizes)}")
        both = np.isin(self.targets.pair_keys(), self.seen.pair_keys())
        if both.any():
            user = int(self.targets.users()[np.argmax(both)])
            raise SplitError(
                f"{int(both.sum()):,} targets are among the items the model has seen; "
                f"the first is of person {self.people[user]!r}"
            )

    def __len__(self) -> int:
        return len(self.fold_in)


@dataclass(frozen=True, eq=False, kw_only=True)
class Split:
    """A log, split by a protocol.

    Args:
        train: the people, or the parts of their histories, that a model learns from.
        train_people: their external ids.
        validation: for early stopping and choosing settings.
        test: looked at once.
        catalog: the items that are ranked, with training counts.
        protocol: one of `PROTOCOLS`.
        seed: of the random choices; None where there are none.
        report: how the log was read, and what the protocol left out.
    """

    train: Histories
    train_people: pl.Series
    validation: HeldOut
    test: HeldOut
    catalog: Catalog
    protocol: str
    seed: int | None
    report: ReadReport

    def fingerprint(self) -> str:
        """SHA-256 of the training part, the held-out people and the item ids."""
        parts = [self.train, *(h for held in (self.validation, self.test) for h in (held.fold_in, held.targets))]
        digest = hashlib.sha256("".join(part.fingerprint() for part in parts).encode())
        digest.update("\0".join(self.catalog.ids).encode())
        return digest.hexdigest()


def _catalog(items: pl.DataFrame, train: Histories) -> Catalog:
    attributes = [name for name in items.columns if name not in ("item", "count")]
    return Catalog(items.select("item", *attributes).with_columns(pl.Series("count", train.counts())))


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
        catalog=_catalog(log.items[items], train),
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


def last_out(log: EventLog, *, min_events: int = 3) -> Split:
    """Leave-last-out: the last item is the test, the one before it validation.

    The catalogue is that of the whole log, as in the published tables: an item seen only as a target is ranked too.

    Args:
        min_events: people with fewer items are left out (3 at least).

    Source: kang2018, section IV.
    """
    if min_events < 3:
        raise SplitError(f"last-out needs three events of a person: min_events must be at least 3, not {min_events}")
    log = log.core(user_events=min_events, repeat=False)
    histories = log.histories
    from_end = np.repeat(histories.offsets[1:], histories.lengths) - np.arange(histories.n_events)
    train, before_test = histories.where(from_end > 2), histories.where(from_end > 1)
    unseen = int((train.counts()[histories.where(from_end == 1).items] == 0).sum())
    return Split(
        train=train,
        train_people=log.people,
        validation=HeldOut(fold_in=train, targets=histories.where(from_end == 2), people=log.people),
        test=HeldOut(fold_in=before_test, targets=histories.where(from_end == 1), people=log.people),
        catalog=_catalog(log.items, train),
        protocol="last-out",
        seed=None,
        report=log.report.noted(unseen, "test targets that nobody has in training (ranked, and missed)"),
    )


def temporal(log: EventLog, *, validation_share: float = 0.1, test_share: float = 0.1) -> Split:
    """Two global cut times: train before the first, validate between them, test after the second.

    A person is judged on what they take inside a window, given everything they took before it. Who arrives inside a
    window is folded in from the first 80 % of their events there (a single event is a target of an empty history).

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
    people = np.flatnonzero(np.bincount(log.histories.users()[in_train], minlength=len(log.histories)))
    new = np.full(log.histories.n_items, -1, dtype=np.int64)
    new[items] = np.arange(len(items))
    train = log.histories.where(in_train).select(people).reindex(new, len(items))
    report = log.report
    held: dict[str, HeldOut] = {}
    for name, start, end in (("validation", first, second), ("test", second, times.max() + 1)):
        held[name], lost = _window(log, new, len(items), int(start), int(end))
        report = report.noted(
            lost, f"{name} events on items that nobody had before the first cut (left out of the split)"
        )
    return Split(
        train=train,
        train_people=log.people.gather(people),
        catalog=_catalog(log.items[items], train),
        protocol="temporal",
        seed=None,
        report=report,
        **held,
    )


def _window(log: EventLog, new: Int64[Array, " items"], n_items: int, start: int, end: int) -> tuple[HeldOut, int]:
    """People with events in [start, end) on known items, and how many events on unknown items they lost."""
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
    # Of who arrives here, the last fifth of their events, by time whatever the order of the history is.
    by_time = np.lexsort((chosen.times, chosen.users()))
    place = np.empty(chosen.n_events, dtype=np.int64)
    place[by_time] = np.arange(chosen.n_events) - np.repeat(chosen.offsets[:-1], chosen.lengths)
    late = place >= np.repeat((per_user * 4) // 5, chosen.lengths)
    is_target = inside & (late | ~np.repeat(arrived, chosen.lengths))
    held = HeldOut(fold_in=chosen.where(~is_target), targets=chosen.where(is_target), people=log.people.gather(active))
    return held, lost


def split_log(
    log: EventLog, protocol: str, *, held_out: float = 0.1, min_events: int | None = None, seed: int = 0
) -> Split:
    """The log split by a protocol's name, with the options that the command line has.

    Raises:
        SplitError: an unknown protocol, or one that does not apply to this log.
    """
    least = DEFAULT_MIN_EVENTS.get(protocol, 1) if min_events is None else min_events
    if protocol == "strong":
        return strong(log, held_out=held_out, min_events=least, seed=seed)
    if protocol == "last-out":
        return last_out(log, min_events=least)
    if protocol == "temporal":
        if min_events is not None:
            log = log.core(user_events=min_events, repeat=False)
        return temporal(log, validation_share=held_out, test_share=held_out)
    if protocol == "given":
        raise SplitError(f"{log.report.source}: 'given' needs a folder that is already split (train.csv and others)")
    raise SplitError(f"protocol {protocol!r} is not one of {', '.join(PROTOCOLS)}")
