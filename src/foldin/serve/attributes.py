"""Filters on attributes of a catalogue, as masks over its items."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from foldin.data import Catalog
from foldin.errors import ConfigError
from foldin.serve.schemas import ItemFilter
from foldin.tensors import Array, Bool

__all__ = ["attributes", "passing"]


def attributes(catalog: Catalog) -> list[str]:
    """Names of the attributes that a filter may use."""
    table = catalog.table
    return [name for name in table.columns if name not in {"item", "title"} and not table[name].dtype.is_nested()]


def passing(catalog: Catalog, filters: Mapping[str, ItemFilter]) -> Bool[Array, " items"]:
    """Which items meet all the conditions; an item without the attribute meets none on it.

    Raises:
        ConfigError: no such attribute, or a range of one that is not a number.
    """
    found = np.ones(len(catalog), dtype=bool)
    for name, wanted in filters.items():
        if name not in attributes(catalog):
            raise ConfigError(f"filter: no attribute {name!r}; there are {', '.join(attributes(catalog)) or 'none'}")
        column = catalog.table[name]
        text = column.cast(pl.String, strict=False)
        conditions = []
        if wanted.any_of is not None:
            conditions.append(text.is_in(wanted.any_of))
        if wanted.contains is not None:
            conditions.append(text.str.to_lowercase().str.contains(wanted.contains.lower(), literal=True))
        if wanted.low is not None or wanted.high is not None:
            if not column.dtype.is_numeric():
                raise ConfigError(f"filter: attribute {name!r} holds no numbers; low and high do not apply")
            conditions.append(
                column.is_between(
                    -np.inf if wanted.low is None else wanted.low, np.inf if wanted.high is None else wanted.high
                )
            )
        for condition in conditions:
            found &= condition.fill_null(value=False).to_numpy()
    return found
