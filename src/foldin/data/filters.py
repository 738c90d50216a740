"""Filters on features of items, as masks over a catalog."""

import contextlib
import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from foldin.data.catalog import Catalog
from foldin.data.log.text_ids import has_text
from foldin.data.moments import EXAMPLE, moments, span_of
from foldin.errors import ConfigError
from foldin.tensors import Array, Bool, Int64

__all__ = ["Bound", "Condition", "Filters", "Value"]

Value = str | bool | int | float | date  # value of a feature, in the type of its column; a datetime is a date
Bound = float | str | date
_SEPARATOR = "|"  # MovieLens': 'Comedy|Drama' is a film of both genres
_KINDS = {
    "number": "numbers",
    "truth": "true and false",
    "text": "text",
    "date": "dates",
    "other": "neither text nor numbers",
}


@dataclass(frozen=True)
class Condition:
    """Conditions on one feature of an item, all of which must hold.

    A feature may have several values: a list, or a text with `|` between the parts. A condition on one value then holds if it
    holds for any of them.

    A feature of dates is compared with dates: `datetime.date`, `datetime.datetime`, or ISO 8601 text such as 2024-01-31. Times
    are in UTC where they have no offset, and a day means all of its times.

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
    low: Bound | None = None
    high: Bound | None = None


class Filters:
    """The features of a catalog in a form that filters can be evaluated on.

    The values of a feature are prepared once, at its first use: one row for each item and value.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._table = catalog.table
        columns = (name for name in self._table.columns if name not in {"item", "title", "is_active"})
        self._kinds = {name: kind for name in columns if (kind := _kind(self._table[name])) is not None}
        self._values: dict[str, pl.DataFrame] = {}
        self._codes: dict[str, tuple[Int64[Array, " offsets"], Int64[Array, " values"]]] = {}

    @property
    def names(self) -> list[str]:
        """Names of the features that a filter may use."""
        return list(self._kinds)

    @property
    def kinds(self) -> dict[str, str]:
        """Type of the values of each feature: `number`, `truth`, `text`, `date` or `other`."""
        return dict(self._kinds)

    def passing(self, filters: Mapping[str, Condition]) -> Bool[Array, " items"]:
        """Mask of the items that meet all conditions. An item without a value of the feature meets only `none_of`.

        Raises:
            ConfigError: an unknown feature, or a condition that does not fit the type of its values.
        """
        found = np.ones(self._table.height, dtype=bool)
        for name, wanted in filters.items():
            if name not in self._kinds:
                raise ConfigError(f"filter: no feature {name!r}; there are {', '.join(self.names) or 'none'}")
            for condition in self._conditions(name, wanted):
                found &= condition
        return found

    def missing(self, filters: Mapping[str, Condition]) -> list[str]:
        """The values that conditions ask for and no item has, a sentence for each, with the values nearest to it.

        Raises:
            ConfigError: as `passing`.
        """
        found = []
        for name, wanted in filters.items():
            for one in (*(wanted.any_of or ()), *(wanted.all_of or ())):
                if not self.passing({name: Condition(any_of=[one])}).any():
                    there = [str(value) for value in self._of(name)["value"].unique().sort()]
                    near = difflib.get_close_matches(str(one), there, n=3)
                    meant = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
                    found.append(f"filter: no item has the value {one!r} of {name!r}{meant}")
        return found

    def codes(self, name: str) -> tuple[Int64[Array, " offsets"], Int64[Array, " values"]]:
        """(offsets, codes): item i has the distinct values `codes[offsets[i]:offsets[i + 1]]`, with a number for each value.

        A text with `|` between the parts has the values of its parts. The codes are prepared once, at the first use.

        Raises:
            ConfigError: an unknown feature.
        """
        if name not in self._kinds:
            raise ConfigError(f"no feature {name!r}; there are {', '.join(self.names) or 'none'}")
        if name not in self._codes:
            table = self._of(name)
            if self._kinds[name] == "text":
                value = pl.col("value")
                table = table.filter(~value.str.contains(_SEPARATOR, literal=True) & (value != ""))
            table = table.unique().select("at", code=pl.col("value").rank("dense")).sort("at", "code")
            counts = np.bincount(table["at"].to_numpy(), minlength=self._table.height)
            offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
            self._codes[name] = offsets, table["code"].cast(pl.Int64).to_numpy() - 1
        return self._codes[name]

    def _conditions(self, name: str, wanted: Condition) -> list[Bool[Array, " items"]]:
        kind, found = self._kinds[name], []
        if wanted.any_of is not None:
            found.append(self._having(name, wanted.any_of))
        if wanted.none_of is not None:
            found.append(~self._having(name, wanted.none_of))
        found += [self._having(name, [one]) for one in wanted.all_of or ()]
        if wanted.contains is not None:
            if kind != "text":
                raise ConfigError(
                    f"filter: feature {name!r} contains {_KINDS[kind]}; the condition contains needs text"
                )
            lower = pl.col("value").str.to_lowercase()
            found.append(self._where(name, lower.str.contains(wanted.contains.lower(), literal=True)))
        if wanted.low is not None or wanted.high is not None:
            found.append(self._between(name, wanted.low, wanted.high))
        return found

    def _between(self, name: str, low: Bound | None, high: Bound | None) -> Bool[Array, " items"]:
        """The items that have a value in a range."""
        kind, value = self._kinds[name], pl.col("value")
        if kind not in ("number", "date"):
            raise ConfigError(
                f"filter: feature {name!r} contains {_KINDS[kind]}; the conditions low and high need numbers or dates"
            )
        least, most = (None if one is None else self._span(name, one) for one in (low, high))
        if least is not None and most is not None and least[0] > most[1]:
            raise ConfigError(f"filter: feature {name!r}: low ({_said(low)}) is above high ({_said(high)})")
        met = pl.lit(True) if least is None else value >= least[0]
        return self._where(name, met if most is None else met & (value <= most[1]))

    def _span(self, name: str, value: Value) -> tuple[Any, Any]:
        """(first, last) value of a feature of numbers or dates that a value means: of a number, it itself."""
        if self._kinds[name] != "date":
            if isinstance(value, str | date):
                raise ConfigError(
                    f"filter: feature {name!r} contains numbers; low and high must be numbers, not {_shown(value)}"
                )
            return value, value
        found = span_of(value, days=self._of(name)["value"].dtype == pl.Date)
        if found is None:
            raise ConfigError(f"filter: feature {name!r} contains dates; {EXAMPLE} was expected, not {_shown(value)}")
        return found

    def _having(self, name: str, values: Sequence[Value]) -> Bool[Array, " items"]:
        """The items that have one of the values."""
        if self._kinds[name] == "date":
            spans = (self._span(name, one) for one in values)
            met = (pl.col("value").is_between(first, last) for first, last in spans)
            return self._where(name, pl.any_horizontal(pl.lit(False), *met))
        fitting = [_fitting(name, self._kinds[name], one) for one in values]
        dtype = self._of(name)["value"].dtype
        return self._where(name, pl.col("value").is_in(pl.Series(fitting, dtype=dtype).implode()))

    def _where(self, name: str, condition: pl.Expr) -> Bool[Array, " items"]:
        found = np.zeros(self._table.height, dtype=bool)
        found[self._of(name).filter(condition)["at"].to_numpy()] = True
        return found

    def _of(self, name: str) -> pl.DataFrame:
        """A table (at, value) of the values of each item; a text with several values is listed whole and in parts."""
        if name not in self._values:
            column = self._table[name]
            if isinstance(column.dtype, pl.Array):
                column = column.arr.to_list()
            table = pl.DataFrame({"at": np.arange(column.len()), "value": column})
            if column.dtype.is_nested():
                table = table.explode("value")
            kind, value = self._kinds[name], pl.col("value")
            if kind == "number":
                table = table.with_columns(value.cast(pl.Float64).fill_nan(None))
            elif kind == "date":
                table = table.with_columns(moments(value, table["value"].dtype))
            elif kind != "truth":
                table = table.with_columns(value.cast(pl.String))
            if kind == "text":
                several = table.filter(value.str.contains(_SEPARATOR, literal=True))
                parts = several.with_columns(value.str.split(_SEPARATOR)).explode("value")
                table = pl.concat((table, parts.with_columns(value.str.strip_chars())))
            self._values[name] = table.drop_nulls("value")
        return self._values[name]


