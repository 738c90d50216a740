"""Encodings of the positions of events in a transformer, as settings."""

from dataclasses import dataclass

from foldin.training import Option, setting

__all__ = ["LearnedPositions", "RelativePositions", "RotaryPositions"]


@dataclass(frozen=True, kw_only=True)
class LearnedPositions(Option):
    """A learned vector for each position, added to that of the item."""

    name = "learned"
    origin: str = setting("newest", "The event that places are counted from.", choices=("newest", "oldest"))


@dataclass(frozen=True, kw_only=True)
class RotaryPositions(Option):
    """Queries and keys rotated by angles that grow with the position.

    Source: su2021.
    """

    name = "rotary"


@dataclass(frozen=True, kw_only=True)
class RelativePositions(Option):
    """A learned bias of the attention for each distance between two events."""

    name = "relative"
