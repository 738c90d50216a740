"""A model's catalog as it is known now: with the titles and features that were sent since, without retired items.

It is prepared once for each change of the items, so that a request has no more to do than to use it. The indices are those of the
model.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from foldin.data import Catalog, Filters
from foldin.errors import ConfigError
from foldin.serve.engine.item_values import as_value, column_of
from foldin.serve.engine.search import TitleSearch
from foldin.serve.storage.items import ItemRow, ItemsState
from foldin.tensors import Array, Bool

__all__ = ["CatalogView", "features_of", "larger_catalog"]

_OWN = {"item", "title", "count", "is_active"}  # columns of a catalog that are no features


class CatalogView:
    """A model's catalog as it is known now.

    Args:
        base: the catalog of the run.
        state: all items that were sent.
        before: the view of an earlier state, of which is kept what did not change.

    Attributes:
        catalog: the items of the model, with their newest titles and features.
        retired: mask of the items that may not be listed; None if all may.
        retired_by_run: whether items are retired of which the state knows nothing.
        new: active items that the model does not know, with a count of 0, and the features that the catalog has.
        revision: revision of the state.
    """

    def __init__(self, base: Catalog, state: ItemsState | None = None, before: "CatalogView | None" = None) -> None:
        found = state or ItemsState()
        places = dict(zip(found.rows, base.places(found.rows), strict=True))
        known = {at: found.rows[item] for item, at in places.items() if at is not None}
        self.base, self.revision = base, found.revision
        self.retired = _retired(base, known)
        self.retired_by_run = base.retired is not None and any(
            at not in known or known[at].is_active is None for at in np.flatnonzero(base.retired).tolist()
        )
        self._rows = {at: (row.title, row.features) for at, row in known.items()}
        fresh = [row for row in found.rows.values() if places[row.item] is None and row.is_active is not False]
        self.new = _new(base, sorted(fresh, key=lambda row: row.item))
        self.new_filters = Filters(self.new)
        same = before is not None and before._rows == self._rows
        self.catalog: Catalog = before.catalog if before is not None and same else _overlaid(base, known)
        self.filters: Filters = before.filters if before is not None and same else Filters(self.catalog)
        titled = before is not None and before.catalog.titles == self.catalog.titles
        self._search: Callable[[], TitleSearch] = (
            before._search if before is not None and titled else functools.cache(lambda: TitleSearch(self.catalog))
        )

    @property
    def search(self) -> TitleSearch:
        """The titles, prepared for search at the first search."""
        return self._search()

    def features(self, item: str) -> dict[str, Any]:
        """The features of an item of the model, as values of JSON."""
        (at,) = self.catalog.indices([item])
        return features_of(self.catalog, at)


def features_of(catalog: Catalog, at: int) -> dict[str, Any]:
    """The features of an item by its index, as values of JSON; None for those without a value."""
    row = catalog.table.row(at, named=True)
    return {name: _plain(value) for name, value in row.items() if name not in _OWN}


def larger_catalog(base: Catalog, rows: Sequence[ItemRow]) -> Catalog:
    """The catalog with items after its own that were sent: with their titles, and their features in the types of the columns."""
    new = _new(base, rows).table
    same = [pl.col(name).cast(new.schema[name]) for name in base.table.columns if name in new.columns]
    return Catalog(pl.concat((base.table.with_columns(same), new), how="diagonal_relaxed"))


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return [_plain(one) for one in value] if isinstance(value, list) else str(value)


def _retired(base: Catalog, known: Mapping[int, ItemRow]) -> Bool[Array, " items"] | None:
    """The items that were retired when the model was trained or since; what was sent comes before what the run knows."""
    mask = np.zeros(len(base), dtype=bool) if base.retired is None else base.retired.copy()
    told = {at: row.is_active for at, row in known.items() if row.is_active is not None}
    mask[list(told)] = [not active for active in told.values()]
    return mask if mask.any() else None


def _overlaid(base: Catalog, known: Mapping[int, ItemRow]) -> Catalog:
    """The catalog with the titles and features that were sent; values that do not fit a column are left out."""
    table = base.table
    titles = {at: row.title for at, row in known.items() if row.title is not None}
    if titles and "title" not in table.columns:
        table = table.with_columns(title=pl.lit(None, pl.String))
    changed = [_replaced(table["title"], titles)] if titles else []
    for name in table.columns:
        if name not in _OWN:
            values = {at: row.features[name] for at, row in known.items() if name in row.features}
            values = {
                at: made for at, one in values.items() if (made := _fitting(one, table[name].dtype)) is not _UNFIT
            }
            if values:
                changed.append(_replaced(table[name], values))
    return Catalog(table.with_columns(changed)) if changed else base


def _replaced(column: pl.Series, values: Mapping[int, Any]) -> pl.Series:
    """A column with other values at some places."""
    added = column_of(column, list(values.values()))
    source = np.arange(len(column))
    source[list(values)] = len(column) + np.arange(len(values))
    return pl.concat((column.cast(added.dtype), added)).gather(source)


def _new(base: Catalog, rows: Sequence[ItemRow]) -> Catalog:
    """The catalog of new items, in the order of the rows."""
    made = {
        "item": pl.Series([row.item for row in rows], dtype=pl.String),
        "count": pl.Series([0] * len(rows), dtype=pl.Int64),
        "title": pl.Series([row.title for row in rows], dtype=pl.String),
    }
    for name in base.table.columns:
        if name not in _OWN:
            column = base.table[name]
            values = [_fitting(row.features.get(name), column.dtype) for row in rows]
            made[name] = column_of(column, [None if one is _UNFIT else one for one in values])
    return Catalog(pl.DataFrame(made))


_UNFIT: Any = object()  # a value that was sent when the models in service had a column of another type, or none


def _fitting(value: Any, dtype: pl.DataType) -> Any:
    try:
        return as_value(value, dtype)
    except ConfigError:
        return _UNFIT
