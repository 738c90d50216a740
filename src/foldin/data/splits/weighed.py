"""What the weights of events change in a split: which events may be targets, and what models read of the others."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np

from foldin.data.histories import Histories
from foldin.data.log.events import EventLog
from foldin.data.log.report import ReadReport
from foldin.data.splits.base import HeldOut, Split
from foldin.data.weighting import EventWeights
from foldin.errors import SplitError
from foldin.tensors import Array, Bool

__all__ = ["Targets", "targets_of", "weighed", "weighed_log"]

Targets = Callable[[Histories], Bool[Array, " events"]]


def targets_of(log: EventLog, kinds: Collection[str]) -> Targets | None:
    """A function that gives a mask of the events that may be targets; None if every event may.

    Dislikes and events of weight 0 are no targets, nor are events with an item that the user dislikes in the end.

    Args:
        kinds: names of the kinds of events that may be targets; empty for all kinds.

    Raises:
        SplitError: the log has no kinds, or no event of one of these kinds.
    """
    missing = [kind for kind in kinds if kind not in log.kinds]
    if missing:
        there = ", ".join(one or "none" for one in log.kinds) or "no kinds of events"
        raise SplitError(f"{log.report.source}: targets: no event of the kind {missing[0]!r}; there are {there}")
    rule = log.reading.weighting
    every = rule is None or (rule.dislike_below is None and all(one > 0.0 for one in rule.kinds.values()))
    if every and not kinds:
        return None
    wanted = np.array([not kinds or name in kinds for name in log.kinds])

    def allowed(histories: Histories) -> Bool[Array, " events"]:
        mask = np.ones(histories.n_events, dtype=bool) if every or rule is None else rule.liked(histories, log.kinds)
        return mask if histories.kinds is None else mask & wanted[histories.kinds]

    return allowed


def weighed(split: Split) -> Split:
    """The split with the weights and dislikes of its log in what models read; unchanged if every event counts alike.

    Age is counted from the latest training event. Items that a user dislikes before a target of the same item are no targets.
    """
    rule = split.reading.weighting
    if rule is None:
        return split
    rule = rule.since(split.train)
    report = split.report
    train = rule.applied(split.train, split.kinds)
    validation, report = _held(rule, split.validation, split.kinds, "validation", report)
    test, report = _held(rule, split.test, split.kinds, "test", report)
    return replace(split, train=train, validation=validation, test=test, weighting=rule, report=report)


def weighed_log(log: EventLog) -> tuple[EventLog, EventWeights | None]:
    """(the log with the weights and dislikes of its events, the rule with age counted from its latest event)."""
    rule = log.reading.weighting
    if rule is None:
        return log, None
    rule = rule.since(log.histories)
    return replace(log, histories=rule.applied(log.histories, log.kinds)), rule


def _held(
    rule: EventWeights, held: HeldOut, kinds: Sequence[str], name: str, report: ReadReport
) -> tuple[HeldOut, ReadReport]:
    """(the held-out users with weights and dislikes in what is seen of them, report)."""
    fold_in = rule.applied(held.fold_in, kinds)
    seen = fold_in if held.seen is held.fold_in else rule.applied(held.seen, kinds) if held.seen.n_events else held.seen
    targets = held.targets
    for one in (fold_in.dislikes, seen.dislikes):
        targets = targets if one is None else targets.without(one)
    report = report.noted(
        held.targets.n_events - targets.n_events,
        f"{name} targets with items that the user disliked before (no targets)",
    )
    return HeldOut(fold_in=fold_in, targets=targets, users=held.users, seen=seen), report
