"""What a caller sends: conditions on features of items."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from foldin.errors import ConfigError

__all__ = ["ItemFilter", "refuse_text"]

Value = str | bool | int | float | date  # value of a feature, in the type of its column; a datetime is a date


def refuse_text(request: object, *names: str) -> None:
    """Refuse a text where several values belong: its characters would be sent as ids."""
    for name in names:
        if isinstance(getattr(request, name), str):
            raise ConfigError(f"{name}: a list was expected, not {getattr(request, name)[:40]!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemFilter:
    """Conditions on one feature of an item, all of which must hold.

    A feature of dates is compared with dates: `datetime.date`, `datetime.datetime` with a zone, or ISO 8601 text such as
    2024-01-31. A day means all of its times in UTC.

    Args:
        any_of: one of the values is one of these.
        all_of: all of these are among the values.
        none_of: none of the values is one of these; holds for items without a value.
        contains: the text of the feature contains this text, ignoring case.
        low: a value is not below this number, or not before this date.
        high: a value is not above this number, or not after this date.
    """

    any_of: Sequence[Value] | None = None
    all_of: Sequence[Value] | None = None
    none_of: Sequence[Value] | None = None
    contains: str | None = None
    low: float | str | date | None = None
    high: float | str | date | None = None

    def __post_init__(self) -> None:
        refuse_text(self, "any_of", "all_of", "none_of")
