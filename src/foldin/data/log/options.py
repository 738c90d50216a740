"""The options of reading a log, for Python, the command line and the file of a run."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from foldin.data.weighting import EventWeights, half_life_seconds, weights_by_kind
from foldin.errors import DataError

__all__ = ["REPEATS", "ReadOptions", "takes_read_options"]

# Which events are kept of one user with one item.
REPEATS = ("first", "last", "first-of-kind", "keep")

F = TypeVar("F", bound=Callable[..., Any])


def _option(default: Any, text: str, show: str = "") -> Any:
    return field(default=default, metadata={"help": text, "show": show})


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """Options of reading a log.

    Args:
        format: one of `foldin.data.FORMATS`; needed only if the content of the file fits none or several.
        encoding: Python's name of the encoding of a text file; needed only if it is not UTF-8 and cannot be guessed.
        user, item, time, rating, kind: names of the columns; needed only if they are unusual.
        order: name of a column that only orders the events of a user.
        time_format: `day-first`, `month-first`, a unit such as `milliseconds` or a strptime layout, if the values of the time
            column can be read in several ways.
        min_rating: minimum rating of an event; events with a lower one are dropped.
        repeats: which of several events of a user with one item is kept: the `first`, the `last`, or the first of each kind
            (`first-of-kind`). With `weights`, `first` means the first of each kind. `keep` keeps them all: items may be taken
            again, so that targets may be items of the history, and lists leave out nothing unless it is asked for.
        weights: weight of an event by the name of its kind, such as `{"view": 1, "buy": 10}`; 1 for other kinds. A negative one
            makes the event a dislike of its item, and 0 leaves it out of what models read.
        half_life: age at which an event counts half, such as `12h`, `90d` or `26w`, from the latest event of training.
        dislike_below: rating below which an event is a dislike of its item; it is kept whatever `min_rating` says.
        items: path or URL of a file of titles and features of items, or in Python a table with a column of item ids; for a
            MovieLens log, the file beside it is found.

    Raises:
        DataError: unknown `repeats`, or a weight or half-life that cannot be read.
    """

    format: str | None = _option(None, "Format of the file, if its content fits none or several.")
    encoding: str | None = _option(
        None, "Encoding of text files, such as cp949, shift_jis or cp1252  [default: UTF-8, else guessed]", "NAME"
    )
    user: str | None = _option(None, "Name of the column of users.", "COLUMN")
    item: str | None = _option(None, "Name of the column of items.", "COLUMN")
    time: str | None = _option(None, "Name of the column of times.", "COLUMN")
    rating: str | None = _option(None, "Name of the column of ratings, or of other values of events.", "COLUMN")
    kind: str | None = _option(None, "Name of the column of the kinds of events (view, cart, buy).", "COLUMN")
    order: str | None = _option(None, "Name of a column that only orders the events of a user.", "COLUMN")
    time_format: str | None = _option(
        None,
        "How times are written, if they can be read in several ways: day-first, month-first, year-first, seconds, "
        "milliseconds, microseconds, nanoseconds, or a layout such as %d/%m/%Y.",
        "FORMAT",
    )
    min_rating: float | None = _option(None, "Minimum rating of an event; events with a lower one are dropped.")
    repeats: str = _option(
        "first",
        "Which of several events of a user with one item is kept: the first, the last, or the first of each kind; or keep, for "
        "all of them: targets may then be items of the history, and lists leave out nothing unless it is asked for.",
    )
    weights: Mapping[str, float] | None = _option(
        None,
        "Weight of the events of a kind in training and in what a list is based on, such as buy=10; 1 for other kinds. With a "
        "negative weight an event is a dislike: its item is not listed, and models that can score similar items lower. May be "
        "repeated.",
        "KIND=WEIGHT",
    )
    half_life: str | None = _option(
        None, "Age at which an event counts half, from the latest event of training: 12h, 90d or 26w.", "AGE"
    )
    dislike_below: float | None = _option(
        None, "Rating below which an event is a dislike of its item, whatever the minimum rating."
    )
    items: Any = _option(
        None,
        "File of titles and features of items, or its URL; for a MovieLens log, the file beside it is found.",
        "FILE",
    )

    def __post_init__(self) -> None:
        if self.repeats not in REPEATS:
            raise DataError(f"repeats must be one of {', '.join(map(repr, REPEATS))}, not {self.repeats!r}")
        if self.weights is not None:
            object.__setattr__(self, "weights", weights_by_kind(self.weights) or None)
        if self.half_life is not None:
            half_life_seconds(self.half_life)

    @property
    def kept_repeats(self) -> str:
        """Which repeated events are kept, one of `REPEATS`: with weights of kinds, not the first but the first of each kind."""
        return "first-of-kind" if self.weights is not None and self.repeats == "first" else self.repeats

    @property
    def keeps_repeats(self) -> bool:
        """Whether users may take an item again: all events are kept, and items of the history are targets and listed."""
        return self.repeats == "keep"

    @property
    def weighting(self) -> EventWeights | None:
        """The rule by which events are weighted; None if every event counts alike."""
        if self.weights is None and self.half_life is None and self.dislike_below is None:
            return None
        return EventWeights(
            kinds=self.weights or {},
            half_life=None if self.half_life is None else half_life_seconds(self.half_life),
            dislike_below=self.dislike_below,
            min_rating=self.min_rating,
        )

    def reading(self) -> dict[str, Any]:
        """The options of reading by name, also for a subclass."""
        return {one.name: getattr(self, one.name) for one in fields(ReadOptions)}

    def differing(self) -> dict[str, Any]:
        """The options of reading that differ from their defaults."""
        return {f.name: value for f in fields(ReadOptions) if (value := getattr(self, f.name)) != f.default}

    def said(self) -> dict[str, str | None]:
        """The columns that the caller named, by role."""
        return {role: getattr(self, role) for role in ("user", "item", "time", "rating", "kind", "order")}


def takes_read_options(function: F) -> F:
    """A function whose keyword arguments are those of `ReadOptions`, shown in its signature."""
    signature = inspect.signature(function)
    own = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    keyword = inspect.Parameter.KEYWORD_ONLY
    options = [inspect.Parameter(f.name, keyword, default=f.default, annotation=f.type) for f in fields(ReadOptions)]
    setattr(function, "__signature__", signature.replace(parameters=[*own, *options]))  # noqa: B010 (unknown to mypy)
    return function
