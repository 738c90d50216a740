"""Times of events in requests: whole seconds since 1970, or ISO 8601 with an offset. Likely mistakes are refused."""

import math
import time
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

__all__ = ["AHEAD", "Time", "seconds"]

AHEAD = 24 * 3600  # seconds that a clock may be ahead of the service's, which covers forgotten time zones
_FINER = (("milliseconds", 10**3), ("microseconds", 10**6), ("nanoseconds", 10**9))
_PLAUSIBLE = 10**8  # March 1973: earliest time for which a number is taken for one in a finer unit
_WANTED = "send seconds since 1970 as a number, or ISO 8601 with an offset"


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _refused(text: str) -> PydanticCustomError:
    return PydanticCustomError("time", "{text}", {"text": text})


def seconds(value: Any) -> int:
    """Whole seconds since 1970 of a time in a request; fractions of a second are dropped.

    Raises:
        PydanticCustomError: not a time, a time without an offset, before 1970 or more than a day ahead, or a number of
            milliseconds or finer units; the message says what to send.
    """
    now = time.time()
    if isinstance(value, str):
        at = _read(value)
    elif isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _refused(f"a time was expected, not {str(value)[:40]}; {_WANTED}")
    elif isinstance(value, float):
        raise _refused(f"whole seconds since 1970 were expected, not {value}; leave out the fraction")
    else:
        at = value
    if at < 0:
        raise _refused(f"{str(value)[:40]} lies before 1970; {_WANTED}")
    if at > now + AHEAD:
        for unit, size in _FINER if not isinstance(value, str) else ():
            if _PLAUSIBLE <= at // size <= now + AHEAD:
                meant = at // size
                raise _refused(f"{value} looks like {unit}: send seconds, {meant}, or '{_iso(meant)}'")
        raise _refused(f"{str(value)[:40]} lies more than a day ahead of this service's clock, {_iso(now)}; {_WANTED}")
    return at


def _read(text: str) -> int:
    shown = repr(text[:40])
    if text.strip().lstrip("+-").replace(".", "", 1).isdecimal():
        raise _refused(f"{shown} is a text; send the number of seconds since 1970 without quotes")
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise _refused(f"{shown} is no time; {_WANTED}, as in '{_iso(time.time())}'") from None
    if at.tzinfo is None:
        raise _refused(f"{shown} has no offset from UTC; add it, as in '2020-09-13T12:26:40Z' or '…+02:00'")
    return math.floor(at.timestamp())


Time = Annotated[
    int,
    PlainValidator(seconds),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "format": "date-time"}],
            "examples": [1600000000, "2020-09-13T12:26:40Z"],
        }
    ),
]
