"""The items that were sent to the service, in its database: read as a table of titles and features.

The service writes this table; here it is only read.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import sqlalchemy as sa

__all__ = ["RESERVED", "StoredItems", "items", "stored_items"]

RESERVED = ("item", "title", "count", "is_active")  # columns of a catalog that are no features
_BATCH = 10_000

items = sa.Table(
    "foldin_items",
    sa.MetaData(),
    sa.Column("item", sa.Text, primary_key=True),
    sa.Column("title", sa.Text),  # null for what was never sent, here and in the next two columns
    sa.Column("features", sa.Text),
    sa.Column("is_active", sa.Boolean),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("changed", sa.BigInteger, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False, index=True),
)


@dataclass(frozen=True)
class StoredItems:
    """The items of a database as of one moment, in batches of one form: `item`, `title`, `is_active`, and features by name.

    What was never sent of an item is null: whether it may be listed, as well.

    Args:
        connection: with a transaction to which the database stays as it is.
        schema: types of the columns.
        number: number of items.
    """

    connection: sa.Connection
    schema: Mapping[str, Any]
    number: int

    @classmethod
    def of(cls, connection: sa.Connection) -> "StoredItems":
        """The items of a database, after a look at the types of all values; without any if it has no table of items."""
        kinds: dict[str, _Kinds] = {}
        number = 0
        for row in _rows(connection):
            number += 1
            for name, value in _features(row).items():
                kinds.setdefault(name, _Kinds()).meet(value)
        found = {name: kinds[name].dtype() for name in sorted(kinds) if kinds[name].met}
        plain = {"item": pl.String(), "title": pl.String(), "is_active": pl.Boolean()}
        return cls(connection, {**plain, **found}, number)

    def batches(self, size: int = _BATCH) -> Iterator[pl.DataFrame]:
        """The items in the order of their ids; at least one table, which is empty if there are none."""
        rows: list[Any] = []
        for row in _rows(self.connection):
            rows.append(row)
            if len(rows) == size:
                yield self._table(rows)
                rows = []
        if rows or not self.number:
            yield self._table(rows)

    def _table(self, rows: Sequence[Any]) -> pl.DataFrame:
        features = [_features(row) for row in rows]
        columns: dict[str, list[Any]] = {
            "item": [row.item for row in rows],
            "title": [row.title for row in rows],
            "is_active": [row.is_active for row in rows],
        }
        for name, dtype in self.schema.items():
            if name not in columns:
                columns[name] = [_value(one.get(name), dtype) for one in features]
        return pl.DataFrame([pl.Series(name, columns[name], dtype=dtype) for name, dtype in self.schema.items()])


def stored_items(connection: sa.Connection) -> pl.DataFrame | None:
    """The items that were sent to the service; None if there are none.

    Args:
        connection: with a transaction to which the database stays as it is.
    """
    found = StoredItems.of(connection)
    return pl.concat(found.batches()) if found.number else None


def _rows(connection: sa.Connection) -> Iterator[Any]:
    if not sa.inspect(connection).has_table(items.name):
        return
    one = items.c
    statement = sa.select(one.item, one.title, one.features, one.is_active).order_by(one.item)
    yield from connection.execute(statement, execution_options={"yield_per": _BATCH})


def _features(row: Any) -> dict[str, Any]:
    found: dict[str, Any] = {} if row.features is None else json.loads(row.features)
    return {name: value for name, value in found.items() if name not in RESERVED}


@dataclass
class _Kinds:
    """The kinds of values of a feature, of which its type is the narrowest that holds all of them; text holds any."""

    single: set[str] = field(default_factory=set)
    inside: set[str] = field(default_factory=set)  # of lists
    lists: bool = False

    @property
    def met(self) -> bool:
        """Whether there was a value besides null."""
        return bool(self.single) or self.lists

    def meet(self, value: Any) -> None:
        if isinstance(value, list):
            self.lists = True
            self.inside |= {_kind(one) for one in value}
        elif value is not None:
            self.single.add(_kind(value))

    def dtype(self) -> Any:
        if self.lists:
            return pl.String() if self.single else pl.List(_type_of(self.inside))
        return _type_of(self.single)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if -(2**63) <= value < 2**63 else "float" if abs(value) <= sys.float_info.max else "str"
    return "float" if isinstance(value, float) else "str"


def _type_of(kinds: set[str]) -> Any:
    if kinds == {"bool"}:
        return pl.Boolean()
    if kinds == {"int"}:
        return pl.Int64()
    return pl.Float64() if kinds and kinds <= {"int", "float"} else pl.String()


def _value(value: Any, dtype: Any) -> Any:
    """A value of JSON in the type of its column; as text, values of a list have "|" between them."""
    if value is None:
        return None
    if isinstance(dtype, pl.List):
        return [_value(one, dtype.inner) for one in value]
    if dtype == pl.String:
        if isinstance(value, list):
            return "|".join(_value(one, dtype) for one in value)
        return value if isinstance(value, str) else json.dumps(value)
    return float(value) if dtype == pl.Float64 else value
