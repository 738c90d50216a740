"""Splitting a log by the name of a protocol."""

from collections.abc import Collection

from foldin.data.log.events import EventLog
from foldin.data.splits.base import Split
from foldin.data.splits.cold_items import cold_items
from foldin.data.splits.cold_users import cold_users
from foldin.data.splits.last_out import last_out
from foldin.data.splits.strong import strong
from foldin.data.splits.temporal import temporal
from foldin.data.user_features import with_user_features
from foldin.errors import SplitError

__all__ = ["DEFAULT_MIN_EVENTS", "PROTOCOLS", "split_log"]

PROTOCOLS = ("strong", "last-out", "temporal", "cold-items", "cold-users", "given")
DEFAULT_MIN_EVENTS = {"strong": 5, "last-out": 3, "cold-items": 5, "cold-users": 5}


def split_log(
    log: EventLog,
    protocol: str,
    *,
    held_out: float = 0.1,
    min_events: int | None = None,
    seed: int = 0,
    targets: Collection[str] = (),
) -> Split:
    """The split of a log by the name of a protocol, with the options of the command line.

    If the log has features of its users, the split has them too, fitted on the training users.

    Raises:
        SplitError: an unknown protocol, one that does not apply to this log, or `log` is something else, such as a table.
    """
    if not isinstance(log, EventLog):
        raise SplitError(f"an EventLog was expected, not {type(log).__name__}: read it first, with foldin.read_log")
    split = _split(log, protocol, held_out, min_events, seed, targets)
    return split if log.user_features is None else with_user_features(split, log.user_features)


def _split(
    log: EventLog, protocol: str, held_out: float, min_events: int | None, seed: int, targets: Collection[str]
) -> Split:
    """The split without features of users."""
    least = DEFAULT_MIN_EVENTS.get(protocol, 1) if min_events is None else min_events
    if protocol == "strong":
        return strong(log, held_out=held_out, min_events=least, seed=seed, targets=targets)
    if protocol == "last-out":
        return last_out(log, min_events=least, targets=targets)
    if protocol == "temporal":
        if min_events is not None:
            log = log.core(user_events=min_events, repeat=False)
        return temporal(log, validation_share=held_out, test_share=held_out, targets=targets)
    if protocol == "cold-items":
        if targets:
            raise SplitError(
                "targets: the targets of 'cold-items' are the hidden items, whatever the kind of the event"
            )
        return cold_items(log, held_out=held_out, min_events=least, seed=seed)
    if protocol == "cold-users":
        if targets:
            raise SplitError("targets: the targets of 'cold-users' are all items of a held-out user, whatever the kind")
        return cold_users(log, held_out=held_out, min_events=least, seed=seed)
    if protocol == "given":
        raise SplitError(f"{log.report.source}: 'given' needs a folder that is already split (train.csv and others)")
    raise SplitError(f"protocol {protocol!r} is not one of {', '.join(PROTOCOLS)}")