def _kind(column: pl.Series) -> str | None:
    """Type of the values of a column, or of the values of its lists: a key of `_KINDS`; None for types without filters."""
    dtype = column.dtype.inner if isinstance(column.dtype, pl.List | pl.Array) else column.dtype
    if not has_text(pl.Series([], dtype=dtype)):
        return None
    if dtype.is_numeric():
        return "number"
    if dtype in (pl.Date, pl.Datetime):
        return "date"
    if dtype == pl.Boolean:
        return "truth"
    return "text" if dtype == pl.String or dtype in (pl.Categorical, pl.Enum) else "other"


def _fitting(name: str, kind: str, value: Value) -> str | bool | float:
    """A value in the type of the feature; numbers, true and false may be sent as text.

    Raises:
        ConfigError: the value has another type.
    """
    if kind == "number" and not isinstance(value, bool | date):
        with contextlib.suppress(ValueError, OverflowError):
            if math.isfinite(number := float(value)):
                return number
    elif kind == "truth" and str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    elif kind in ("text", "other") and isinstance(value, str):
        return value
    raise ConfigError(f"filter: feature {name!r} contains {_KINDS[kind]}, not {_shown(value)}")


def _shown(value: Value) -> str:
    return repr(value[:40]) if isinstance(value, str) else str(value)[:40]


def _said(bound: Bound | None) -> str:
    return f"{bound:g}" if isinstance(bound, int | float) else str(bound)
